"""The kit finds derivatives of fixed points that are wrong, and says how good rough ones are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import pytest
import torch
from tests.helpers import normal
from torch import Tensor

from learnedrecon.errors import PropertyError
from learnedrecon.functionals.base import Regulariser, per_sample
from learnedrecon.models.equilibrium import GradientEquilibrium, ProximalEquilibrium
from learnedrecon.models.equilibrium_splitting import (
    AdmmEquilibrium,
    ImageAndMultiplier,
    PrimalDualEquilibrium,
)
from learnedrecon.models.learned_primal_dual import PrimalDual
from learnedrecon.networks.bounded import NearIdentity
from learnedrecon.networks.lipschitz import LipschitzNet, LipschitzSpec
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem, Problem
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.implicit import FixedPointBackward, Implicit, JacobianFree, Report
from learnedrecon.schemes.state import Image
from learnedrecon.solvers.fixed_point import Picard
from learnedrecon.testing import check_fixed_point

if TYPE_CHECKING:
    from learnedrecon.schemes.step import Step

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]
SHAPE = (2, 1, 4, 5)


class Ridge(Regulariser):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.1, dtype=torch.float64))

    def forward(self, u: Tensor) -> Tensor:
        return per_sample(0.5 * self.weight * u.square())

    def gradient(self, u: Tensor) -> Tensor:
        return self.weight * u


def problem(
    dtype: torch.dtype = torch.float64, regulariser: Regulariser | None = None
) -> InverseProblem:
    diagonal = (0.85 + 0.15 * normal(4, 5, seed=5).tanh()).to(dtype).requires_grad_()
    operator = Diagonal(Space((4, 5), dtype), diagonal)
    return InverseProblem(operator, normal(*SHAPE, seed=6).to(dtype), regulariser=regulariser)


def network(epsilon: float = 0.3) -> NearIdentity:
    torch.manual_seed(0)
    return NearIdentity(LipschitzNet(LipschitzSpec((1, 4, 1))), epsilon).double()


class WithRidge(GradientEquilibrium):
    def forward(self, state: Image, problem: Problem) -> Image:
        moved = super().forward(state, problem).image
        assert problem.regulariser is not None
        return Image(moved - 0.3 * problem.regulariser.gradient(state.image))


def zero(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.zeros(SHAPE, dtype=dtype)


def test_the_equilibrium_steps_pass() -> None:
    gradient = GradientEquilibrium(network(), 0.3).double()
    check_fixed_point(FixedPoint(gradient), Image(zero()), problem())
    check_fixed_point(FixedPoint(ProximalEquilibrium(network())), Image(zero()), problem())
    admm = AdmmEquilibrium(network()).double()
    start = ImageAndMultiplier(zero(), zero())
    check_fixed_point(FixedPoint(admm), start, problem(), unrolled=80)
    pdhg = PrimalDualEquilibrium(network()).double()
    check_fixed_point(FixedPoint(pdhg), PrimalDual(zero(), zero()), problem())


def test_every_leaf_counts_and_approximate_derivatives_are_observed() -> None:
    step = WithRidge(network(), 0.3).double()
    report = check_fixed_point(FixedPoint(step), Image(zero()), problem(regulariser=Ridge()))
    # λ, two layers of weight and bias, the data, the diagonal, and the weight of the ridge
    assert report.measured("implicit gradients of 8 leaves are those of the steps") < 1e-8
    errors = [report.measured(f"JacobianFree({k}): relative error") for k in (1, 2, 4, 8)]
    cosines = [report.measured(f"JacobianFree({k}): cosine") for k in (1, 2, 4, 8)]
    assert errors == sorted(errors, reverse=True)
    assert cosines == sorted(cosines)
    assert 0.01 < errors[0] < 1
    assert cosines[0] < 1 - 1e-6 < cosines[-1] <= 1 + 1e-12
    assert "(observed)" in str(report)


def test_single_precision() -> None:
    step = GradientEquilibrium(network().float(), 0.3)
    single = torch.float32
    check_fixed_point(FixedPoint(step), Image(zero(single)), problem(single))


@dataclass(frozen=True)
class IgnoresTheJacobian(Implicit):
    def attach(self, step: Step[S], point: S, problem: Problem, report: Report) -> S:
        super().attach(step, point, problem, report)
        return step(point, problem)


@dataclass(frozen=True)
class ForgetsTheData(Implicit):
    def attach(self, step: Step[S], point: S, problem: Problem, report: Report) -> S:
        assert isinstance(problem, InverseProblem)
        cut = InverseProblem(problem.operator, problem.data.detach())
        return super().attach(step, point, cut, report)


@dataclass(frozen=True)
class LeavesTheStart(Implicit):
    def attach(self, step: Step[S], point: S, problem: Problem, report: Report) -> S:
        end = super().attach(step, point, problem, report)
        return type(end)(*(1.001 * tensor for tensor in end))


@pytest.mark.parametrize(
    ("mode", "what"),
    [
        (IgnoresTheJacobian(), "the backward solve converges"),
        (ForgetsTheData(), "worst: data"),
        (LeavesTheStart(), "where the steps end"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_wrong_derivatives_are_found(mode: FixedPointBackward, what: str) -> None:
    step = GradientEquilibrium(network(), 0.3).double()
    with pytest.raises(PropertyError, match=what):
        check_fixed_point(FixedPoint(step, backward=mode), Image(zero()), problem())


@dataclass(frozen=True)
class HalfSolved(Implicit):
    """A solve of g = J*g + v whose result is halved on the way to the leaves."""

    def attach(self, step: Step[S], point: S, problem: Problem, report: Report) -> S:
        end = super().attach(step, point, problem, report)
        return type(end)(*(0.5 * tensor + 0.5 * tensor.detach() for tensor in end))


def test_wrong_factors_are_found() -> None:
    step = GradientEquilibrium(network(), 0.3).double()
    with pytest.raises(PropertyError, match="implicit gradients of 7 leaves"):
        check_fixed_point(FixedPoint(step, backward=HalfSolved()), Image(zero()), problem())


def test_steps_that_do_not_contract_or_too_few_of_them_are_found() -> None:
    step = GradientEquilibrium(network(), 0.3, step=3.0).double()
    with pytest.raises(PropertyError, match="the forward solve converges"):
        check_fixed_point(FixedPoint(step, Picard()), Image(zero()), problem())
    step = GradientEquilibrium(network(), 0.3).double()
    with pytest.raises(PropertyError, match="where the steps end"):
        check_fixed_point(FixedPoint(step), Image(zero()), problem(), unrolled=3)


@dataclass(frozen=True)
class Reversed(JacobianFree):
    """An approximation in the wrong direction."""

    def attach(self, step: Step[S], point: S, problem: Problem, report: Report) -> S:
        end = super().attach(step, point, problem, report)
        return type(end)(*(2 * tensor.detach() - tensor for tensor in end))


def test_an_approximation_in_the_wrong_direction_shows() -> None:
    step = GradientEquilibrium(network(), 0.3).double()
    fixed = FixedPoint(step, backward=Reversed())
    report = check_fixed_point(fixed, Image(zero()), problem(), steps=(1, 8))
    assert report.measured("JacobianFree(8): cosine") < -0.9
    assert report.measured("JacobianFree(8): relative error") > 1.9
    damped = FixedPoint(step, backward=JacobianFree(damping=0.5))
    rough = check_fixed_point(damped, Image(zero()), problem(), steps=(1, 8))
    assert rough.measured("JacobianFree(8): relative error") > 0.0
