"""Deep equilibria: the fixed point and its derivative, against dense solves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
import torch
from tests.helpers import normal
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, DifferentiationError
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem, Problem
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.implicit import FixedPointBackward, Implicit, JacobianFree
from learnedrecon.schemes.step import Chain, Repeat, Step
from learnedrecon.solvers.anderson import Anderson
from learnedrecon.solvers.fixed_point import Picard

if TYPE_CHECKING:
    from collections.abc import Sequence

SHAPE = (2, 1, 3, 4)


class Image(NamedTuple):
    image: Tensor


class Contraction(Step[Image]):
    """u ← u + η(T*(y - Tu)) - 0.2 tanh(Ku): a contraction for the T below."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.network = nn.Conv2d(1, 1, 3, padding=1, dtype=torch.float64)
        with torch.no_grad():
            self.network.weight.copy_(0.2 * normal(1, 1, 3, 3, seed=seed))
            nn.init.constant_(self.network.get_parameter("bias"), 0.1)

    def forward(self, state: Image, problem: Problem) -> Image:
        (u,) = state
        return Image(u - 0.5 * problem.gradient(u) - 0.2 * self.network(u).tanh())


def measured(data: Tensor | None = None, diagonal: Tensor | None = None) -> InverseProblem:
    diagonal = 0.8 + 0.2 * normal(3, 4, seed=5).tanh() if diagonal is None else diagonal
    operator = Diagonal(Space((3, 4), torch.float64), diagonal)
    return InverseProblem(operator, normal(*SHAPE, seed=6) if data is None else data)


EXACT = Anderson(1e-13, 200)


def leaf_gradients(scheme: Step[Image], weights: Sequence[Tensor]) -> list[Tensor]:
    """In the weights, the data and the operator's diagonal."""
    data = normal(*SHAPE, seed=6).requires_grad_()
    diagonal = (0.8 + 0.2 * normal(3, 4, seed=5).tanh()).requires_grad_()
    end = scheme(Image(torch.zeros(SHAPE, dtype=torch.float64)), measured(data, diagonal))
    loss = (end.image * normal(*SHAPE, seed=7)).sum() + end.image.square().sum()
    return list(torch.autograd.grad(loss, [*weights, data, diagonal]))


def test_the_implicit_gradient_is_that_of_many_unrolled_steps() -> None:
    step = Contraction()
    implicit = FixedPoint(step, EXACT, Implicit(EXACT))
    found = leaf_gradients(implicit, list(step.parameters()))
    unrolled = leaf_gradients(Repeat(step, 200), list(step.parameters()))
    for a, b in zip(found, unrolled, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-11)
    assert implicit.result is not None
    assert implicit.backward_result is not None
    assert bool(implicit.result.converged.all() and implicit.backward_result.converged.all())


def test_the_implicit_gradient_is_a_dense_solve() -> None:
    step, given = Contraction(), measured()
    fixed = FixedPoint(step, EXACT, Implicit(EXACT))
    point = fixed(Image(torch.zeros(SHAPE, dtype=torch.float64)), given).image
    v = normal(*SHAPE, seed=8)
    found = torch.autograd.grad(point, step.network.weight, v)[0]

    def flat(u: Tensor) -> Tensor:
        return step(Image(u.reshape(SHAPE)), given).image.flatten()

    z = point.detach().flatten()
    jacobian = torch.autograd.functional.jacobian(flat, z)
    g = torch.linalg.solve((torch.eye(len(z), dtype=z.dtype) - jacobian).T, v.flatten())
    once = step(Image(point.detach()), given).image
    expected = torch.autograd.grad(once, step.network.weight, g.reshape(SHAPE))[0]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def test_the_implicit_gradient_agrees_with_finite_differences() -> None:
    step, given = Contraction(), measured()
    fixed = FixedPoint(step, EXACT, Implicit(EXACT))
    start = Image(torch.zeros(SHAPE, dtype=torch.float64))
    v = normal(*SHAPE, seed=8)
    (gradient,) = torch.autograd.grad((fixed(start, given).image * v).sum(), step.network.weight)
    direction = normal(1, 1, 3, 3, seed=9)

    @torch.no_grad()
    def value(h: float) -> float:
        step.network.weight.add_(h * direction)
        result = float((fixed(start, given).image * v).sum())
        step.network.weight.sub_(h * direction)
        return result

    quotient = (value(1e-5) - value(-1e-5)) / 2e-5
    assert abs(quotient - float((gradient * direction).sum())) < 1e-8 * abs(quotient)


def error(found: list[Tensor], exact: list[Tensor]) -> float:
    gap = torch.cat([(a - b).flatten() for a, b in zip(found, exact, strict=True)])
    return float(gap.norm() / torch.cat([b.flatten() for b in exact]).norm())


def test_the_error_is_proportional_to_the_residual() -> None:
    step = Contraction()
    weights = list(step.parameters())
    exact = leaf_gradients(FixedPoint(step, EXACT, Implicit(EXACT)), weights)
    errors = []
    for tolerance in (1e-2, 1e-4, 1e-6):
        solver = Picard(tolerance, 500)
        loose = FixedPoint(step, solver, Implicit(solver))
        errors.append(error(leaf_gradients(loose, weights), exact))
        assert 0.01 * tolerance < errors[-1] < 10 * tolerance
    tightened = FixedPoint(step, EXACT, Implicit(Picard(1e-2, 500), tolerance=1e-12))
    assert error(leaf_gradients(tightened, weights), exact) < 1e-10


def test_more_steps_of_the_jacobian_free_gradient_tend_to_the_implicit_one() -> None:
    step = Contraction()
    weights = list(step.parameters())
    exact = leaf_gradients(FixedPoint(step, EXACT, Implicit(EXACT)), weights)
    errors = [
        error(leaf_gradients(FixedPoint(step, EXACT, JacobianFree(n)), weights), exact)
        for n in (1, 2, 4, 8, 80)
    ]
    assert errors == sorted(errors, reverse=True)
    assert 0.01 < errors[0] < 1
    assert errors[-1] < 1e-6
    damped = FixedPoint(step, EXACT, JacobianFree(160, damping=0.5))
    assert error(leaf_gradients(damped, weights), exact) < 1e-4


@pytest.mark.parametrize("damping", [0.2, 0.5, 0.9])
def test_a_damped_step_moves_by_its_damping(damping: float) -> None:
    """z + d(Λ(z) - z): one step has d times the derivative; two have d((1 - d) + dJ*) more."""
    step, given = Contraction(), measured()
    point = FixedPoint(step, EXACT)(Image(torch.zeros(SHAPE, dtype=torch.float64)), given).image
    z, weight = point.detach().requires_grad_(), step.network.weight
    v = normal(*SHAPE, seed=8)
    once = step(Image(z), given).image
    through, whole = torch.autograd.grad(once, (z, weight), v)
    back = torch.autograd.grad(step(Image(z), given).image, weight, through)[0]
    expected = [damping * whole, damping * ((2 - damping) * whole + damping * back)]
    for number, gradient in enumerate(expected, start=1):
        fixed = FixedPoint(step, EXACT, JacobianFree(number, damping))
        end = fixed(Image(torch.zeros(SHAPE, dtype=torch.float64)), given).image
        (found,) = torch.autograd.grad(end, weight, v)
        torch.testing.assert_close(found, gradient, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("backward", [Implicit(), JacobianFree(3)], ids=repr)
def test_the_initial_state_has_no_derivative(backward: FixedPointBackward) -> None:
    start = torch.zeros(SHAPE, dtype=torch.float64, requires_grad=True)
    end = FixedPoint(Contraction(), EXACT, backward)(Image(start), measured()).image
    (gradient,) = torch.autograd.grad(end.sum(), start, allow_unused=True)
    assert gradient is None


def test_fixed_points_within_chains() -> None:
    inner = FixedPoint(Chain([Contraction(1), Contraction(2)]), EXACT, Implicit(EXACT))
    chain = Chain([inner, Contraction(4)])
    found = leaf_gradients(chain, list(chain.parameters()))
    unrolled = Chain([Repeat(inner.step, 150), chain[1]])
    expected = leaf_gradients(unrolled, list(unrolled.parameters()))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


def test_within_torch_checkpoint() -> None:
    step = Contraction()
    fixed = FixedPoint(step, EXACT, Implicit(EXACT))
    start, given = torch.zeros(SHAPE, dtype=torch.float64), measured()

    def run(image: Tensor) -> Tensor:
        return fixed(Image(image), given).image.square().sum()

    inside = torch.utils.checkpoint.checkpoint(run, start, use_reentrant=False)
    found = torch.autograd.grad(inside, list(step.parameters()))
    for a, b in zip(found, torch.autograd.grad(run(start), list(step.parameters())), strict=True):
        torch.testing.assert_close(a, b)


def test_not_converging_is_said(caplog: pytest.LogCaptureFixture) -> None:
    fixed = FixedPoint(Contraction(), Picard(1e-12, 2), Implicit(Picard(1e-12, 2)))
    end = fixed(Image(torch.zeros(SHAPE, dtype=torch.float64)), measured())
    assert "A fixed point: Not converged: 2 of 2" in caplog.text
    end.image.sum().backward()
    assert "backward pass of a fixed point: Not converged" in caplog.text
    assert fixed.backward_result is not None
    assert not bool(fixed.backward_result.converged.any())


def test_second_derivatives_are_refused() -> None:
    step = Contraction()
    end = FixedPoint(step, EXACT)(Image(torch.zeros(SHAPE, dtype=torch.float64)), measured())
    with pytest.raises(DifferentiationError, match="create_graph"):
        torch.autograd.grad(end.image.sum(), list(step.parameters()), create_graph=True)


class WithDropout(Contraction):
    def forward(self, state: Image, problem: Problem) -> Image:
        return Image(nn.functional.dropout(super().forward(state, problem).image, 0.1))


def test_random_steps_are_refused() -> None:
    fixed = FixedPoint(WithDropout(), Picard(1e-3, 2))
    with pytest.raises(DifferentiationError, match="default generator"):
        fixed(Image(torch.zeros(SHAPE, dtype=torch.float64)), measured())


class Mixed(NamedTuple):
    image: Tensor
    data: Tensor
    number: Tensor


class Constant(Step[Mixed]):
    """Fields without a derivative, floating or not, may travel in a state."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Contraction()

    def forward(self, state: Mixed, problem: Problem) -> Mixed:
        (image,) = self.inner(Image(state.image), problem)
        return Mixed(image, problem.data, state.number)


@pytest.mark.parametrize("backward", [Implicit(EXACT), JacobianFree(3, 0.5)], ids=repr)
def test_fields_without_a_derivative(backward: FixedPointBackward) -> None:
    step, zero = Constant(), torch.zeros(SHAPE, dtype=torch.float64)
    state = Mixed(zero, zero, torch.full((2, 1), 7))
    end = FixedPoint(step, EXACT, backward)(state, measured())
    alone = FixedPoint(step.inner, EXACT, backward)(Image(zero), measured()).image
    assert end.number.tolist() == [[7], [7]]
    assert torch.equal(end.data, measured().data)
    found, expected = (
        torch.autograd.grad(image.square().sum(), step.inner.network.weight)[0]
        for image in (end.image, alone)
    )
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


INNER = Anderson(1e-11, 50)


class Outer(Step[Image]):
    """A step with a fixed point inside."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = FixedPoint(Contraction(1), INNER, Implicit(INNER))
        self.other = Contraction(2)

    def forward(self, state: Image, problem: Problem) -> Image:
        moved = measured(problem.data + 0.1 * state.image)
        inner = self.inner(Image(torch.zeros_like(state.image)), moved).image
        return Image(0.5 * inner + 0.5 * self.other(state, problem).image)


@pytest.mark.slow
def test_fixed_points_within_fixed_points() -> None:
    step, start = Outer(), Image(torch.zeros(SHAPE, dtype=torch.float64))
    found, expected = (
        torch.autograd.grad(scheme(start, measured()).image.square().sum(), list(step.parameters()))
        for scheme in (FixedPoint(step, INNER, Implicit(INNER)), Repeat(step, 30))
    )
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-8)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize("backward", [Implicit(EXACT), JacobianFree(3, 0.5)], ids=repr)
def test_compiled_steps(backward: FixedPointBackward) -> None:
    step = Contraction()
    weights = list(step.parameters())
    scheme = FixedPoint(step, EXACT, backward)
    expected = leaf_gradients(scheme, weights)
    torch._dynamo.reset()
    step.compile(backend="aot_eager")
    for a, b in zip(leaf_gradients(scheme, weights), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


def test_iterates_and_fewer_iterations() -> None:
    fixed, given = FixedPoint(Contraction(), Picard(0.0, 7)), measured()
    start = Image(torch.zeros(SHAPE, dtype=torch.float64))
    seen = list(fixed.iterates(start, given))
    assert len(seen) == 7
    by_hand = Repeat(fixed.step, 3)(start, given)
    torch.testing.assert_close(seen[2].image, by_hand.image)
    assert len(list(fixed.with_iterations(3).iterates(start, given))) == 3


def test_complex_images() -> None:
    class Complex(Step[Image]):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(0.2 + 0.3j, dtype=torch.complex128))

        def forward(self, state: Image, problem: Problem) -> Image:
            u = state.image
            return Image(u - 0.5 * problem.gradient(u) - self.weight * 0.5 * u / (1 + u.abs()))

    step = Complex()
    data = torch.complex(normal(*SHAPE), normal(*SHAPE, seed=1))
    given = InverseProblem(
        Diagonal(Space((3, 4), torch.complex128), 0.9 + normal(3, 4).abs() / 9), data
    )
    start = Image(torch.zeros(SHAPE, dtype=torch.complex128))
    weight = normal(*SHAPE, seed=3)
    found, expected = (
        torch.autograd.grad((scheme(start, given).image.real * weight).sum(), step.weight)[0]
        for scheme in (FixedPoint(step, EXACT, Implicit(EXACT)), Repeat(step, 200))
    )
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


def test_fields_out_of_range() -> None:
    for build in (lambda: JacobianFree(0), lambda: JacobianFree(damping=0.0)):
        with pytest.raises(ConfigError, match="steps >= 1"):
            build()


class Pair(NamedTuple):
    image: Tensor
    shadow: Tensor


class Shadowed(Step[Pair]):
    """Carries an image of the image that nothing depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Contraction()

    def forward(self, state: Pair, problem: Problem) -> Pair:
        u = self.inner(Image(state.image), problem).image
        return Pair(u, u.square())


def test_a_field_that_no_step_reads_has_its_gradient() -> None:
    """Against 200 steps that are unrolled; Λ does not depend on the second field of the state."""
    step = Shadowed()
    zeros = torch.zeros(SHAPE, dtype=torch.float64)
    found = []
    for scheme in (FixedPoint(step, EXACT, Implicit(EXACT)), Repeat(step, 200)):
        data = normal(*SHAPE, seed=6).requires_grad_()
        end = scheme(Pair(zeros, zeros), measured(data))
        loss = (end.image * normal(*SHAPE, seed=7)).sum() + end.shadow.sum()
        found.append(torch.autograd.grad(loss, [data, *step.parameters()]))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-11)
