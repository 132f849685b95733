"""What a tape answers is what was asked, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from learnedrecon.errors import ConfigError
from learnedrecon.models.deep_gradient import DeepGradientStep
from learnedrecon.models.learned_primal_dual import PrimalDual, PrimalDualStep
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem, Problem
from learnedrecon.schemes.state import Image
from learnedrecon.schemes.step import Step
from learnedrecon.schemes.subsets import OnSubset, Partition
from learnedrecon.training.greedy.tape import Recording, Replayed, Tape, marks_of

if TYPE_CHECKING:
    from learnedrecon.operators.base import Operator

SCAN = ParallelBeam((5, 6), AngleRange(4), FlatDetector(9))
RAY = RayTransform(SCAN, torch.float64)
PHOTONS = TransmissionCT(Transmission(SCAN), torch.float64)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def network(inputs: int, outputs: int) -> nn.Module:
    torch.manual_seed(inputs)
    return nn.Conv2d(inputs, outputs, 3, padding=1, dtype=torch.float64)


class Everything(Step[Image]):
    """Asks for all that a problem has."""

    def forward(self, state: Image, problem: Problem) -> Image:
        u = state.image
        residual = problem.forward(u) - problem.data
        part = problem.subset(slice(1, None, 2))
        back = problem.adjoint(residual, at=u) + problem.adjoint(2 * residual, at=u)
        own = part.adjoint(part.data - part.forward(u))
        return Image(u + back + own + part.gradient(u) + problem.gradient(u))


class WithoutParts(Step[Image]):
    """The same without parts, for nonlinear operators."""

    def forward(self, state: Image, problem: Problem) -> Image:
        u = state.image
        residual = problem.forward(u) - problem.data
        back = problem.adjoint(residual, at=u) - problem.adjoint(residual, at=2 * u)
        return Image(u + back + problem.gradient(u))


def recorded(step: Step[Any], state: tuple[Tensor, ...], operator: Operator = RAY) -> Tape:
    tape = Tape()
    step(state, Recording(InverseProblem(operator, random(2, 1, 4, 9, seed=5)), tape))
    return tape


@pytest.mark.parametrize(
    ("step", "operator"),
    [(Everything(), RAY), (WithoutParts(), RAY), (WithoutParts(), PHOTONS)],
)
def test_replayed_is_live(step: Step[Any], operator: Operator) -> None:
    state = Image(random(2, 1, 5, 6))
    tape = recorded(step, state, operator)
    live = step(state, InverseProblem(operator, random(2, 1, 4, 9, seed=5)))
    again = step(state, Replayed(tape, state, 1.0))
    torch.testing.assert_close(again.image, live.image, rtol=0, atol=0)
    assert tape.reason is None


def test_steps_whose_calls_depend_on_their_weights_are_found() -> None:
    image = Image(random(2, 1, 5, 6))
    assert recorded(DeepGradientStep(network(2, 1)), image).reason is None
    primal_dual = PrimalDualStep(network(3, 1), network(3, 2))
    state = PrimalDual(random(2, 2, 5, 6), random(2, 1, 4, 9))
    assert "operator call 2 (adjoint)" in (recorded(primal_dual, state).reason or "")
    frozen = PrimalDualStep(network(3, 1), network(3, 2)).requires_grad_(requires_grad=False)
    assert recorded(frozen, state).reason is None


def test_trained_tensors_of_the_operator_are_found() -> None:
    tape, u = Tape(), random(2, 1, 5, 6)
    data = random(2, 1, 4, 9).requires_grad_()
    Recording(InverseProblem(RAY, data), tape).gradient(u)
    assert "operator call 1 (gradient)" in (tape.reason or "")


def test_random_order_is_found() -> None:
    tape, step = Tape(), OnSubset(DeepGradientStep(network(2, 1)), Partition(2), 0, drawn=True)
    problem = InverseProblem(RAY, random(2, 1, 4, 9), draws=(1,))
    step(Image(random(2, 1, 5, 6)), Recording(problem, tape))
    assert "random order" in (tape.reason or "")


@pytest.mark.parametrize("change", [1e-4, -1.0])
def test_another_argument_is_refused_and_not_answered(change: float) -> None:
    """A weight that gets past autograd, by detach or data, does not get past the marks."""
    state = Image(random(2, 1, 5, 6))
    problem = Replayed(recorded(DeepGradientStep(network(2, 1)), state), state, 1.0)
    torch.testing.assert_close(problem.gradient(state.image), problem.gradient(state.image.clone()))
    other = state.image.clone()
    other[1, 0, 2, 3] += change
    for ask in (
        lambda: problem.gradient(other),
        lambda: problem.gradient(state.image.flip(-1)),
        lambda: problem.forward(state.image),
        lambda: problem.subset(slice(0, None, 2)).gradient(state.image),
        lambda: problem.data,
        lambda: problem.operator,
    ):
        with pytest.raises(ConfigError, match="cache_gb to 0"):
            ask()


def test_the_point_of_linearisation_counts_where_t_is_nonlinear() -> None:
    state = Image(random(2, 1, 5, 6))
    problem = Replayed(recorded(WithoutParts(), state, PHOTONS), state, 1.0)
    residual = PHOTONS(state.image) - random(2, 1, 4, 9, seed=5)
    first = problem.adjoint(residual, at=state.image)
    assert not torch.allclose(first, problem.adjoint(residual, at=2 * state.image))
    with pytest.raises(ConfigError, match="adjoint of something else"):
        problem.adjoint(residual, at=3 * state.image)


def test_marks_are_per_sample_and_see_order() -> None:
    x = random(3, 2, 4)
    assert marks_of(x).shape == (3, 3)
    torch.testing.assert_close(marks_of(x)[1:2], marks_of(x[1:2]))
    assert not torch.allclose(marks_of(x), marks_of(x.flip(-1)))
    assert marks_of(torch.complex(x, x)).isfinite().all()
