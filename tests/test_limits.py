"""Sizes are bounded before memory or time is taken, by one mechanism."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from learnedrecon.data.datasets import EllipseSpec
from learnedrecon.data.draws import draws_of
from learnedrecon.data.loader import refuse_workers
from learnedrecon.data.phantoms.birdcage import birdcage_maps
from learnedrecon.data.phantoms.ellipses import ellipse_phantom, ellipse_preset
from learnedrecon.data.phantoms.shepp_logan import shepp_logan
from learnedrecon.errors import ConfigError, FileFormatError, GeometryError, ShapeError
from learnedrecon.files import refuse_size
from learnedrecon.limits import MOST_TENSORS, byte_limit, in_bytes, in_counts, refuse_bytes
from learnedrecon.models.building import MemoryBudget, build_model, within_memory
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.fields import image_shape
from learnedrecon.training.spec import TrainingSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ASKED: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "phantom": (
        lambda: ellipse_phantom(ellipse_preset("dival"), 0, 10**6, seed=0, split="train"),
        ShapeError,
        "1000000 x 1000000, which takes 7.28 TiB",
    ),
    "Shepp-Logan phantom": (lambda: shepp_logan(10**6), ShapeError, "7.28 TiB"),
    "coil maps": (lambda: birdcage_maps((10**5, 10**5), 8), ShapeError, "1.16 TiB"),
    "image": (lambda: image_shape((10**6, 10**6)), GeometryError, "3.64 TiB"),
    "draws": (lambda: draws_of(10**12), ConfigError, "at most 1000000 random integers"),
    "dataset": (lambda: EllipseSpec(length=2**63), ConfigError, "9223372036854775808"),
    "workers": (lambda: refuse_workers(10**6), ConfigError, "244 TiB"),
    "steps": (lambda: TrainingSpec(steps=10**22), ConfigError, "at most 1000000000 steps"),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_no_machine_has_is_refused_before_it_is_taken(name: str) -> None:
    ask, kind, found = ASKED[name]
    tracemalloc.start()
    try:
        with pytest.raises(kind, match=found):
            ask()
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("field", "found"),
    [("hidden", "takes at most|of at most .*GiB"), ("iterations", f"at most {MOST_TENSORS}")],
)
def test_a_model_is_refused_while_it_is_built(
    monkeypatch: pytest.MonkeyPatch, field: str, found: str
) -> None:
    """No weight of 335 GiB is asked of the system, and no iteration after the last is built."""
    monkeypatch.setattr("learnedrecon.models.building.MOST_TENSORS", 100)
    spec = MODELS["filtered_primal_dual"].spec(**{"iterations": 1, "hidden": 2, field: 100_000})
    found = found.replace(str(MOST_TENSORS), "100")
    with pytest.raises(ConfigError, match=found):
        build_model(spec)


def test_a_model_that_fits_is_the_same_as_without_a_budget() -> None:
    spec = MODELS["filtered_primal_dual"].spec(iterations=2, hidden=3)
    models = []
    for build in (build_model, MODELS["filtered_primal_dual"].build):
        torch.manual_seed(0)
        models.append(build(spec).state_dict())
    assert models[0].keys() == models[1].keys()
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])


def test_a_budget_counts_what_is_made() -> None:
    taken: list[tuple[int, int]] = []
    with MemoryBudget(lambda size, number: taken.append((size, number))):
        torch.empty(1000, 1000)
        torch.zeros((1000, 500), dtype=torch.float64)
        torch.rand(size=(3,))
        torch.nn.Linear(100, 200)
    assert taken[0] == (4_000_000, 1)
    assert taken[1] == (8_000_000, 2)
    assert taken[2] == (8_000_000 + 4096, 3)
    assert taken[-1] == (8_000_000 + 4096 + 80_000 + 4096, 5)


def test_a_budget_needs_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mode below the functions of torch would import its compiler, which takes seconds."""

    def forbidden(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(TorchDispatchMode, "__enter__", forbidden)
    with within_memory("a model"):
        torch.empty(3)


def test_the_memory_is_the_limit_unless_the_environment_says_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = byte_limit()
    assert whole > 1 << 28
    monkeypatch.setenv("LEARNEDRECON_MAX_BYTES", "1000")
    assert byte_limit() == 1000
    refuse_bytes(1000, "a thing")
    with pytest.raises(ConfigError, match=r"at most 1000 bytes.*1001 bytes"):
        refuse_bytes(1001, "a thing")
    file = tmp_path / "a"
    file.write_bytes(b"x")
    with pytest.raises(FileFormatError, match="MAX_BYTES"):
        refuse_size(file, 1001)
    with pytest.raises(ShapeError, match="17 x 17"):
        shepp_logan(17)


@pytest.mark.parametrize("asked", ["0", "-1", "many", "1e9", "9" * 30])
def test_a_limit_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setenv("LEARNEDRECON_MAX_BYTES", asked)
    with pytest.raises(ConfigError, match="LEARNEDRECON_MAX_BYTES"):
        byte_limit()


@pytest.mark.parametrize("digits", [3, 9, 19, 400, 6000])
def test_numbers_of_any_size_are_shown_in_few_words(digits: int) -> None:
    number = 10**digits
    assert len(in_bytes(number)) < 40
    assert len(in_counts((number, number))) < 40
