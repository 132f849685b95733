"""The words T*y and (T*T + λI)⁻¹b of a problem, whichever problem stands around it."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import torch
from tests.helpers import Dense, normal
from torch import Tensor

from learnedrecon.errors import ConfigError, GeometryError
from learnedrecon.operators.imaging.shapes import Identity
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem, Problem
from learnedrecon.schemes.scaling import AdjointScale, rescale
from learnedrecon.solvers.normal import NormalSolver
from learnedrecon.testing import dense_matrix
from learnedrecon.testing.counting import Cost, Counted
from learnedrecon.testing.steps import Sealed
from learnedrecon.training.greedy.tape import Recording, Replayed, Tape

SCAN = ParallelBeam((4, 5), AngleRange(6), FlatDetector(7))
RAY = RayTransform(SCAN, torch.float64)
CURVED = TransmissionCT(Transmission(SCAN, 0.1), torch.float64)
EXACT = NormalSolver(tolerance=1e-13, max_iterations=200)
Y = normal(2, 1, 6, 7)
B = normal(2, 1, 4, 5, seed=1)


def dense_solution(matrix: Tensor, b: Tensor, weight: Tensor | float) -> Tensor:
    """(M*M + λI)⁻¹ b for b (batch, channel, n) and λ a number or (batch,)."""
    lam = torch.as_tensor(weight, dtype=torch.float64).reshape(-1, 1, 1, 1)
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype)
    return torch.linalg.solve(matrix.mH @ matrix + lam * eye, b.unsqueeze(-1)).squeeze(-1)


def solution(operator: LinearOperator, b: Tensor, weight: Tensor | float) -> Tensor:
    flat = b.reshape(*b.shape[:2], -1)
    return dense_solution(dense_matrix(operator), flat, weight).reshape(b.shape)


class Applications(LinearOperator):
    """T, counting the calls of T*."""

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.domain, operator.codomain)
        self.operator, self.adjoints = operator, 0

    def evaluate(self, u: Tensor) -> Tensor:
        return self.operator.evaluate(u)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        self.adjoints += 1
        return self.operator.evaluate_adjoint(v)


def test_back_is_the_adjoint_of_the_data_computed_once() -> None:
    operator = Applications(RAY)
    problem = InverseProblem(operator, Y)
    for _ in range(3):
        torch.testing.assert_close(problem.back, RAY.adjoint(Y))
    assert operator.adjoints == 1
    other = replace(problem, data=2 * Y)
    torch.testing.assert_close(other.back, 2 * RAY.adjoint(Y))
    part = InverseProblem(RAY, Y).subset([4, 1])
    torch.testing.assert_close(part.back, RAY.subset([4, 1]).adjoint(Y[:, :, [4, 1]]))


def test_back_has_gradients_also_after_it_was_asked_for_without() -> None:
    data = Y.clone().requires_grad_()
    problem = InverseProblem(RAY, data)
    with torch.inference_mode():
        first = problem.back
    with torch.no_grad():
        assert torch.equal(problem.back, first)
    for _ in range(2):
        (gradient,) = torch.autograd.grad((problem.back * B).sum(), data)
        torch.testing.assert_close(gradient, RAY(B))


def test_back_and_solve_need_a_linear_operator() -> None:
    problem = InverseProblem(CURVED, Y)
    with pytest.raises(GeometryError, match=r"problem\.adjoint\(v, at=u\)"):
        _ = problem.back
    for wrapped in (problem, Counted(problem)):
        with pytest.raises(GeometryError, match="linearise it"):
            wrapped.solve(B, 0.1)


@pytest.mark.parametrize("weight", [0.3, torch.tensor([0.1, 2.0], dtype=torch.float64)])
def test_solve_is_the_dense_solution(weight: Tensor | float) -> None:
    problem = InverseProblem(RAY, Y, solver=EXACT)
    torch.testing.assert_close(problem.solve(B, weight), solution(RAY, B, weight))


def test_solve_is_the_proximal_map_of_the_data_term() -> None:
    """The minimiser x of ½‖Tx - y‖² + λ/2 ‖x - z‖² has T*(Tx - y) + λ(x - z) = 0."""
    problem, z = InverseProblem(RAY, Y, solver=EXACT), normal(2, 1, 4, 5, seed=2)
    x = problem.solve(problem.back + 0.7 * z, 0.7)
    torch.testing.assert_close(problem.gradient(x), 0.7 * (z - x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_gradients_in_b_weight_data_and_tensors_are_those_of_a_dense_solve(
    dtype: torch.dtype,
) -> None:
    matrix = normal(2, 1, 5, 4, dtype=dtype).requires_grad_()
    y = normal(2, 3, 5, seed=1, dtype=dtype).requires_grad_()
    z = normal(2, 3, 4, seed=2, dtype=dtype).requires_grad_()
    weight = torch.tensor([0.2, 1.5], dtype=torch.float64, requires_grad=True)
    lam, target = weight.reshape(2, 1, 1), normal(2, 3, 4, seed=3, dtype=dtype)

    def gradients(found: Tensor) -> tuple[Tensor, ...]:
        loss = (found - target).abs().square().sum()
        return torch.autograd.grad(loss, (matrix, y, z, weight))

    problem = InverseProblem(Dense(matrix), y, solver=EXACT)
    ours = gradients(problem.solve(problem.back + lam * z, weight))
    back = (matrix.mH @ y.unsqueeze(-1)).squeeze(-1)
    exact = gradients(dense_solution(matrix, back + lam * z, weight))
    for a, b in zip(ours, exact, strict=True):
        assert (a - b).norm() <= 1e-10 * b.norm()


def test_the_closed_form_is_conjugate_gradients_to_their_tolerance() -> None:
    operator, b = 3.0 * Identity(Space((5,), torch.float64)), normal(2, 1, 5)
    problem = InverseProblem(operator, b)
    counted = Counted(problem)
    closed = counted.solve(b, 0.5)
    torch.testing.assert_close(closed, b / 9.5)
    assert counted.cost == Cost(0, 0)
    iterated = InverseProblem(Dense(3 * torch.eye(5, dtype=torch.float64)), b)
    assert (iterated.solve(b, 0.5) - closed).norm() <= 1e-5 * closed.norm()


def test_the_tolerance_is_kept_or_missed_aloud(caplog: pytest.LogCaptureFixture) -> None:
    normal_matrix = dense_matrix(RAY).mT @ dense_matrix(RAY) + 1e-3 * torch.eye(20).double()
    for tolerance in (1e-2, 1e-6):
        solver = NormalSolver(tolerance=tolerance, max_iterations=200)
        found = InverseProblem(RAY, Y, solver=solver).solve(B, 1e-3).reshape(2, 20)
        rest = (B.reshape(2, 20) - found @ normal_matrix).norm(dim=1) / B.reshape(2, 20).norm(dim=1)
        assert rest.max() <= tolerance
    assert not caplog.records
    with caplog.at_level(logging.WARNING, logger="learnedrecon"):
        InverseProblem(RAY, Y, solver=NormalSolver(1e-6, 2)).solve(B, 1e-3)
    assert "not as exact as asked for" in caplog.text
    assert "2 of 2 samples" in caplog.text
    with pytest.raises(ConfigError, match="tolerance"):
        NormalSolver(tolerance=0.0)


def test_subsets_and_scaled_problems_solve_with_their_own_operator() -> None:
    problem = InverseProblem(RAY, Y, solver=EXACT)
    part = problem.subset([5, 0, 2])
    assert part.solver is EXACT
    torch.testing.assert_close(part.solve(B, 0.3), solution(RAY.subset([5, 0, 2]), B, 0.3))
    scaled = rescale(problem, 0.02)
    torch.testing.assert_close(scaled.solve(B, 0.3), solution(RAY / float(RAY.norm()), B, 0.3))
    torch.testing.assert_close(scaled.back, RAY.adjoint(Y) / (0.02 * float(RAY.norm()) ** 2))


def test_the_scale_of_the_adjoint_is_found_from_back() -> None:
    operator = Applications(RAY)
    problem = InverseProblem(operator, Y)
    operator.norm()
    before = operator.adjoints
    for _ in range(2):
        _, c = AdjointScale()(problem)
        assert isinstance(c, Tensor)
        expected = RAY.adjoint(Y).abs().flatten(1).amax(1) / operator.norm() ** 2
        torch.testing.assert_close(c.flatten(), expected)
    assert operator.adjoints == before + 1


def test_every_problem_passes_them_on() -> None:
    problem = InverseProblem(RAY, Y, solver=EXACT)
    for outer in (Sealed(problem), Counted(problem), Recording(problem, Tape())):
        torch.testing.assert_close(outer.back, RAY.adjoint(Y))
        torch.testing.assert_close(outer.solve(B, 0.3), solution(RAY, B, 0.3))
        torch.testing.assert_close(outer.to("cpu").solve(B, 0.3), problem.solve(B, 0.3))


def test_applications_are_counted_but_not_those_of_gradients() -> None:
    y, b = Y.clone().requires_grad_(), B.clone().requires_grad_()
    cost = Cost()
    counted = Counted(InverseProblem(RAY, y.detach(), solver=EXACT), cost)
    _ = counted.back, counted.back
    assert cost == Cost(0, 2)
    found = counted.solve(b, 0.5)
    steps = cost.forward / 2
    # One application a step, and one for the residual that ends it.
    assert 5 <= steps <= 40
    assert cost.adjoint == cost.forward + 2
    spent = replace(cost)
    found.sum().backward()
    assert cost == spent
    half = Counted(InverseProblem(RAY, Y, solver=NormalSolver(0.9, 1))).subset([0, 1, 2])
    half.solve(RAY.subset([0, 1, 2]).adjoint(Y[:, :, :3]), 1e9)
    assert half.cost == Cost(2, 2)


def test_a_tape_answers_what_was_solved() -> None:
    problem = InverseProblem(RAY, Y, solver=EXACT)
    tape = Tape()
    recording = Recording(problem, tape)
    weight = torch.tensor([0.1, 2.0], dtype=torch.float64)
    answers = (recording.back, recording.solve(B, 0.3), recording.solve(B, weight))
    replayed: Problem = Replayed(tape, (B,), 1.0)
    assert torch.equal(replayed.back, answers[0])
    assert torch.equal(replayed.solve(B, 0.3), answers[1])
    assert torch.equal(replayed.solve(B, weight), answers[2])
    with pytest.raises(ConfigError, match="solve of something else"):
        replayed.solve(B, 0.4)
