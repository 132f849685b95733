"""LSQR against SciPy's, dense least squares, and conjugate gradients."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.sparse.linalg import lsqr as scipy_lsqr
from tests.helpers import Conjugating, Dense, normal

from learnedrecon.errors import ConfigError, DataError, ShapeError
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.solvers.lsqr import lsqr
from learnedrecon.solvers.normal import solve_normal

COMPLEX = torch.complex128


@pytest.mark.parametrize("dtype", [torch.float64, COMPLEX])
@pytest.mark.parametrize("damping", [0.0, 0.8])
def test_iterates_are_those_of_scipy(damping: float, dtype: torch.dtype) -> None:
    matrix, y = normal(12, 9, dtype=dtype), normal(12, seed=1, dtype=dtype)
    for steps in range(1, 8):
        ours = lsqr(Dense(matrix), y, damping=damping, tolerance=1e-14, max_iterations=steps)
        theirs = scipy_lsqr(
            matrix.numpy(), y.numpy(), damp=damping, atol=0, btol=0, conlim=0, iter_lim=steps
        )
        torch.testing.assert_close(ours.solution, torch.from_numpy(theirs[0]), rtol=1e-10, atol=0)
        start = torch.linalg.norm(matrix.mH @ y)
        assert float(ours.residuals[-1]) == pytest.approx(float(theirs[7] / start), rel=1e-6)
        assert ours.iterations == steps


@pytest.mark.parametrize("dtype", [torch.float64, COMPLEX])
@pytest.mark.parametrize("damping", [0.0, 0.5])
@pytest.mark.parametrize("shape", [(9, 5), (5, 9), (6, 6)])
def test_it_solves_least_squares(
    shape: tuple[int, int], damping: float, dtype: torch.dtype
) -> None:
    """Without damping and with a kernel, the solution of least norm."""
    matrix, y = normal(*shape, dtype=dtype), normal(2, 3, shape[0], seed=1, dtype=dtype)
    result = lsqr(Dense(matrix), y, damping=damping, tolerance=1e-11)
    assert result.converged.all(), result.status
    rows = torch.cat([matrix, damping * torch.eye(shape[1], dtype=dtype)])
    padded = torch.cat([y, torch.zeros(2, 3, shape[1], dtype=dtype)], -1)
    expected = (torch.linalg.pinv(rows) @ padded.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(result.solution, expected, rtol=1e-7, atol=1e-8)
    assert result.residuals.shape == (result.iterations.max() + 1, 2, 3)


def test_real_linear_operators() -> None:
    operator = Conjugating(normal(6, 4, dtype=COMPLEX), normal(6, 4, seed=1, dtype=COMPLEX))
    y = normal(2, 6, seed=2, dtype=COMPLEX)
    result = lsqr(operator, y, damping=0.3, tolerance=1e-12)
    by_cg = solve_normal(operator, operator.adjoint(y), 0.09, tolerance=1e-13)
    torch.testing.assert_close(result.solution, by_cg.solution)


def test_iterates_are_those_of_conjugate_gradients() -> None:
    ray = RayTransform(ParallelBeam((7, 6), AngleRange(5), FlatDetector(11)), torch.float64)
    y = normal(2, 1, 5, 11)
    for steps in (1, 3, 6):
        first = lsqr(ray, y, damping=0.7, tolerance=1e-14, max_iterations=steps)
        second = solve_normal(ray, ray.adjoint(y), 0.49, tolerance=1e-14, max_iterations=steps)
        torch.testing.assert_close(first.solution, second.solution)
        torch.testing.assert_close(first.residuals, second.residuals)


def test_it_loses_less_than_the_normal_equations() -> None:
    """With condition 1e6 of T the normal equations have 1e12."""
    u, _ = torch.linalg.qr(normal(30, 20))
    v, _ = torch.linalg.qr(normal(20, 20, seed=1))
    matrix = (u * torch.logspace(0, -6, 20, dtype=torch.float64)) @ v.T
    x = normal(20, seed=2)
    y = matrix @ x
    ours = lsqr(Dense(matrix), y, tolerance=1e-15, max_iterations=400)
    by_cg = solve_normal(Dense(matrix), matrix.T @ y, 0.0, tolerance=1e-15, max_iterations=400)
    assert (ours.solution - x).norm() < 0.1 * (by_cg.solution - x).norm()


def test_systems_do_not_depend_on_one_another() -> None:
    matrices = torch.stack([normal(8, 5), normal(8, 5, seed=1) + 3])[:, None]
    y = normal(2, 2, 8) * torch.tensor([1e-6, 1e6], dtype=torch.float64)[:, None, None]
    y[1, 1] = 0
    together = lsqr(Dense(matrices), y, tolerance=1e-8)
    assert together.converged.all(), together.status
    assert together.iterations[1, 1] == 0
    assert not together.solution[1, 1].any()
    for i in range(2):
        for k in range(2):
            alone = lsqr(Dense(matrices[i, 0]), y[i, k], tolerance=1e-8)
            assert alone.iterations == together.iterations[i, k]
            error = (alone.solution - together.solution[i, k]).norm()
            assert error <= 1e-9 * alone.solution.norm()


@pytest.mark.parametrize("unit", [1e-20, 1e-3, 1e3, 1e20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_units_change_nothing(unit: float, dtype: torch.dtype) -> None:
    matrix, y = normal(8, 5).to(dtype), normal(2, 8, seed=1).to(dtype)
    once = lsqr(Dense(matrix), y, damping=0.5, tolerance=1e-5)
    scaled = lsqr(Dense(matrix), unit * y, damping=0.5, tolerance=1e-5)
    torch.testing.assert_close(scaled.solution / unit, once.solution)
    other = lsqr(Dense(unit * matrix), y, damping=0.5 * unit, tolerance=1e-5)
    torch.testing.assert_close(other.solution * unit, once.solution)


def test_not_converging_is_said() -> None:
    matrix, y = normal(30, 20), normal(2, 30, seed=1)
    result = lsqr(Dense(matrix), y, max_iterations=2)
    assert not result.converged.any()
    assert result.status.startswith("Not converged: 2 of 2")
    steep = torch.diag(torch.logspace(0, -5, 20)) @ normal(20, 20).float()
    stalled = lsqr(Dense(steep), normal(20).float(), tolerance=1e-12, max_iterations=20000)
    assert not stalled.converged


def test_what_rounding_forbids_is_said_and_nothing_else() -> None:
    """Single precision has no residual of 1e-9; double has, and three steps are too few."""
    matrix, y = normal(30, 20), normal(2, 30)
    single = lsqr(Dense(matrix.float()), y.float(), tolerance=1e-9, max_iterations=200)
    assert not single.converged.any()
    assert single.status.endswith("More accuracy is not to be had in float32.")
    for most, converged in ((3, False), (200, True)):
        double = lsqr(Dense(matrix), y, tolerance=1e-9, max_iterations=most)
        assert bool(double.converged.all()) is converged
        assert "More accuracy" not in double.status


def test_what_makes_no_sense_is_refused() -> None:
    operator, y = Dense(normal(5, 4)), normal(2, 5)
    with pytest.raises(ConfigError, match="damping"):
        lsqr(operator, y, damping=-1.0)
    with pytest.raises(ConfigError, match="tolerance"):
        lsqr(operator, y, tolerance=1.0)
    with pytest.raises(ShapeError, match="last axes"):
        lsqr(operator, normal(2, 4))
    with pytest.raises(DataError, match="finite"):
        lsqr(operator, torch.full_like(y, math.nan))
