"""The normal equations against dense solves, and the closed form against conjugate gradients."""

from __future__ import annotations

import pytest
import torch
from tests.helpers import Conjugating, Dense, normal
from torch import Tensor

from learnedrecon.errors import ConfigError, DifferentiationError, ShapeError
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space
from learnedrecon.solvers.normal import solve_normal

COMPLEX = torch.complex128


class Mask(LinearOperator):
    """u ↦ m·u, with the closed form (m² + λ)⁻¹."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(Space((len(mask),), mask.dtype), Space((len(mask),), mask.dtype))
        self.register_buffer("mask", mask)

    def evaluate(self, u: Tensor) -> Tensor:
        return self.mask * u

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.mask * v

    def normal_inverse(self, b: Tensor, weight: Tensor | float) -> Tensor:
        return b / (self.mask**2 + weight)


def dense_solution(matrix: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype)
    lam = weight.reshape(-1, *[1] * b.ndim) if weight.ndim else weight
    return torch.linalg.solve(matrix.mH @ matrix + lam * eye, b.unsqueeze(-1)).squeeze(-1)


@pytest.mark.parametrize("dtype", [torch.float64, COMPLEX])
@pytest.mark.parametrize("weight", [0.3, torch.tensor([0.1, 2.0], dtype=torch.float64)])
def test_it_is_the_dense_solution(dtype: torch.dtype, weight: Tensor | float) -> None:
    matrix, b = normal(5, 8, dtype=dtype), normal(2, 3, 8, seed=1, dtype=dtype)
    result = solve_normal(Dense(matrix), b, weight, tolerance=1e-12)
    assert result.converged.all(), result.status
    expected = dense_solution(matrix, b, torch.as_tensor(weight, dtype=torch.float64))
    torch.testing.assert_close(result.solution, expected, rtol=1e-9, atol=1e-10)


def test_without_a_weight_it_is_least_squares() -> None:
    matrix, y = normal(9, 4), normal(9, seed=1)
    operator = Dense(matrix)
    result = solve_normal(operator, operator.adjoint(y), 0.0, tolerance=1e-12)
    torch.testing.assert_close(result.solution, torch.linalg.lstsq(matrix, y[:, None])[0][:, 0])


def test_the_closed_form_is_used_and_agrees() -> None:
    mask = torch.tensor([1.0, 0.0, 2.0, 0.5], dtype=torch.float64)
    b, weight = normal(2, 4), torch.tensor([0.1, 3.0], dtype=torch.float64)
    result = solve_normal(Mask(mask), b, weight)
    assert result.status == "Solved in closed form."
    assert result.converged.tolist() == [True, True]
    assert result.residuals.shape == (0, 2)
    by_cg = solve_normal(Dense(torch.diag(mask)), b, weight, tolerance=1e-13)
    torch.testing.assert_close(result.solution, by_cg.solution)
    singular = solve_normal(Mask(mask[2:]), b[:, 2:], 0.0, tolerance=1e-12)
    torch.testing.assert_close(singular.solution, b[:, 2:] / mask[2:] ** 2)


@pytest.mark.parametrize("scalar", [-0.3, 5.0, 0.0])
def test_a_multiple_has_the_closed_form_of_its_operator(scalar: float) -> None:
    mask, b = torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64), normal(2, 3)
    result = solve_normal(scalar * Mask(mask), b, 0.7)
    assert result.status == "Solved in closed form."
    torch.testing.assert_close(result.solution, b / ((scalar * mask) ** 2 + 0.7))
    iterated = solve_normal(3.0 * Dense(torch.diag(mask)), b, 0.7)
    assert iterated.status.startswith("Converged")


class Case:
    """Leaves b, λ and the operator's own tensor, and a loss of the solution."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.matrix = normal(2, 1, 5, 4, dtype=dtype).requires_grad_()  # one for each sample
        self.b = normal(2, 3, 4, seed=1, dtype=dtype).requires_grad_()
        self.weight = torch.tensor([0.2, 1.5], dtype=torch.float64, requires_grad=True)
        self.target = normal(2, 3, 4, seed=2, dtype=dtype)

    def gradients(self, solution: Tensor) -> list[Tensor]:
        loss = (solution - self.target).abs().square().sum()
        return list(torch.autograd.grad(loss, (self.matrix, self.b, self.weight)))

    def solution(self, tolerance: float) -> Tensor:
        return solve_normal(Dense(self.matrix), self.b, self.weight, tolerance=tolerance).solution


@pytest.mark.parametrize("dtype", [torch.float64, COMPLEX])
def test_gradients_are_those_of_a_dense_solve(dtype: torch.dtype) -> None:
    case = Case(dtype)
    ours = case.gradients(case.solution(1e-14))
    exact = case.gradients(dense_solution(case.matrix, case.b, case.weight))
    for a, b in zip(ours, exact, strict=True):
        assert (a - b).norm() <= 1e-10 * b.norm()


def test_gradients_are_as_exact_as_the_tolerance() -> None:
    case = Case(torch.float64)
    exact = case.gradients(dense_solution(case.matrix, case.b, case.weight))
    for tolerance in (1e-2, 1e-4, 1e-6, 1e-8):
        for a, b in zip(case.gradients(case.solution(tolerance)), exact, strict=True):
            assert (a - b).norm() <= 100 * tolerance * b.norm()
    loose = case.gradients(case.solution(0.5))
    assert any((a - b).norm() > 1e-3 * b.norm() for a, b in zip(loose, exact, strict=True))


def test_gradients_in_the_angles_of_a_ray_transform() -> None:
    """Against central differences of the solution itself."""
    ray = RayTransform(ParallelBeam((6, 5), AngleRange(4), FlatDetector(9)), torch.float64)
    angles = torch.tensor([0.1, 0.9, 1.7, 2.6], dtype=torch.float64, requires_grad=True)
    y, c = normal(1, 1, 4, 9), normal(1, 1, 6, 5, seed=1)

    def value(at: Tensor) -> Tensor:
        operator = ray.with_tensors({"angles": at})
        result = solve_normal(operator, operator.adjoint(y), 0.5, tolerance=1e-13)
        return (c * result.solution).sum()

    (gradient,) = torch.autograd.grad(value(angles), angles)
    direction = normal(4, seed=3)
    h = 1e-5
    with torch.no_grad():
        difference = (value(angles + h * direction) - value(angles - h * direction)) / (2 * h)
    assert float(difference) == pytest.approx(float(gradient @ direction), rel=1e-6)


def test_real_linear_operators_have_gradients_too() -> None:
    first, second = normal(5, 3, dtype=COMPLEX), normal(5, 3, seed=1, dtype=COMPLEX)
    b = normal(3, seed=2, dtype=COMPLEX).requires_grad_()
    c = normal(3, seed=3, dtype=COMPLEX)
    result = solve_normal(Conjugating(first, second), b, 0.4, tolerance=1e-13)
    (gradient,) = torch.autograd.grad((c.conj() * result.solution).real.sum(), b)
    again = solve_normal(Conjugating(first, second), c, 0.4, tolerance=1e-13)
    torch.testing.assert_close(gradient, again.solution)  # the inverse is symmetric


def test_second_derivatives_are_right_or_refused() -> None:
    case = Case(torch.float64)
    with pytest.raises(DifferentiationError, match="create_graph"):
        torch.autograd.grad(case.solution(1e-8).sum(), case.b, create_graph=True)
    b = normal(3).requires_grad_()
    weight = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64)
    assert torch.autograd.gradgradcheck(
        lambda b, w: solve_normal(Mask(mask), b, w).solution, (b, weight)
    )


def test_float32_stays_float32() -> None:
    matrix, b = normal(6, 4), normal(2, 4, seed=1)
    result = solve_normal(Dense(matrix.float()), b.float(), 0.1)
    assert result.converged.all(), result.status
    assert result.solution.dtype == torch.float32
    exact = dense_solution(matrix, b, torch.tensor(0.1, dtype=torch.float64))
    assert (result.solution - exact).norm() < 1e-5 * exact.norm()


def test_what_makes_no_sense_is_refused() -> None:
    operator, b = Dense(normal(5, 4)), normal(2, 4)
    with pytest.raises(ConfigError, match="at least 0"):
        solve_normal(operator, b, -0.1)
    with pytest.raises(ShapeError, match="one per sample"):
        solve_normal(operator, b, torch.ones(3))
    with pytest.raises(ShapeError, match="last axes"):
        solve_normal(operator, normal(2, 5), 0.1)
    with pytest.raises(ConfigError, match="tolerance"):
        solve_normal(operator, b, 0.1, tolerance=2.0)
