"""Scores against numbers worked out by hand."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from learnedrecon.data.batch import Batch
from learnedrecon.errors import DataError, ShapeError
from learnedrecon.evaluation import scores as scores_module
from learnedrecon.evaluation.scores import Scores, condensed, count_parameters, evaluate
from learnedrecon.metrics.ranges import FixedRange, MaxMinPerImage
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.reconstructor import Estimate, Reconstructor

if TYPE_CHECKING:
    from learnedrecon.problem import Problem

SPACE = Space((8, 8))


class Identity(LinearOperator):
    def __init__(self) -> None:
        super().__init__(SPACE, SPACE)

    def evaluate(self, u: torch.Tensor) -> torch.Tensor:
        return u

    def evaluate_adjoint(self, v: torch.Tensor) -> torch.Tensor:
        return v


class Shifted(Reconstructor):
    """Data plus a number, which is its only parameter; notes the modes it was called in."""

    def __init__(self, offset: float, status: str | None = None, seconds: float = 0.0) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(offset))
        self.frozen = nn.Parameter(torch.zeros(3), requires_grad=False)
        self.status = status
        self.seconds = seconds
        self.modes: list[tuple[bool, bool]] = []

    def forward(self, problem: Problem) -> Estimate:
        time.sleep(self.seconds)
        self.modes.append((self.training, torch.is_grad_enabled()))
        return Estimate(problem.data + self.offset, status=self.status)


def batch(number: int, first: int = 0, top: float = 1.0) -> Batch:
    """Images that are 0 on the left and ``top`` on the right."""
    truth = torch.zeros(number, 1, 8, 8)
    truth[..., 4:] = top
    ids = tuple(f"image-{first + k}" for k in range(number))
    return Batch(InverseProblem(Identity(), truth), truth, None, ids)


def test_psnr_and_nmse_by_hand() -> None:
    """An error of 0.1 everywhere: 20 dB for the range 1, and 0.01·64 / 32 of the energy."""
    scores = evaluate("shifted", Shifted(0.1), [batch(3)], FixedRange(1.0))
    np.testing.assert_allclose(scores.psnr, [20.0] * 3, rtol=1e-6)
    np.testing.assert_allclose(scores.nmse, [0.02] * 3, rtol=1e-6)
    assert scores.method == "shifted"
    assert scores.images == 3


def test_the_range_is_the_one_asked_for() -> None:
    fixed = evaluate("", Shifted(0.1), [batch(1, top=2.0)], FixedRange(1.0))
    own = evaluate("", Shifted(0.1), [batch(1, top=2.0)], MaxMinPerImage())
    assert fixed.psnr[0] == pytest.approx(20.0)
    assert own.psnr[0] == pytest.approx(20 + 20 * math.log10(2))


def test_ssim_of_a_shift_by_hand() -> None:
    """A shift leaves variances: only (2μ(μ+d) + c) / (μ² + (μ+d)² + c) of each window is left."""
    scores = evaluate("", Shifted(0.1), [batch(1)], FixedRange(1.0))
    c = 0.01**2
    windows = []
    for left in (0, 1):  # 7 of 8 columns, 3 or 4 of them white
        mean = (3 + left) / 7
        windows.append(
            (2 * mean * (mean + 0.1) + c) / (mean**2 + (mean + 0.1) ** 2 + c),
        )
    assert scores.ssim[0] == pytest.approx(np.mean(windows), rel=1e-5)


def test_every_image_counts_once_and_in_order() -> None:
    tops = (1.0, 2.0, 4.0)
    batches = [batch(2, top=tops[0]), batch(1, 2, tops[1]), batch(3, 3, tops[2])]
    done: list[int] = []
    scores = evaluate("", Shifted(0.1), batches, MaxMinPerImage(), on_batch=done.append)
    expected = [20 + 20 * math.log10(tops[k]) for k in (0, 0, 1, 2, 2, 2)]
    np.testing.assert_allclose(scores.psnr, expected, rtol=1e-6)
    assert done == [2, 1, 3]


def test_the_summary_by_hand() -> None:
    scores = Scores("m", np.array([20.0, 22, 27]), np.full(3, 0.5), np.full(3, 0.1), 0.25, 7)
    summary = scores.summary()
    assert summary["psnr"].mean == pytest.approx(23)
    assert summary["psnr"].std == pytest.approx(math.sqrt(13))
    assert summary["psnr"].stderr == pytest.approx(math.sqrt(13 / 3))
    assert summary["ssim"].std == 0


def test_plain_numbers_are_json() -> None:
    scores = Scores("m", np.array([20.0, 24]), np.full(2, 0.5), np.full(2, 0.1), 0.25, 7, ("done",))
    assert json.loads(json.dumps(scores.to_plain(), allow_nan=False)) == {
        "images": 2,
        "psnr": pytest.approx(22),
        "psnr_std": pytest.approx(math.sqrt(8)),
        "ssim": pytest.approx(0.5),
        "ssim_std": pytest.approx(0),
        "nmse": pytest.approx(0.1),
        "nmse_std": pytest.approx(0),
        "seconds": 0.25,
        "parameters": 7,
        "status": ["done"],
    }


def test_one_image_has_no_deviation() -> None:
    plain = evaluate("", Shifted(0.1), [batch(1)], FixedRange(1.0)).to_plain()
    assert plain["psnr_std"] is None
    assert "status" not in plain
    json.dumps(plain, allow_nan=False)


def test_parameters_are_those_that_are_learned() -> None:
    assert count_parameters(Shifted(0.0)) == 1
    assert evaluate("", Shifted(0.1), [batch(1)], FixedRange(1.0)).parameters == 1


def test_each_way_to_end_is_told_once() -> None:
    model = Shifted(0.1, status="converged")
    assert evaluate("", model, [batch(1), batch(1)], FixedRange(1.0)).status == ("converged",)
    assert evaluate("", Shifted(0.1), [batch(1)], FixedRange(1.0)).status == ()


def test_texts_that_differ_in_numbers_are_one_with_the_worst() -> None:
    texts = [
        "Converged in at most 120 iterations to a gap 9.8e-04 (asked for 1.0e-03).",
        "Not converged: 1 of 4.",
        "Converged in at most 95 iterations to a gap 9.9e-04 (asked for 1.0e-03).",
        "Not converged: 1 of 4.",
    ]
    worst = "Converged in at most 120 iterations to a gap 9.9e-04 (asked for 1.0e-03)."
    expected = (f"{worst} (The largest numbers of 2 batches.)", "Not converged: 1 of 4.")
    assert condensed(texts) == expected
    assert condensed([]) == ()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes by sleeping alone, on a busy machine as on an idle one."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.append(now.pop() + seconds))


@pytest.mark.usefixtures("clock")
def test_seconds_are_per_image() -> None:
    for number in (1, 4):
        scores = evaluate("", Shifted(0.1, seconds=0.2), [batch(number)], FixedRange(1.0))
        assert scores.seconds == pytest.approx(0.2 / number)


class SlowNorm(Identity):
    """Its norm takes a fifth of a second, once."""

    asked = 0

    def compute_norm(self) -> float:
        self.asked += 1
        time.sleep(0.2)
        return 1.0


class ByNorm(Shifted):
    """Asks for the norm, as every method with a step size does."""

    def forward(self, problem: Problem) -> Estimate:
        assert isinstance(problem.operator, LinearOperator)
        return Estimate(super().forward(problem).image / problem.operator.norm())


@pytest.mark.usefixtures("clock")
def test_seconds_are_without_the_norm_of_the_operator() -> None:
    one = batch(1)
    assert one.truth is not None
    operator = SlowNorm()
    slow = one._replace(problem=InverseProblem(operator, one.truth))
    scores = evaluate("", ByNorm(0.1, seconds=0.01), [slow], FixedRange(1.0))
    assert scores.seconds == pytest.approx(0.01)
    assert operator.asked == 1


def test_the_clock_starts_and_ends_with_an_idle_device(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[object] = []

    def clock() -> float:
        events.append("clock")
        return 0.0

    monkeypatch.setattr(scores_module, "_wait_for", lambda device: events.append(device.type))
    monkeypatch.setattr(time, "perf_counter", clock)
    model = Shifted(0.1)
    model.register_forward_hook(lambda *_: events.append("model"))
    evaluate("", model, [batch(1)], FixedRange(1.0))
    assert events == ["cpu", "clock", "model", "cpu", "clock"]


@pytest.mark.parametrize("device", ["cuda:0", "cuda:1", "cpu"])
def test_gpus_alone_are_waited_for(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    scores_module._wait_for(torch.device(device))
    assert waited == ([] if device == "cpu" else [torch.device(device)])


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_in_evaluation_mode_meanwhile(training: bool) -> None:
    model = Shifted(0.1).train(training)
    evaluate("", model, [batch(1), batch(2)], FixedRange(1.0))
    assert model.modes == [(False, False)] * 2
    assert model.training is training


@pytest.mark.parametrize("training", [True, False])
def test_an_error_leaves_the_mode_too(training: bool) -> None:
    model = Shifted(0.1).train(training)
    broken = batch(1)._replace(truth=torch.zeros(1, 1, 8, 9))
    with pytest.raises(ShapeError):
        evaluate("", model, [broken], FixedRange(1.0))
    assert model.training is training


def test_parts_of_a_model_keep_their_own_mode() -> None:
    """A frozen part that was put into evaluation mode before stays there."""

    class Holder(Shifted):
        def __init__(self) -> None:
            super().__init__(0.1)
            self.part = nn.Dropout()

    model = Holder().train()
    model.part.eval()
    evaluate("", model, [batch(1)], FixedRange(1.0))
    assert model.training
    assert not model.part.training


def test_no_truth_is_an_error_that_names_the_samples() -> None:
    blind = batch(2, first=7)._replace(truth=None)
    with pytest.raises(DataError, match=r"Expected(?s:.*)truth(?s:.*)image-7, image-8(?s:.*)do:"):
        evaluate("", Shifted(0.1), [batch(1), blind], FixedRange(1.0))


def test_no_images_are_an_error() -> None:
    with pytest.raises(DataError, match=r"Expected(?s:.*)no test images(?s:.*)What to do"):
        evaluate("", Shifted(0.1), [], FixedRange(1.0))
