"""FISTA against closed forms, optimality conditions, SciPy, and certified total variation."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from tests.helpers import Dense, normal
from torch import Tensor

from learnedrecon.errors import ConfigError, DataError, ShapeError
from learnedrecon.functionals.base import Regulariser, per_sample
from learnedrecon.functionals.combined import FunctionalMultiple, FunctionalOf, Misfit
from learnedrecon.functionals.constraints import NonNegative
from learnedrecon.functionals.fidelities import Huber, KullbackLeibler, LeastSquares
from learnedrecon.functionals.norms import L1
from learnedrecon.functionals.regularisers import TotalVariation
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space
from learnedrecon.solvers.fista import Restart, fista
from learnedrecon.solvers.normal import solve_normal
from learnedrecon.solvers.tv import tv_reconstruction

COMPLEX = torch.complex128
MATRIX = normal(30, 20) @ torch.diag(torch.logspace(0, -1.5, 20, dtype=torch.float64))
DATA = normal(3, 30, seed=1)
WAYS: dict[str, tuple[Restart, bool]] = {
    "gradient": ("gradient", False),
    "function": ("function", False),
    "never": ("never", False),
    "backtracking": ("gradient", True),
    "backtracking, function": ("function", True),
}


def least_squares(matrix: Tensor = MATRIX, y: Tensor = DATA) -> FunctionalOf:
    return FunctionalOf(Misfit(LeastSquares(), y), Dense(matrix))


def zeros(number: int = 3, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.zeros(number, 20, dtype=dtype)


@pytest.mark.parametrize("way", WAYS)
def test_the_lasso_fulfils_its_conditions(way: str) -> None:
    """|T*(Tu - y)| ≤ α, and = -α sign(u) where u ≠ 0."""
    restart, searching = WAYS[way]
    alpha = 0.5
    result = fista(
        least_squares(),
        FunctionalMultiple(L1(), alpha),
        zeros(),
        restart=restart,
        lipschitz="backtracking" if searching else None,
        tolerance=1e-9,
        max_iterations=100000,
    )
    assert result.converged.all(), result.status
    u = result.solution
    slope = (u @ MATRIX.T - DATA) @ MATRIX
    assert (slope.abs() <= alpha + 1e-6).all()
    active = u != 0
    assert 0 < int(active.sum()) < active.numel()
    torch.testing.assert_close(slope[active], -alpha * u.sign()[active], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, COMPLEX])
def test_orthogonal_columns_give_soft_thresholding(dtype: torch.dtype) -> None:
    Q, _ = torch.linalg.qr(normal(30, 20, dtype=dtype))
    y = normal(3, 30, seed=1, dtype=dtype)
    result = fista(
        least_squares(Q, y), FunctionalMultiple(L1(), 0.4), zeros(dtype=dtype), tolerance=1e-12
    )
    torch.testing.assert_close(result.solution, L1().prox(y @ Q.conj(), 0.4))


def test_without_a_constraint_it_is_least_squares() -> None:
    result = fista(least_squares(), None, zeros(), tolerance=1e-11, max_iterations=100000)
    exact = torch.linalg.lstsq(MATRIX, DATA.T)[0].T
    torch.testing.assert_close(result.solution, exact, rtol=1e-5, atol=1e-6)
    ridge = fista(
        least_squares(),
        FunctionalMultiple(Misfit(LeastSquares(), zeros()), 0.3),
        zeros(),
        tolerance=1e-11,
    )
    other = solve_normal(Dense(MATRIX), DATA @ MATRIX, 0.3, tolerance=1e-12)
    torch.testing.assert_close(ridge.solution, other.solution, rtol=1e-6, atol=1e-8)


def test_non_negative_least_squares_is_scipys() -> None:
    result = fista(least_squares(), NonNegative(), zeros(), tolerance=1e-10, max_iterations=50000)
    A = MATRIX.numpy()
    for u, y in zip(result.solution, DATA.numpy(), strict=True):
        found = minimize(
            lambda x, y=y: 0.5 * np.sum((A @ x - y) ** 2),
            np.ones(20),
            jac=lambda x, y=y: A.T @ (A @ x - y),
            method="L-BFGS-B",
            bounds=[(0, None)] * 20,
            options={"maxiter": 10000, "ftol": 1e-15, "gtol": 1e-10},
        )
        value = 0.5 * float((MATRIX @ u - torch.from_numpy(y)).square().sum())
        assert value == pytest.approx(found.fun, rel=1e-9)


def test_it_finds_the_certified_total_variation_image() -> None:
    """With the proximal map of total variation, which is found by iteration itself."""
    ray = RayTransform(ParallelBeam((8, 7), AngleRange(5), FlatDetector(12)), torch.float64)
    u = torch.zeros(2, 1, 8, 7, dtype=torch.float64)
    u[..., 2:6, 1:4] = 1.0
    y = ray(u) + 0.05 * normal(2, 1, 5, 12)
    certified = tv_reconstruction(ray, y, 0.2, nonnegative=False, gap=1e-6, max_iterations=50000)
    result = fista(
        FunctionalOf(Misfit(LeastSquares(), y), ray),
        FunctionalMultiple(TotalVariation(prox_tolerance=1e-6), 0.2),
        torch.zeros_like(u),
        tolerance=1e-4,
    )
    assert result.converged.all(), result.status
    value = LeastSquares()(ray(result.solution), y) + 0.2 * TotalVariation()(result.solution)
    assert (value >= certified.objective * (1 - certified.gap)).all()
    assert (value <= certified.objective * (1 + 1e-4)).all()


def test_poisson_data_need_backtracking() -> None:
    """∇ of Kullback-Leibler has no Lipschitz constant; the step is found on the way."""
    matrix = normal(30, 10).abs()
    truth = normal(2, 10, seed=1).abs() * torch.tensor([[3.0], [300.0]], dtype=torch.float64)
    y = torch.poisson(truth @ matrix.T, generator=torch.Generator().manual_seed(0))
    misfit = FunctionalOf(Misfit(KullbackLeibler(), y), Dense(matrix))
    start = torch.ones(2, 10, dtype=torch.float64) * y.mean(1, keepdim=True)
    result = fista(misfit, NonNegative(), start, tolerance=1e-8, max_iterations=50000)
    assert result.converged.all(), result.status
    u, force = result.solution, misfit.gradient(result.solution)
    assert (force >= -1e-4 * matrix.sum(0)).all()
    assert ((u * force).abs() <= 1e-3 * u.max()).all()


def test_restart_is_faster_on_a_strongly_convex_problem() -> None:
    solve = partial(fista, least_squares(), None, zeros(), tolerance=1e-5, max_iterations=100000)
    plain = solve(restart="never").iterations
    for restart in ("gradient", "function"):
        assert (solve(restart=restart).iterations < 0.7 * plain).all()


def test_values_fall_as_theory_says() -> None:
    """F(u_k) - F* ≤ 2L‖u₀ - u*‖²/(k + 1)² (Beck, Teboulle 2009, theorem 4.4), never restarted."""
    f, g = least_squares(), FunctionalMultiple(L1(), 0.5)
    best = fista(f, g, zeros(), tolerance=1e-11, max_iterations=100000).solution
    constant = f.lipschitz()
    assert constant is not None
    for k in (1, 3, 10, 30, 100):
        u = fista(f, g, zeros(), restart="never", tolerance=1e-12, max_iterations=k).solution
        gap = f(u) + g(u) - f(best) - g(best)
        assert (gap <= 2 * constant * best.square().sum(1) / (k + 1) ** 2 + 1e-12).all()


@pytest.mark.parametrize("unit", [1e-12, 1e-3, 1e3, 1e12])
@pytest.mark.parametrize("lipschitz", ["backtracking", None])
@pytest.mark.parametrize("which", ["data", "operator"])
def test_units_change_nothing(which: str, lipschitz: None, unit: float) -> None:
    solve = partial(fista, start=zeros(), tolerance=1e-6, lipschitz=lipschitz)
    once = solve(least_squares(), FunctionalMultiple(L1(), 0.5))
    if which == "data":
        scaled, factor = (
            solve(least_squares(y=unit * DATA), FunctionalMultiple(L1(), 0.5 * unit)),
            unit,
        )
    else:
        scaled = solve(least_squares(unit * MATRIX), FunctionalMultiple(L1(), 0.5 * unit))
        factor = 1 / unit
    assert once.converged.all()
    torch.testing.assert_close(scaled.solution / factor, once.solution, rtol=1e-5, atol=1e-7)
    assert torch.equal(scaled.iterations, once.iterations)


def test_samples_do_not_depend_on_one_another() -> None:
    y = DATA * torch.tensor([[1.0], [100.0], [0.0]], dtype=torch.float64)
    for lipschitz in (None, "backtracking"):
        solve = partial(fista, lipschitz=lipschitz, tolerance=1e-6)
        together = solve(least_squares(y=y), FunctionalMultiple(L1(), 0.5), zeros())
        assert together.converged.all(), together.status
        assert len(together.iterations.unique()) == 3
        for k in range(3):
            alone = solve(least_squares(y=y[k : k + 1]), FunctionalMultiple(L1(), 0.5), zeros(1))
            assert alone.iterations[0] == together.iterations[k]
            torch.testing.assert_close(alone.solution[0], together.solution[k])


class Quartic(Regulariser):
    """Σ (u - 1)⁴/4: its gradient has no Lipschitz constant."""

    def forward(self, u: Tensor) -> Tensor:
        return per_sample((u - 1) ** 4 / 4)

    def gradient(self, u: Tensor) -> Tensor:
        return (u - 1) ** 3


def test_backtracking_without_a_constant() -> None:
    start = torch.full((2, 3), 10.0, dtype=torch.float64)
    result = fista(Quartic(), None, start, tolerance=1e-9, max_iterations=20000)
    assert result.converged.all(), result.status
    torch.testing.assert_close(result.solution, torch.ones_like(start), rtol=0, atol=0.02)
    assert (start == 10.0).all()


class Valley(Regulariser):
    """½(u₁² + 100 u₂²), by value and gradient alone."""

    CURVATURES = torch.tensor([1.0, 100.0], dtype=torch.float64)

    def forward(self, u: Tensor) -> Tensor:
        return per_sample(self.CURVATURES * u.square() / 2)

    def gradient(self, u: Tensor) -> Tensor:
        return self.CURVATURES * u


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e3])
def test_a_step_that_is_too_long_is_found_in_every_unit(unit: float) -> None:
    """The start lies along the valley, whose curvature is a hundredth of that across."""
    f, start = Valley(), unit * torch.tensor([[1.0, 1e-3]], dtype=torch.float64)
    values = [
        float(f(fista(f, None, start, max_iterations=n, restart="never").solution))
        for n in range(1, 12)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] < 0.7 * float(f(start))


def test_huber_with_an_orthogonal_operator() -> None:
    """Samples with outliers: the conditions of ½-quadratic data, entry by entry."""
    identity = Diagonal(Space((3,), torch.float64), torch.ones(3, dtype=torch.float64))
    y = torch.tensor([[0.2, 5.0, -1.0]], dtype=torch.float64)
    f = FunctionalOf(Misfit(Huber(1.0), y), identity)
    result = fista(f, FunctionalMultiple(L1(), 0.5), torch.zeros_like(y), tolerance=1e-10)
    expected = torch.tensor([[0.0, 4.5, -0.5]], dtype=torch.float64)
    torch.testing.assert_close(result.solution, expected)


def test_not_converging_is_said() -> None:
    result = fista(least_squares(), None, zeros(), max_iterations=4)
    assert not result.converged.any()
    assert result.iterations.tolist() == [4, 4, 4]
    assert result.residuals.shape == (5, 3)
    assert result.status.startswith("Not converged: 3 of 3")


def test_too_small_a_constant_has_not_converged() -> None:
    """Steps that are far too long diverge, and say so."""
    result = fista(least_squares(), None, zeros(), lipschitz=1e-3, max_iterations=2000)
    assert not result.converged.any()


def test_float32_stays_float32() -> None:
    matrix, y = MATRIX.float(), DATA.float()
    result = fista(least_squares(matrix, y), FunctionalMultiple(L1(), 0.5), zeros().float())
    assert result.converged.all(), result.status
    assert result.solution.dtype == torch.float32


def test_what_makes_no_sense_is_refused() -> None:
    f = least_squares()
    with pytest.raises(ConfigError, match="restart"):
        fista(f, None, zeros(), restart="often")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="lipschitz > 0"):
        fista(f, None, zeros(), lipschitz=-1.0)
    with pytest.raises(ConfigError, match="proximal map"):
        fista(f, f, zeros())
    with pytest.raises(ShapeError, match="batch"):
        fista(f, None, zeros()[0])
    with pytest.raises(DataError, match="finite"):
        fista(f, None, torch.full_like(zeros(), math.nan))
