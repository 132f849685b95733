"""Specs that cannot work are refused where they are written."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from learnedrecon import specs
from learnedrecon.errors import ConfigError
from learnedrecon.models.classical import TV
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.problem import InverseProblem

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("fbp", {"window": "hamming"}, "window"),
    ("fbp", {"bandwidth": 0.0}, "bandwidth"),
    ("fbp", {"bandwidth": 1.5}, "bandwidth"),
    ("tv", {"weight": 0.0}, "weight"),
    ("tv", {"weight": math.nan}, "weight"),
    ("tv", {"weight": 1.0, "gap": 1.0}, "gap"),
    ("tv", {"weight": 1.0, "max_iterations": 0}, "max_iterations"),
    ("post_processing", {"image_scale": -1.0}, "image_scale"),
    ("post_processing", {"network": {"in_channels": 2, "out_channels": 2}}, "in_channels"),
    ("learned_gradient", {"iterations": 0}, "iterations"),
    ("learned_gradient", {"memory": -1}, "memory"),
    ("learned_primal_dual", {"primal": 1}, "primal"),
    ("learned_primal_dual", {"dual": 0}, "dual"),
    ("learned_primal_dual", {"image_scale": math.inf}, "image_scale"),
    ("filtered_primal_dual", {"hidden": 0}, "hidden"),
    ("deep_gradient_descent", {"iterations": 0}, "iterations"),
    ("subset_primal_dual", {"subsets": {"parts": 0}}, "parts"),
    ("subset_primal_dual", {"subsets": {"order": "shuffled"}}, "order"),
    ("subset_gradient", {"subsets": {"parts": -2}}, "parts"),
    ("filtered_primal_dual", {"start": {"bandwidth": -1.0}}, "bandwidth"),
    ("recurrent_inference_machine", {"hidden": 0}, "hidden"),
    ("admm_net", {"nodes": 1}, "nodes"),
    ("modl", {"weight": 0.0}, "weight"),
    ("modl", {"layers": 1}, "layers"),
    ("half_quadratic_splitting", {"noise_level": 0.0}, "noise_level"),
    ("half_quadratic_splitting", {"network": {"dims": 3}}, "dims"),
    ("neumann", {"step": -1.0}, "step"),
    ("preconditioned_neumann", {"iterations": 0}, "iterations"),
    ("operator_recurrent", {"features": 1}, "features"),
    ("psi_donet", {"levels": 0}, "levels"),
    ("psi_donet", {"threshold": 0.0}, "threshold"),
    ("denoiser_pdhg", {"step": 0.0}, "step"),
    ("shrinkage_field", {"weight": -1.0}, "weight"),
    ("semi_implicit_flow", {"time": 0.0}, "time"),
]


@pytest.mark.parametrize(("name", "values", "field"), BAD)
def test_the_wrong_field_is_named(name: str, values: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        specs.named_from_plain(MODELS, {"name": name, **values}, "model")
    message = str(caught.value)
    assert field in message
    assert "model" in message
    assert all(part in message for part in ("Expected", "Found", "What to do"))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("fbp", {"bandwidth": 1.0}),
        ("learned_gradient", {"iterations": 1, "memory": 0, "hidden": 1}),
        ("learned_primal_dual", {"iterations": 1, "primal": 2, "dual": 1, "hidden": 1}),
        ("filtered_primal_dual", {"iterations": 1, "primal": 1, "dual": 1, "hidden": 1}),
    ],
)
def test_the_smallest_ones_run(name: str, values: dict[str, Any]) -> None:
    model = specs.build(MODELS, specs.named_from_plain(MODELS, {"name": name, **values}))
    operator = RayTransform(ParallelBeam((6, 5), AngleRange(4), FlatDetector(9)))
    image = model(InverseProblem(operator, operator(torch.ones(1, 1, 6, 5)))).image
    assert image.shape == (1, 1, 6, 5)
    assert bool(image.isfinite().all())


@pytest.mark.parametrize(
    ("kind", "values", "found"),
    [
        (LearnedPrimalDual, {"iterations": "three"}, "'iterations'.*valid integer.*'three'"),
        (LearnedPrimalDual, {"hidden": 2.5}, r"'hidden'.*fractional part.*2\.5"),
        (LearnedPrimalDual, {"image_scale": "c"}, "'image_scale'.*valid number.*'c'"),
        (TV, {"weight": 1.0, "gap": None}, "'gap'.*valid number.*None"),
    ],
)
def test_wrong_types_are_named(kind: type, values: dict[str, Any], found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        kind(**values)
