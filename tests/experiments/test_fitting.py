"""`lr.fit`: any method with any data, as `learnedrecon train` does it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import learnedrecon as lr
from learnedrecon.config.schema import EvaluationConfig
from learnedrecon.data.datasets import EllipseSpec
from learnedrecon.data.noise import Gaussian
from learnedrecon.errors import ConfigError, DataError, ShapeError
from learnedrecon.operators.imaging.inpaint import Inpaint, PixelMask
from learnedrecon.operators.matrix import MatrixOperator
from learnedrecon.schemes.reconstructor import Estimate, Reconstructor
from learnedrecon.training.spec import BatchSpec, BestSpec, OptimiserSpec, TrainingSpec
from learnedrecon.weights.checkpoint import load_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from typer.testing import Result

    from learnedrecon.data.batch import Batch
    from learnedrecon.problem import Problem

    Run = Callable[..., Result]

FAST = TrainingSpec(
    steps=200,
    batch=BatchSpec(4),
    optimiser=OptimiserSpec(learning_rate=0.05),
    validate_every=50,
    clip_norm=None,
)


class Linear(Reconstructor, recorded=False):
    """u = Wy for a matrix operator."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs, bias=False)
        nn.init.zeros_(self.layer.weight)

    def forward(self, problem: Problem) -> Estimate:
        return Estimate(self.layer(problem.data))


def matrix_operator() -> tuple[np.ndarray, lr.Operator]:
    a = np.random.default_rng(0).normal(size=(6, 4)) / 2
    return a, MatrixOperator(torch.from_numpy(a).float())


def test_pairs_of_arrays_are_fitted_to_the_least_squares_solution() -> None:
    """W is the minimiser of ‖WY - U‖², by numpy's solver on the samples of the training."""
    a, operator = matrix_operator()
    random = np.random.default_rng(1)
    truths = random.normal(size=(60, 4)).astype(np.float32)
    data = (truths @ a.T + 0.3 * random.normal(size=(60, 6))).astype(np.float32)
    model = Linear(6, 4)
    seen: set[int] = set()

    def loss(estimate: Estimate, batch: Batch) -> Tensor:
        seen.update(int(name.split("-")[1]) for name in batch.ids)
        assert batch.truth is not None
        return (estimate.image - batch.truth).square().flatten(1).sum(1)

    spec = TrainingSpec(
        steps=1500, batch=BatchSpec(12), optimiser=OptimiserSpec(learning_rate=0.02)
    )
    result = lr.fit(
        model, (data, truths), operator=operator, loss=loss, training=spec, progress=False,
        validate=lambda _: {"psnr": 0.0} if not seen else {"psnr": float(len(seen))},
    )  # fmt: skip
    rows = sorted(seen)
    assert 40 <= len(rows) <= 55
    expected = np.linalg.lstsq(data[rows], truths[rows], rcond=None)[0].T
    last = [r for r in result.records if r["event"] == "train"][-1]
    assert last["step"] == 1500
    np.testing.assert_allclose(model.layer.weight.detach().numpy(), expected, rtol=0, atol=0.01)


def test_images_are_measured_by_the_operator_and_scored_on_images_never_seen() -> None:
    operator = Inpaint(PixelMask((16, 16), 0.6))
    images = torch.rand(30, 16, 16)
    model = lr.models.UnrolledGradient(iterations=2, hidden=4, like=operator)
    ids: set[str] = set()

    def loss(estimate: Estimate, batch: Batch) -> Tensor:
        ids.update(batch.ids)
        assert batch.truth is not None
        assert torch.equal(batch.problem.data, operator(batch.truth)), (
            "without noise where none is asked for"
        )
        return (estimate.image - batch.truth).square().flatten(1).mean(1)

    result = lr.fit(model, images, operator=operator, loss=loss, steps=20, progress=False)
    assert result.scores is not None
    assert not set(result.scores.ids) & ids
    assert result.step == 20
    assert result.best is not None
    assert not model.training


def test_the_validation_chooses_the_weights_that_the_model_ends_with() -> None:
    _, operator = matrix_operator()
    truths = torch.from_numpy(np.random.default_rng(1).normal(size=(20, 4))).float()
    model = Linear(6, 4)
    kept: list[Tensor] = []

    def validate(some: nn.Module) -> dict[str, float]:
        assert isinstance(some, Linear)
        kept.append(some.layer.weight.detach().clone())
        return {"badness": float((len(kept) - 2) ** 2)}

    spec = TrainingSpec(steps=40, validate_every=10, best=BestSpec("badness", "min"))
    result = lr.fit(
        model, truths, operator=operator, training=spec, validate=validate, progress=False,
        evaluation=EvaluationConfig(range="range=1"),
    )  # fmt: skip
    assert result.best == (20, 0.0, "badness")
    assert torch.equal(model.layer.weight, kept[1])
    assert not torch.equal(model.layer.weight, kept[3])


class Joint(Reconstructor, recorded=False):
    """A reconstruction and a decision: u = Wy, and the logit of a class from u."""

    def __init__(self) -> None:
        super().__init__()
        self.reconstruction = Linear(6, 4)
        self.task = nn.Linear(4, 1)

    def forward(self, problem: Problem) -> Estimate:
        image = self.reconstruction(problem).image
        return Estimate(image, extra={"logit": self.task(image).flatten()})


def joint_loss(estimate: Estimate, batch: Batch) -> Mapping[str, Tensor]:
    assert batch.truth is not None
    assert batch.label is not None
    task = nn.functional.binary_cross_entropy_with_logits(
        estimate.extra["logit"], batch.label.float(), reduction="none"
    )
    return {"image": (estimate.image - batch.truth).square().flatten(1).mean(1), "task": task}


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_joint_task_is_trained_with_named_parts_and_groups(share: float) -> None:
    """With no share of the task, the reconstruction moves as if it were trained alone."""
    _, operator = matrix_operator()
    truths = torch.randn(80, 4)
    labels = (truths[:, 0] > 0).long()
    groups = {"reconstruction": {"image": 1 - share, "task": share}, "task": {"task": 1.0}}
    spec = TrainingSpec(
        steps=300,
        batch=BatchSpec(8),
        optimiser=OptimiserSpec(learning_rate=0.02),
        groups=groups,
        clip_norm=None,
    )
    torch.manual_seed(1)
    model = Joint()
    data = operator(truths)
    arguments: dict[str, Any] = {"operator": operator, "progress": False}
    result = lr.fit(model, (data, truths, labels), loss=joint_loss, training=spec, **arguments)
    trained = [r for r in result.records if r["event"] == "train"]
    assert trained[-1]["loss.task"] < 0.5, "chance is log 2"
    assert trained[-1]["loss.image"] < 0.2 * trained[0]["loss.image"]
    decided = model(lr.InverseProblem(operator, data[:, None])).extra["logit"] > 0
    assert (decided.long() == labels).float().mean() > 0.9
    alone = Linear(6, 4)
    lr.fit(
        alone, (data, truths), training=TrainingSpec(**{**vars(spec), "groups": None}), **arguments
    )
    same = torch.allclose(alone.layer.weight, model.reconstruction.layer.weight, atol=1e-5)
    assert same is (share == 0.0)


def test_a_run_folder_of_fit_goes_through_the_commands(cli: Run, tmp_path: Path) -> None:
    operator = Inpaint(PixelMask((16, 16), 0.6))
    model = lr.models.UnrolledGradient(iterations=2, hidden=4, like=operator)
    run = tmp_path / "run"
    result = lr.fit(
        model, EllipseSpec(size=16), operator=operator, noise=Gaussian(0.01), steps=4, folder=run,
        progress=False, evaluation=EvaluationConfig(images=3, validation_images=2),
    )  # fmt: skip
    assert (run / "figures" / "training.png").exists()
    scored = cli("evaluate", run)
    assert scored.exit_code == 0, scored.output
    (found,) = json.loads((run / "results.json").read_text())["methods"].values()
    assert result.scores is not None
    assert found["psnr"] == pytest.approx(result.scores.psnr.mean(), abs=1e-6)
    assert load_weights(run).model.spec == model.spec


def test_a_run_folder_of_arrays_reconstructs(cli: Run, tmp_path: Path) -> None:
    operator = Inpaint(PixelMask((16, 16), 0.6))
    model = lr.models.UnrolledGradient(iterations=2, hidden=4, like=operator)
    run = tmp_path / "run"
    lr.fit(model, torch.rand(12, 16, 16), operator=operator, steps=2, folder=run, progress=False)
    np.save(tmp_path / "y.npy", np.ones((16, 16), np.float32))
    result = cli("reconstruct", run, tmp_path / "y.npy", "-o", tmp_path / "u.npy")
    assert result.exit_code == 0, result.output
    expected = lr.reconstruct(model, torch.ones(16, 16), operator=operator).image
    np.testing.assert_allclose(np.load(tmp_path / "u.npy"), expected[0, 0].numpy(), atol=1e-6)
    missing = cli("evaluate", run)
    assert missing.exit_code == 2
    assert "'data'" in missing.stderr


def test_what_cannot_be_fitted_is_refused() -> None:
    _, operator = matrix_operator()
    with pytest.raises(ConfigError, match="with weights to train"):
        lr.fit(lr.models.TV(0.1), torch.randn(9, 4), operator=operator)
    with pytest.raises(ShapeError, match=r"\(number, 4\)"):
        lr.fit(Linear(6, 4), torch.randn(9, 5), operator=operator)
    with pytest.raises(ShapeError, match="8 true images, 9 measurements"):
        lr.fit(Linear(6, 4), (torch.randn(9, 6), torch.randn(8, 4)), operator=operator)
    with pytest.raises(DataError, match="none, of 1 in all"):
        lr.fit(Linear(6, 4), torch.randn(1, 4), operator=operator)
    with pytest.raises(ConfigError, match="true images, a tuple"):
        lr.fit(Linear(6, 4), 7, operator=operator)
    with pytest.raises(ConfigError, match="a registered class"):
        lr.fit(Linear(6, 4), torch.randn(9, 4), operator=operator, folder="never", steps=1)


def test_the_progress_is_told_every_step() -> None:
    told: list[tuple[str, int, int]] = []

    @contextmanager
    def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
        yield lambda number: told.append((what, total, number))

    _, operator = matrix_operator()
    spec = TrainingSpec(steps=7, log_every=1)
    lr.fit(Linear(6, 4), torch.randn(20, 4), operator=operator, training=spec, progress=progress)
    assert {(what, total) for what, total, _ in told} == {("Training", 7)}
    assert sum(number for *_, number in told) == 7
