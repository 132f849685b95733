"""Conjugate gradients against dense solves, SciPy's, and themselves one by one."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import cg as scipy_cg
from tests.helpers import Conjugating, Dense, normal, spd
from torch import Tensor

from learnedrecon.errors import ConfigError, DataError, DifferentiationError, ShapeError
from learnedrecon.solvers.cg import cg
from learnedrecon.testing import dense_matrix

DTYPES = [torch.float32, torch.float64, torch.complex64, torch.complex128]


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_solves_dense_systems(dtype: torch.dtype) -> None:
    A, b = spd(20, dtype=dtype), normal(3, 2, 20, dtype=dtype)
    tolerance = 1e-5 if dtype.to_real() == torch.float32 else 1e-13
    result = cg(Dense(A), b, tolerance=tolerance)
    assert result.converged.all(), result.status
    assert result.solution.dtype == dtype
    expected = torch.linalg.solve(A, b.unsqueeze(-1)).squeeze(-1)
    error = (result.solution - expected).norm() / expected.norm()
    assert error < 100 * tolerance  # the condition number
    residual = (b - Dense(A)(result.solution)).norm(dim=-1) / b.norm(dim=-1)
    torch.testing.assert_close(result.residuals[-1], residual.double(), rtol=1e-4, atol=1e-9)
    assert result.residuals.shape == (result.iterations.max() + 1, 3, 2)


def test_iterates_are_those_of_scipy() -> None:
    A, b = spd(20), normal(20)
    for steps in (1, 2, 5, 9):
        ours = cg(Dense(A), b, tolerance=1e-15, max_iterations=steps)
        theirs, _ = scipy_cg(A.numpy(), b.numpy(), rtol=0, atol=0, maxiter=steps)
        torch.testing.assert_close(ours.solution, torch.from_numpy(theirs), rtol=1e-9, atol=1e-12)
        assert ours.iterations == steps
        assert not ours.converged


def test_few_eigenvalues_take_few_iterations() -> None:
    """As many as there are different ones (Saad 2003, section 6.11.3)."""
    basis, _ = torch.linalg.qr(normal(12, 12))
    A = (basis * torch.tensor([1.0, 5.0, 30.0]).repeat(4)) @ basis.T
    result = cg(Dense(A), normal(2, 12, seed=1), tolerance=1e-12)
    assert result.iterations.tolist() == [3, 3]


def test_the_error_falls_as_theory_says() -> None:
    """‖x - x_k‖_A ≤ 2 ((√κ - 1)/(√κ + 1))^k ‖x‖_A (Saad 2003, equation 6.128)."""
    A, b = spd(60, condition=50.0), normal(60)
    x = torch.linalg.solve(A, b)
    root = math.sqrt(50.0)
    for k in range(1, 25):
        error = x - cg(Dense(A), b, tolerance=1e-15, max_iterations=k).solution
        bound = 2 * ((root - 1) / (root + 1)) ** k * (x @ A @ x).sqrt()
        assert (error @ A @ error).sqrt() <= bound


def test_real_linear_maps_of_complex_images() -> None:
    """T*T of u ↦ Mu + N conj(u) is symmetric for Re⟨·,·⟩ only."""
    dtype = torch.complex128
    T = Conjugating(normal(6, 4, dtype=dtype), normal(6, 4, seed=1, dtype=dtype))
    b = normal(4, seed=2, dtype=dtype)
    result = cg(T.H @ T, b, tolerance=1e-12)
    assert result.converged, result.status
    matrix = dense_matrix(T)
    x = torch.linalg.solve(matrix.T @ matrix, torch.cat([b.real, b.imag]))
    torch.testing.assert_close(result.solution, torch.complex(x[:4], x[4:]))


def test_systems_do_not_depend_on_one_another() -> None:
    matrices = torch.stack([spd(9, kappa) for kappa in (2.0, 30.0, 300.0)])[:, None]
    b = normal(3, 2, 9) * torch.tensor([1.0, 1e6, 1e-6], dtype=torch.float64).view(3, 1, 1)
    b[1, 1] = 0
    together = cg(Dense(matrices), b, tolerance=1e-9)
    assert together.converged.all(), together.status
    assert len(together.iterations.unique()) == 3
    assert together.iterations[1, 1] == 0
    for i in range(3):
        for k in range(2):
            alone = cg(Dense(matrices[i, 0]), b[i, k], tolerance=1e-9)
            assert alone.iterations == together.iterations[i, k]
            difference = alone.solution - together.solution[i, k]
            assert difference.norm() <= 1e-9 * alone.solution.norm()
            count, first = int(alone.iterations), min(5, int(alone.iterations))
            history = together.residuals[:, i, k]
            torch.testing.assert_close(alone.residuals[:first], history[:first])
            assert (history[count:] <= 1e-9).all()


@pytest.mark.parametrize("unit", [1e-30, 1e-3, 1e3, 1e30])
def test_units_change_nothing(unit: float) -> None:
    A, b = spd(15), normal(2, 15)
    once = cg(Dense(A), b, tolerance=1e-10)
    scaled = cg(Dense(A), unit * b, tolerance=1e-10)
    torch.testing.assert_close(scaled.solution / unit, once.solution)
    assert torch.equal(scaled.iterations, once.iterations)
    other = cg(Dense(unit * A), b, tolerance=1e-10)
    torch.testing.assert_close(other.solution * unit, once.solution)


def test_a_start_is_used() -> None:
    A, b = spd(15), normal(2, 15)
    x = torch.linalg.solve(A, b.T).T.contiguous()
    before = x.clone()
    result = cg(Dense(A), b, initial=x, tolerance=1e-10)
    assert result.iterations.tolist() == [0, 0]
    assert torch.equal(x, before)
    near = cg(Dense(A), b, initial=x + 1e-8, tolerance=1e-10)
    assert (near.iterations < cg(Dense(A), b, tolerance=1e-10).iterations).all()
    torch.testing.assert_close(near.solution, x)


def test_a_function_of_images() -> None:
    """(batch, 1, ny, nx) by default, one system for each sample."""
    b = normal(2, 1, 3, 4)
    scale = torch.tensor([2.0, 5.0], dtype=torch.float64).view(2, 1, 1, 1)
    result = cg(lambda x: scale * x, b, tolerance=1e-12)
    torch.testing.assert_close(result.solution, b / scale)
    assert result.residuals.shape == (2, 2)


@pytest.mark.parametrize("eigenvalues", [[1.0, -1.0, 2.0], [-1.0, -2.0, -3.0]])
def test_a_map_that_is_not_positive_definite_is_named(eigenvalues: list[float]) -> None:
    good = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    bad = torch.diag(torch.tensor(eigenvalues, dtype=torch.float64))
    b = torch.ones(2, 1, 3, dtype=torch.float64)
    result = cg(Dense(torch.stack([good, bad])[:, None]), b, tolerance=1e-10)
    assert result.converged.tolist() == [[True], [False]]
    assert "not positive definite" in result.status
    assert "1 of 2" in result.status
    torch.testing.assert_close(result.solution[0, 0], 1 / torch.diag(good))
    assert result.solution.isfinite().all()


def test_a_map_that_gives_nan_is_no_solution() -> None:
    b = torch.ones(2, 3, dtype=torch.float64)
    factor = torch.tensor([[1.0], [math.nan]], dtype=torch.float64)
    result = cg(lambda x: factor * x, b)
    assert result.converged.tolist() == [True, False]
    assert "Not converged: 1 of 2" in result.status


def test_not_converging_is_said() -> None:
    result = cg(Dense(spd(30)), normal(2, 30), max_iterations=3)
    assert not result.converged.any()
    assert result.iterations.tolist() == [3, 3]
    assert result.status.startswith("Not converged: 2 of 2 samples stopped after 3 iterations")
    assert cg(Dense(spd(30)), normal(2, 30)).status.startswith("Converged")


def test_what_rounding_forbids_is_said() -> None:
    """The recursion falls below any tolerance; the residual itself does not."""
    A, b = spd(40, condition=1e5).float(), normal(40).float()
    result = cg(Dense(A), b, tolerance=1e-9, max_iterations=5000)
    assert not result.converged
    assert result.iterations < 5000
    assert "float32" in result.status
    true = (b.double() - A.double() @ result.solution.double()).norm() / b.norm()
    assert result.residuals[-1] == pytest.approx(float(true), rel=0.1)


def test_no_batch_is_no_error() -> None:
    result = cg(Dense(spd(4)), torch.zeros(0, 4, dtype=torch.float64))
    assert result.solution.shape == (0, 4)
    assert "empty" in result.status


def test_what_makes_no_sense_is_refused() -> None:
    A, b = Dense(spd(4)), normal(2, 4)
    with pytest.raises(ConfigError, match="tolerance"):
        cg(A, b, tolerance=0.0)
    with pytest.raises(ConfigError, match="iteration"):
        cg(A, b, max_iterations=0)
    with pytest.raises(ShapeError, match="start"):
        cg(A, b, initial=b[0])
    with pytest.raises(ShapeError, match="into itself"):
        cg(Dense(normal(3, 4)), normal(3))
    with pytest.raises(DataError, match="finite"):
        cg(A, torch.full_like(b, math.inf))
    with pytest.raises(ShapeError, match="axes"):
        cg(lambda x: x, torch.tensor(1.0))


class Loss:
    """⟨c, A(θ)⁻¹ b(θ)⟩ with A = spd(6) + θ² S, by conjugate gradients or densely."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.A, S = spd(6, 10.0, dtype), normal(6, 6, seed=4, dtype=dtype)
        self.S = S @ S.mH
        self.c = normal(2, 6, seed=5, dtype=dtype)
        self.b = normal(2, 6, seed=6, dtype=dtype).requires_grad_()
        self.theta = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def matrix(self) -> Tensor:
        return self.A + self.theta**2 * self.S

    def dense(self) -> Tensor:
        x = torch.linalg.solve(self.matrix(), self.b.unsqueeze(-1)).squeeze(-1)
        return (self.c.conj() * x).real.sum()

    def by_cg(self, tolerance: float, max_iterations: int = 1000) -> Tensor:
        matrix = Dense(self.matrix())
        result = cg(matrix, self.b, tolerance=tolerance, max_iterations=max_iterations)
        return (self.c.conj() * result.solution).real.sum()

    def gradients(self, value: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad(value, (self.b, self.theta)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_gradients_are_those_of_a_dense_solve(dtype: torch.dtype) -> None:
    loss = Loss(dtype)
    for ours, exact in zip(
        loss.gradients(loss.by_cg(1e-13)), loss.gradients(loss.dense()), strict=True
    ):
        assert (ours - exact).norm() <= 1e-10 * exact.norm()


def test_gradients_against_finite_differences() -> None:
    loss = Loss(torch.float64)
    b, theta = (gradient.detach() for gradient in loss.gradients(loss.by_cg(1e-13)))
    h, direction = 1e-5, normal(2, 6, seed=9)
    with torch.no_grad():
        values = []
        for sign in (1, -1):
            loss.b += sign * h * direction
            values.append(loss.by_cg(1e-13))
            loss.b -= sign * h * direction
        assert (values[0] - values[1]) / (2 * h) == pytest.approx(float((b * direction).sum()))
        values = []
        for sign in (1, -1):
            loss.theta += sign * h
            values.append(loss.by_cg(1e-13))
            loss.theta -= sign * h
        assert (values[0] - values[1]) / (2 * h) == pytest.approx(float(theta), rel=1e-7)


def test_a_looser_tolerance_gives_a_proportionally_looser_gradient() -> None:
    n = 40
    A, b, c = spd(n, 30.0), normal(n), normal(n, seed=1)
    exact = torch.linalg.solve(A, c)
    errors = []
    tolerances = [10.0**-k for k in range(1, 11)]
    for tolerance in tolerances:
        leaf = b.clone().requires_grad_()
        (c * cg(Dense(A), leaf, tolerance=tolerance).solution).sum().backward()
        assert leaf.grad is not None
        errors.append(float((leaf.grad - exact).norm() / exact.norm()))
        residual = float((A @ leaf.grad - c).norm() / c.norm())
        assert 1e-3 * tolerance < residual <= tolerance  # as asked for, and no better by far
    slope = np.polyfit(np.log(tolerances), np.log(errors), 1)[0]
    assert slope == pytest.approx(1.0, abs=0.05)


def test_a_backward_solve_that_does_not_converge_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loss = Loss(torch.float64)
    value = loss.by_cg(1e-12, max_iterations=2)
    with caplog.at_level(logging.WARNING, "learnedrecon"):
        loss.gradients(value)
    assert "not as exact as asked for" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "learnedrecon"):
        loss.gradients(loss.by_cg(1e-12))
    assert not caplog.records


def test_second_derivatives_are_refused() -> None:
    loss = Loss(torch.float64)
    value = loss.by_cg(1e-10)
    with pytest.raises(DifferentiationError, match="create_graph"):
        torch.autograd.grad(value, loss.theta, create_graph=True)


def test_nothing_is_kept_where_no_gradient_is_asked_for() -> None:
    loss = Loss(torch.float64)
    with torch.no_grad():
        assert not loss.by_cg(1e-10).requires_grad
    assert not cg(Dense(spd(5)), normal(5)).solution.requires_grad


@pytest.mark.parametrize("size", [1e-9, 1.0])
def test_an_affine_map_is_refused(size: float) -> None:
    """u ↦ Au + c has a residual of its own that converges to another solution."""
    matrix, c = spd(6), size * normal(6, seed=1)
    with pytest.raises(ConfigError, match=r"A\(0\) = 0.*subtract A\(0\)"):
        cg(lambda u: u @ matrix + c, normal(2, 6))
    assert cg(lambda u: u @ matrix, normal(2, 6)).converged.all()
