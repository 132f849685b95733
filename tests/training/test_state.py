from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.errors import FileFormatError
from learnedrecon.training.spec import OptimiserSpec
from learnedrecon.training.state import Checkpoints, Progress
from learnedrecon.weights.checkpoint import Blueprint, load_weights, write_weights
from learnedrecon.weights.tensorfile import read_tensors

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def test_last_and_best_are_models_too(tiny: ModuleType, tmp_path: Path) -> None:
    """Of a run with averaged weights, both files give the averaged ones."""
    result = tiny.fit(tmp_path, tiny.spec_of(5))
    folder = tmp_path / "checkpoints"
    last = load_weights(folder / "last.safetensors", models=tiny.MODELS, operators=tiny.OPERATORS)
    tensors, _ = read_tensors(folder / "last.safetensors")
    weights = dict(last.model.named_parameters())
    assert weights.keys() == {k.removeprefix("average.") for k in tensors if "average." in k}
    for name, parameter in weights.items():
        assert torch.equal(parameter, tensors[f"average.{name}"])
        assert not torch.equal(parameter, tensors[f"model.{name}"])
    best = load_weights(folder / "best.safetensors", models=tiny.MODELS, operators=tiny.OPERATORS)
    assert best.extra["psnr"] == result.best
    assert tiny.validation()(best.model)["psnr"] == pytest.approx(result.best, abs=1e-12)


def test_progress_of_a_run(tiny: ModuleType, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", Blueprint({}))
    assert checkpoints.progress() is None
    result = tiny.fit(tmp_path, tiny.spec_of(3))
    assert checkpoints.progress() == Progress(step=3, best=result.best, finished=True)


def test_weights_alone_are_no_state(tiny: ModuleType, tmp_path: Path) -> None:
    blueprint = Blueprint({"name": "tiny"})
    checkpoints = Checkpoints(tmp_path, blueprint)
    write_weights(checkpoints.last, tiny.Tiny(tiny.TinySpec()), blueprint, {})
    with pytest.raises(FileFormatError, match="only weights"):
        checkpoints.progress()


@pytest.mark.parametrize(
    ("average", "optimiser", "named"),
    [
        (None, OptimiserSpec(), "unexpected"),
        (0.9, OptimiserSpec(kind="rmsprop"), "mean_square"),
    ],
)
def test_another_kind_of_training_cannot_go_on(
    tiny: ModuleType, tmp_path: Path, average: float | None, optimiser: OptimiserSpec, named: str
) -> None:
    spec = tiny.spec_of(8)
    tiny.fit(tmp_path, spec, loss=tiny.StopAt(5))
    with pytest.raises(FileFormatError, match=named):
        tiny.fit(tmp_path, replace(spec, average=average, optimiser=optimiser))


def test_another_model_cannot_go_on(tiny: ModuleType, tmp_path: Path) -> None:
    spec = tiny.spec_of(8)
    tiny.fit(tmp_path, spec, loss=tiny.StopAt(5))
    run = tiny.folder(tmp_path, spec)
    other = Checkpoints(tmp_path / "checkpoints", Blueprint({"name": "tiny", "width": 9}))
    run.checkpoints = other
    with pytest.raises(FileFormatError, match=r"of the model .*'width': 9.*'width': 3"):
        tiny.fit_in(run, spec)
