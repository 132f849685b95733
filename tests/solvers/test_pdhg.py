"""PDHG against closed forms, certified total variation, FISTA, and the optimality conditions."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import Dense, normal
from torch import Tensor

from learnedrecon.errors import ConfigError, DataError, ShapeError
from learnedrecon.functionals.combined import FunctionalMultiple, FunctionalOf, Misfit
from learnedrecon.functionals.constraints import Box, NonNegative
from learnedrecon.functionals.fidelities import Huber, KullbackLeibler, LeastSquares
from learnedrecon.functionals.norms import L1, GroupL1, HuberNorm
from learnedrecon.functionals.regularisers import TotalVariation
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space
from learnedrecon.solvers.fista import fista
from learnedrecon.solvers.normal import solve_normal
from learnedrecon.solvers.pdhg import Term, pdhg
from learnedrecon.solvers.tv import tv_reconstruction

if TYPE_CHECKING:
    from learnedrecon.functionals.base import Fidelity, Regulariser

RAY = RayTransform(ParallelBeam((12, 10), AngleRange(6), FlatDetector(17)), torch.float64)
GRADIENT = FiniteDifference(RAY.domain)
COMPLEX = torch.complex128


def noisy(number: int = 3) -> Tensor:
    u = torch.zeros(number, 1, 12, 10, dtype=torch.float64)
    for k in range(number):
        u[k, 0, 2 : 6 + k, 1:5] = 1.0 + 0.3 * k
        u[k, 0, 7:11, 4:7] = -0.4
    clean = RAY(u)
    return clean + 0.05 * normal(*clean.shape)


def tv_terms(y: Tensor, weight: float, fidelity: Fidelity | None = None) -> list[Term]:
    return [
        Term(Misfit(fidelity or LeastSquares(), y), RAY),
        Term(FunctionalMultiple(GroupL1(), weight), GRADIENT),
    ]


def zeros(number: int = 3) -> Tensor:
    return torch.zeros(number, 1, 12, 10, dtype=torch.float64)


@pytest.mark.parametrize("nonnegative", [True, False])
def test_it_finds_the_certified_total_variation_image(nonnegative: bool) -> None:
    y = noisy()
    certified = tv_reconstruction(
        RAY, y, 0.2, nonnegative=nonnegative, gap=1e-7, max_iterations=50000
    )
    simple = NonNegative() if nonnegative else None
    result = pdhg(tv_terms(y, 0.2), simple, zeros(), tolerance=1e-6)
    assert result.converged.all(), result.status
    value = LeastSquares()(RAY(result.solution), y) + 0.2 * TotalVariation()(result.solution)
    # Between the certified lower bound and little above.
    assert (value >= certified.objective * (1 - certified.gap)).all()
    assert (value <= certified.objective * (1 + 1e-5)).all()
    assert (result.solution - certified.image).norm() < 1e-3 * certified.image.norm()


def test_optimality_conditions() -> None:
    """-Σ K*p ∈ ∂G(u) and p_k ∈ ∂F_k(K_k u), entry by entry."""
    y, weight = noisy(), 0.2
    result = pdhg(tv_terms(y, weight), NonNegative(), zeros(), tolerance=1e-9, max_iterations=20000)
    assert result.converged.all(), result.status
    u, (p, q) = result.solution, result.dual
    torch.testing.assert_close(p, RAY(u) - y, rtol=0, atol=1e-6)
    lengths = q.square().sum(-3).sqrt()
    assert (lengths <= weight * (1 + 1e-12)).all()
    slopes = GRADIENT(u)
    steep = slopes.square().sum(-3).sqrt()
    aligned = (q * slopes).sum(-3)
    torch.testing.assert_close(aligned, weight * steep, rtol=0, atol=1e-6)
    force = RAY.adjoint(p) + GRADIENT.adjoint(q)
    assert (u >= 0).all()
    assert (force >= -1e-6).all()
    assert ((u * force).abs() <= 1e-6).all()


PROBLEMS: dict[str, tuple[Fidelity, Regulariser]] = {
    "lasso": (LeastSquares(), FunctionalMultiple(L1(), 0.5)),
    "non-negative least squares": (LeastSquares(), NonNegative()),
    "box": (LeastSquares(), Box(-0.1, 0.7)),
    "robust": (Huber(0.1), FunctionalMultiple(L1(), 0.05)),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_it_agrees_with_fista(name: str) -> None:
    fidelity, simple = PROBLEMS[name]
    matrix, y = normal(15, 8), normal(3, 15, seed=1)
    K = Dense(matrix)
    start = torch.zeros(3, 8, dtype=torch.float64)
    first = pdhg([Term(Misfit(fidelity, y), K)], simple, start, tolerance=1e-9)
    second = fista(FunctionalOf(Misfit(fidelity, y), K), simple, start, tolerance=1e-9)
    assert first.converged.all(), first.status
    assert second.converged.all(), second.status
    torch.testing.assert_close(first.solution, second.solution, rtol=1e-6, atol=1e-7)


def test_poisson_data_with_total_variation() -> None:
    """Kullback-Leibler has no Lipschitz constant; the conditions hold all the same."""
    truth = zeros(2)
    truth[..., 3:8, 2:7] = torch.tensor([2.0, 30.0], dtype=torch.float64).view(2, 1, 1, 1)
    y = torch.poisson(RAY(truth + 0.2), generator=torch.Generator().manual_seed(0))
    terms = tv_terms(y, 0.3, KullbackLeibler())
    result = pdhg(terms, NonNegative(), zeros(2), tolerance=1e-6, max_iterations=20000)
    assert result.converged.all(), result.status
    u, (p, q) = result.solution, result.dual
    prediction = RAY(u)
    torch.testing.assert_close(prediction * (1 - p), y, rtol=1e-3, atol=1e-3)
    force = RAY.adjoint(p) + GRADIENT.adjoint(q)
    assert (force >= -1e-4).all()
    assert ((u * force).abs() <= 1e-3).all()


def test_least_squares_of_complex_images() -> None:
    """Tikhonov's image, of which the closed form is known."""
    matrix, y = normal(7, 5, dtype=COMPLEX), normal(2, 7, seed=1, dtype=COMPLEX)
    K = Dense(matrix)
    ridge = Misfit(LeastSquares(), torch.zeros(2, 5, dtype=COMPLEX))
    result = pdhg(
        [Term(Misfit(LeastSquares(), y), K)],
        FunctionalMultiple(ridge, 0.7),
        0 * K.adjoint(y),
        tolerance=1e-9,
    )
    exact = solve_normal(K, K.adjoint(y), 0.7, tolerance=1e-12)
    torch.testing.assert_close(result.solution, exact.solution, rtol=1e-6, atol=1e-8)


def test_total_variation_of_complex_signals_agrees_with_fista() -> None:
    """Which finds its proximal map by iteration, with a certificate of its own."""
    K, y = Dense(normal(9, 7, dtype=COMPLEX)), normal(2, 9, seed=1, dtype=COMPLEX)
    gradient = FiniteDifference(K.domain)
    start = torch.zeros(2, 7, dtype=COMPLEX)
    data = Misfit(LeastSquares(), y)
    terms = [Term(data, K), Term(FunctionalMultiple(GroupL1(-2), 0.5), gradient)]
    first = pdhg(terms, None, start, tolerance=1e-8)
    total_variation = FunctionalMultiple(TotalVariation(1, prox_tolerance=1e-7), 0.5)
    second = fista(FunctionalOf(data, K), total_variation, start, tolerance=1e-5)
    assert first.converged.all(), first.status
    assert second.converged.all(), second.status
    torch.testing.assert_close(first.solution, second.solution, rtol=1e-4, atol=1e-4)


def test_no_batch_is_no_error() -> None:
    y = torch.zeros(0, 1, 6, 17, dtype=torch.float64)
    assert pdhg(tv_terms(y, 0.2), NonNegative(), zeros(0)).solution.shape == (0, 1, 12, 10)
    misfit = FunctionalOf(Misfit(LeastSquares(), y), RAY)
    for lipschitz in (None, 1.0):
        result = fista(misfit, NonNegative(), zeros(0), lipschitz=lipschitz)
        assert "empty" in result.status


def test_one_pixel_in_closed_form() -> None:
    """min ½(u - 3)² + |2u| has u = 1."""
    identity = Diagonal(Space((1,), torch.float64), torch.ones(1, dtype=torch.float64))
    y = torch.tensor([[3.0]], dtype=torch.float64)
    terms = [Term(Misfit(LeastSquares(), y), identity), Term(L1(), 2.0 * identity)]
    result = pdhg(terms, None, torch.zeros_like(y), tolerance=1e-10)
    assert float(result.solution) == pytest.approx(1.0)


def test_huber_total_variation_tends_to_total_variation() -> None:
    y = noisy(1)
    exact = pdhg(tv_terms(y, 0.2), None, zeros(1), tolerance=1e-6).solution
    errors = []
    for delta in (0.3, 0.03, 0.003):
        terms = [
            Term(Misfit(LeastSquares(), y), RAY),
            Term(FunctionalMultiple(HuberNorm(delta, -3), 0.2 / delta), GRADIENT),
        ]
        result = pdhg(terms, None, zeros(1), tolerance=1e-6, max_iterations=20000)
        errors.append(float((result.solution - exact).norm() / exact.norm()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.02


@pytest.mark.parametrize("unit", [1e-12, 1e-3, 1e3, 1e12])
@pytest.mark.parametrize("which", ["data", "operator"])
def test_units_change_nothing(which: str, unit: float) -> None:
    """Whether y is measured in other units, or T; the same iterates, in as many iterations."""
    y = noisy()
    solve = partial(pdhg, simple=NonNegative(), start=zeros(), tolerance=1e-4)
    once = solve(tv_terms(y, 0.2))
    if which == "data":
        scaled, factor = solve(tv_terms(unit * y, 0.2 * unit)), unit
    else:
        terms = [
            Term(Misfit(LeastSquares(), y), unit * RAY),
            Term(FunctionalMultiple(GroupL1(), 0.2 * unit), GRADIENT),
        ]
        scaled, factor = solve(terms), 1 / unit
    assert once.converged.all()
    torch.testing.assert_close(scaled.solution / factor, once.solution, rtol=1e-6, atol=1e-7)
    assert torch.equal(scaled.iterations, once.iterations)


@pytest.mark.parametrize("norms", [(1e-3, 1.0), (1.0, 1e3), (1e4, 1e-4)])
def test_steps_are_stable_whatever_the_norms(norms: tuple[float, float]) -> None:
    """τ Σ σ‖K‖² < 1 with two operators of very different size: no divergence."""
    y = normal(1, 6)
    K = norms[0] * Dense(normal(6, 5))
    D = norms[1] * Dense(normal(4, 5, seed=1))
    terms = [Term(Misfit(LeastSquares(), y), K), Term(FunctionalMultiple(L1(), 1e-9), D)]
    result = pdhg(terms, None, torch.zeros(1, 5, dtype=torch.float64), max_iterations=500)
    size = torch.linalg.lstsq(norms[0] * normal(6, 5), y.T)[0].norm()
    assert result.solution.norm() < 10 * size
    assert result.residuals[-1].isfinite().all()


def test_an_underestimated_norm_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    """Where no bound is known the estimate gets a margin, and the log says so."""
    with caplog.at_level(logging.INFO, "learnedrecon"):
        K = Dense(torch.diag(torch.tensor([1.0, 0.999, 0.998], dtype=torch.float64)))
        y = normal(1, 3)
        result = pdhg([Term(Misfit(LeastSquares(), y), K)], None, torch.zeros_like(y))
    assert result.converged.all()
    assert "knows no bound" in caplog.text


def test_samples_do_not_depend_on_one_another() -> None:
    y = noisy(3)
    y[1] *= 1e3
    y[2] = 0
    together = pdhg(tv_terms(y, 0.2), NonNegative(), zeros())
    assert together.converged.all(), together.status
    assert len(together.iterations.unique()) == 3
    for k in range(3):
        alone = pdhg(tv_terms(y[k : k + 1], 0.2), NonNegative(), zeros(1))
        torch.testing.assert_close(alone.solution[0], together.solution[k], rtol=1e-9, atol=1e-12)
        assert alone.iterations[0] == together.iterations[k]


def test_a_step_size_and_a_start_of_ones_own() -> None:
    y = noisy(1)
    usual = pdhg(tv_terms(y, 0.2), None, zeros(1), tolerance=1e-6)
    for tau in (1e-3, 0.1):
        result = pdhg(
            tv_terms(y, 0.2), None, zeros(1), tolerance=1e-6, step_size=tau, max_iterations=20000
        )
        torch.testing.assert_close(result.solution, usual.solution, rtol=0, atol=3e-3)
    before = usual.solution.clone()
    again = pdhg(tv_terms(y, 0.2), None, usual.solution, tolerance=1e-6)
    assert torch.equal(usual.solution, before)
    torch.testing.assert_close(again.solution, before, rtol=0, atol=3e-3)


def test_not_converging_is_said() -> None:
    result = pdhg(tv_terms(noisy(), 0.2), None, zeros(), max_iterations=5)
    assert not result.converged.any()
    assert result.iterations.tolist() == [5, 5, 5]
    assert result.residuals.shape == (6, 3)
    assert result.status.startswith("Not converged: 3 of 3")


def test_float32_stays_float32() -> None:
    y = noisy()
    K = RayTransform(RAY.geometry)
    terms = [Term(Misfit(LeastSquares(), y.float()), K)]
    result = pdhg(terms, NonNegative(), zeros().float())
    assert result.solution.dtype == torch.float32
    assert result.converged.all(), result.status


def test_what_makes_no_sense_is_refused() -> None:
    y = noisy()
    with pytest.raises(ConfigError, match="at least one term"):
        pdhg([], None, zeros())
    with pytest.raises(ConfigError, match="proximal map"):
        pdhg([Term(FunctionalOf(Misfit(LeastSquares(), y), RAY), RAY)], None, zeros())
    with pytest.raises(ConfigError, match="step_size > 0"):
        pdhg(tv_terms(y, 0.2), None, zeros(), step_size=0.0)
    with pytest.raises(ShapeError, match="batch"):
        pdhg([Term(L1(), Dense(normal(3, 4)))], None, normal(4))
    with pytest.raises(DataError, match="not all zero"):
        pdhg([Term(Misfit(LeastSquares(), y), 0.0 * RAY)], None, zeros())
