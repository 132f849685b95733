"""Losses of every iterate have the gradient of autograd, however a scheme is differentiated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from learnedrecon.errors import ConfigError
from learnedrecon.schemes.backward import Backprop, Checkpointed
from learnedrecon.schemes.reconstructor import Estimate, Iterative
from learnedrecon.schemes.scaling import NoScaling
from learnedrecon.schemes.state import Image
from learnedrecon.schemes.step import Chain, Repeat, Step
from learnedrecon.training.accelerator import make_accelerator
from learnedrecon.training.losses import DeepSupervision, SquaredError, sees_iterates
from learnedrecon.training.spec import ScheduleSpec, TrainingSpec
from learnedrecon.training.update import Supervised

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from learnedrecon.data.batch import Batch
    from learnedrecon.problem import Problem
    from learnedrecon.schemes.backward import Backward

STEPS = 3


class Descent(Step[Image]):
    """u ← u - tanh(w * T*(T u - y))."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, state: Image, problem: Problem) -> Image:
        residual = problem.adjoint(problem.forward(state.image) - problem.data)
        return Image(state.image - torch.tanh(self.layer(residual)))


def backprojected(problem: Problem) -> Tensor:
    return problem.adjoint(problem.data)


def model_of(backward: Backward, *, repeated: bool) -> Iterative:
    torch.manual_seed(1)
    scheme: Step[Image] = (
        Repeat(Descent(), STEPS, backward)
        if repeated
        else Chain([Descent() for _ in range(STEPS)], backward)
    )
    return Iterative(scheme, backprojected, NoScaling()).double()


class Noting:
    """A loss of all iterates, named by their number, which keeps what it was given."""

    iterates = True

    def __init__(self) -> None:
        self.given: list[Sequence[Estimate]] = []

    def __call__(self, estimates: Sequence[Estimate], batch: Batch) -> dict[str, Tensor]:
        self.given.append(estimates)
        error = SquaredError()
        return {f"step{k}": (k + 1) * error(e, batch) for k, e in enumerate(estimates)}


def reference(model: Iterative, batch: Batch, weights: list[float]) -> list[Tensor]:
    """Gradients of Σ_k w_k |u_k - u|², step by step with autograd."""
    problem, truth = batch.problem, batch.truth
    assert truth is not None
    scheme = model.scheme
    assert isinstance(scheme, Chain | Repeat)
    steps = list(scheme) if isinstance(scheme, Chain) else [scheme.step] * STEPS
    state = Image(problem.adjoint(problem.data))
    total = torch.zeros((), dtype=torch.float64)
    for step, weight in zip(steps, weights, strict=True):
        state = step(state, problem)
        total = total + weight * (state.image - truth).square().mean()
    return list(torch.autograd.grad(total, list(model.parameters())))


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("backward", [Backprop(), Checkpointed(1), Checkpointed(2)])
@pytest.mark.parametrize("loss", ["parts", "deep"])
def test_the_gradient_is_that_of_autograd(
    tiny: ModuleType, backward: Backward, loss: str, *, repeated: bool
) -> None:
    batch = tiny.Source(dtype=torch.float64).of([0, 1, 2])
    model = model_of(backward, repeated=repeated)
    powers = [0.5**k for k in reversed(range(STEPS))]
    weights = (
        [k + 1.0 for k in range(STEPS)] if loss == "parts" else [w / sum(powers) for w in powers]
    )
    expected = reference(model, batch, weights)
    chosen: Any = Noting() if loss == "parts" else DeepSupervision(0.5)
    spec = TrainingSpec(steps=9, schedule=ScheduleSpec(kind="constant"), clip_norm=None)
    update = Supervised(model, loss=chosen, spec=spec, accelerator=make_accelerator(cpu=True))
    numbers = update(model, [batch], step=0)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-10, atol=1e-14)
    if loss == "parts":
        assert [len(given) for given in chosen.given] == [STEPS]
        assert [f"loss.step{k}" in numbers for k in range(STEPS + 1)] == [True] * STEPS + [False]


def test_only_losses_that_say_so_see_iterates(tiny: ModuleType) -> None:
    assert sees_iterates(DeepSupervision())
    assert not sees_iterates(SquaredError())
    assert not sees_iterates(lambda *_: torch.ones(1))
    loss = Noting()
    loss.iterates = False
    assert not sees_iterates(loss)
    model = nn.Linear(1, 1)
    update = Supervised(
        model,
        loss=DeepSupervision(),
        spec=TrainingSpec(steps=1),
        accelerator=make_accelerator(cpu=True),
    )
    with pytest.raises(ConfigError, match=r"a Reconstructor, whose iterates.*Linear"):
        update(model, [tiny.Source().of([0])], step=0)


def test_a_method_without_steps_has_one_iterate(tiny: ModuleType) -> None:
    torch.manual_seed(1)
    model = tiny.Tiny(tiny.TinySpec(dropout=0.0, normalise=False))
    batch = tiny.Source().of([0, 1])
    expected = SquaredError()(model(batch.problem), batch).mean().item()
    update = Supervised(
        model,
        loss=DeepSupervision(),
        spec=TrainingSpec(steps=1),
        accelerator=make_accelerator(cpu=True),
    )
    assert update(model, [batch], step=0)["loss"] == pytest.approx(expected, rel=1e-6)


def test_the_decay_of_deep_supervision_is_checked() -> None:
    for decay in (0.0, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="decay in"):
            DeepSupervision(decay)
