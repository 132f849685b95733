"""Where the numbers that a method takes begin and end: both sides of every limit."""

from __future__ import annotations

import math

import pytest

from learnedrecon import specs
from learnedrecon.errors import ConfigError
from learnedrecon.models.lista_coupled import Support
from learnedrecon.models.registry import MODELS

COUNTS: dict[str, dict[str, int]] = {
    "cg_sense": {"max_iterations": 1},
    "wavelet_sense": {"levels": 1, "max_iterations": 1},
    "learned_gradient": {"iterations": 1, "memory": 0, "hidden": 1},
    "learned_primal_dual": {"iterations": 1, "primal": 2, "dual": 1, "hidden": 1},
    "learned_primal": {"iterations": 1, "primal": 2, "hidden": 1},
    "learned_pdhg": {"iterations": 1, "hidden": 1},
    "denoiser_pdhg": {"iterations": 1, "layers": 2, "hidden": 1},
    "filtered_primal_dual": {"iterations": 1, "primal": 1, "dual": 1, "hidden": 1},
    "unrolled_gradient": {"iterations": 1, "layers": 2, "hidden": 1},
    "invertible_primal_dual": {"iterations": 1, "hidden": 1},
    "split_primal_dual": {"iterations": 1, "primal": 1, "dual": 1, "hidden": 1},
    "learned_proximal": {"iterations": 1, "hidden": 1},
    "generalised_scheme": {"iterations": 1, "hidden": 1},
    "deep_gradient_descent": {"iterations": 1, "hidden": 1},
    "subset_primal_dual": {"iterations": 1, "primal": 2, "dual": 1, "hidden": 1},
    "subset_gradient": {"iterations": 1, "hidden": 1},
    "modl": {"iterations": 1, "layers": 2, "hidden": 1},
    "half_quadratic_splitting": {"iterations": 1},
    "recurrent_inference_machine": {"iterations": 1, "hidden": 1},
    "admm_net": {"iterations": 1, "nodes": 2},
    "neumann": {"iterations": 1, "layers": 2, "hidden": 1},
    "preconditioned_neumann": {"iterations": 1, "layers": 2, "hidden": 1},
    "operator_recurrent": {"iterations": 1, "features": 2},
    "shrinkage_field": {"iterations": 1},
    "variational_flow": {"iterations": 1},
    "semi_implicit_flow": {"iterations": 1},
    "variational_network": {"iterations": 1},
    "psi_donet": {"iterations": 1, "levels": 1},
    "lista": {"iterations": 1, "rows": 1, "columns": 1},
    "lista_cp": {"iterations": 1, "rows": 1, "columns": 1},
    "lista_cpss": {"iterations": 1, "rows": 1, "columns": 1},
    "alista": {"iterations": 1},
}
"""The least iterations, layers, channels or images by method; a memory of u needs two images."""
POSITIVE: dict[str, tuple[str, ...]] = {
    "fbp": ("noise_factor", "noise_level"),
    "cg_sense": ("weight",),
    "wavelet_sense": ("weight",),
    "post_processing": ("image_scale",),
    "learned_gradient": ("image_scale",),
    "learned_primal_dual": ("image_scale",),
    "learned_primal": ("image_scale",),
    "learned_pdhg": ("image_scale",),
    "denoiser_pdhg": ("step", "image_scale"),
    "filtered_primal_dual": ("image_scale",),
    "equilibrium_gradient": ("weight", "image_scale"),
    "equilibrium_proximal": ("step", "image_scale"),
    "equilibrium_admm": ("penalty", "image_scale"),
    "equilibrium_primal_dual": ("step", "image_scale"),
    "unrolled_gradient": ("weight", "image_scale"),
    "invertible_primal_dual": ("image_scale",),
    "split_primal_dual": ("image_scale",),
    "learned_proximal": ("step", "image_scale"),
    "generalised_scheme": ("image_scale",),
    "deep_gradient_descent": ("image_scale",),
    "subset_primal_dual": ("image_scale",),
    "subset_gradient": ("image_scale",),
    "modl": ("weight", "image_scale"),
    "half_quadratic_splitting": ("weight", "noise_level", "image_scale"),
    "recurrent_inference_machine": ("image_scale",),
    "admm_net": ("penalty", "threshold", "image_scale"),
    "neumann": ("step", "image_scale"),
    "preconditioned_neumann": ("weight", "image_scale"),
    "denoiser": ("image_scale",),
    "plug_and_play_fbs": ("step", "image_scale"),
    "plug_and_play_admm": ("penalty", "image_scale"),
    "gradient_step": ("weight", "product", "image_scale"),
    "operator_recurrent": ("image_scale",),
    "shrinkage_field": ("weight", "image_scale"),
    "variational_flow": ("time", "image_scale"),
    "semi_implicit_flow": ("time", "image_scale"),
    "variational_network": ("image_scale",),
    "psi_donet": ("threshold", "image_scale"),
    "lista": ("threshold", "image_scale"),
    "lista_cp": ("threshold", "image_scale"),
    "lista_cpss": ("threshold", "image_scale"),
    "alista": ("threshold", "image_scale"),
}
BELOW_ONE: dict[str, tuple[str, ...]] = {
    "cg_sense": ("tolerance",),
    "wavelet_sense": ("weight", "tolerance"),
    "equilibrium_gradient": ("epsilon",),
    "equilibrium_proximal": ("epsilon",),
    "equilibrium_admm": ("epsilon",),
    "equilibrium_primal_dual": ("epsilon", "product"),
}


def read(name: str, field: str, value: float) -> None:
    specs.named_from_plain(MODELS, {"name": name, field: value}, "model")


@pytest.mark.parametrize(
    ("name", "field", "least"),
    [(name, field, least) for name, fields in COUNTS.items() for field, least in fields.items()],
)
def test_the_least_count_is_accepted_and_one_less_is_not(name: str, field: str, least: int) -> None:
    read(name, field, least)
    with pytest.raises(ConfigError, match=field):
        read(name, field, least - 1)


@pytest.mark.parametrize("value", [0.0, -1e-9, math.inf, math.nan])
@pytest.mark.parametrize(("name", "fields"), POSITIVE.items())
def test_what_is_positive_is_above_zero_and_finite(
    name: str, fields: tuple[str, ...], value: float
) -> None:
    for field in fields:
        with pytest.raises(ConfigError, match=field):
            read(name, field, value)


@pytest.mark.parametrize("value", [0.0, 1.0, math.nan])
@pytest.mark.parametrize(("name", "fields"), BELOW_ONE.items())
def test_shares_exclude_their_ends(name: str, fields: tuple[str, ...], value: float) -> None:
    for field in fields:
        with pytest.raises(ConfigError, match=field):
            read(name, field, value)


@pytest.mark.parametrize("field", ["percent", "most"])
def test_a_percentage_includes_its_ends(field: str) -> None:
    for value in (0.0, 100.0):
        assert getattr(Support(**{field: value}), field) == value
    for value in (-1e-9, 100.001, math.nan):
        with pytest.raises(ConfigError, match=field):
            Support(**{field: value})


@pytest.mark.parametrize("start", ["sideways", "", "FBP", 3])
def test_a_start_is_one_of_four_words(start: object) -> None:
    for word in ("auto", "zero", "adjoint", "fbp"):
        specs.named_from_plain(MODELS, {"name": "learned_gradient", "start": word}, "model")
    with pytest.raises(ConfigError, match="start"):
        specs.named_from_plain(MODELS, {"name": "learned_gradient", "start": start}, "model")
