from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, minimize
from tests.helpers import normal
from torch import Tensor

from learnedrecon.errors import ConfigError, DataError, ShapeError
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space
from learnedrecon.solvers.tv import tv_reconstruction

SMALL = ParallelBeam((12, 10), AngleRange(6), FlatDetector(17), 1.0)
BOTH = pytest.mark.parametrize("nonnegative", [True, False])


class Matrix(LinearOperator):
    """A dense matrix on images."""

    matrix: Tensor

    def __init__(self, matrix: Tensor, shape: tuple[int, ...]) -> None:
        super().__init__(Space(shape, matrix.dtype), Space((len(matrix),), matrix.dtype))
        self.register_buffer("matrix", matrix)

    def evaluate(self, u: Tensor) -> Tensor:
        return u.flatten(-self.domain.ndim) @ self.matrix.T

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return (v @ self.matrix).unflatten(-1, self.domain.shape)


def phantoms(number: int) -> Tensor:
    """Rectangles of different sizes and values; some negative, so that u ≥ 0 matters."""
    u = torch.zeros(number, 1, 12, 10, dtype=torch.float64)
    for k in range(number):
        u[k, 0, 2 : 6 + k % 4, 1:5] = 1.0 + 0.3 * k
        u[k, 0, 7:11, 4 : 7 + k % 3] = -0.4
    return u


def noisy(number: int = 3) -> tuple[RayTransform, Tensor]:
    ray = RayTransform(SMALL, torch.float64)
    clean = ray(phantoms(number))
    return ray, clean + 0.05 * normal(*clean.shape)


def objective(operator: LinearOperator, u: Tensor, y: Tensor, weight: float) -> Tensor:
    """P, written a second time."""
    across = torch.zeros_like(u)
    down = torch.zeros_like(u)
    across[..., :, :-1] = u[..., :, 1:] - u[..., :, :-1]
    down[..., :-1, :] = u[..., 1:, :] - u[..., :-1, :]
    misfit = 0.5 * (operator(u) - y).square().flatten(1).sum(1)
    return misfit + weight * torch.sqrt(across**2 + down**2).flatten(1).sum(1)


def smoothed_minimum(
    operator: LinearOperator, y: Tensor, weight: float, *, nonnegative: bool
) -> tuple[float, float]:
    """Bounds on min P by L-BFGS on Σ√(|∇u|² + δ²), which lies between TV and TV + nδ."""
    shape, n = operator.domain.shape, operator.domain.size
    gradient = FiniteDifference(Space(shape, torch.float64))
    u = np.full(n, 0.1)
    for delta in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):

        def value(flat: np.ndarray, delta: float = delta) -> tuple[float, np.ndarray]:
            image = torch.from_numpy(flat.copy()).view(1, *shape).requires_grad_()
            lengths = (gradient(image).square().sum(-3) + delta**2).sqrt()
            total = 0.5 * (operator(image) - y).square().sum() + weight * lengths.sum()
            (slope,) = torch.autograd.grad(total, image)
            return total.item(), slope.detach().flatten().numpy()

        bounds = [(0.0, None)] * n if nonnegative else None
        options = {"maxiter": 20000, "maxfun": 40000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 50}
        found = minimize(value, u, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        u = found.x
    return found.fun - weight * n * delta, found.fun


@BOTH
def test_it_agrees_with_smoothed_lbfgs(nonnegative: bool) -> None:
    ray, y = noisy(1)
    weight = 0.2
    result = tv_reconstruction(
        ray, y, weight, nonnegative=nonnegative, gap=1e-6, max_iterations=40000
    )
    assert result.converged.all(), result.status
    low, high = smoothed_minimum(ray, y[0], weight, nonnegative=nonnegative)
    assert low <= result.objective[0] * (1 + 1e-9)
    assert result.objective[0] <= high * (1 + 2e-6)


@BOTH
def test_the_gap_is_never_below_the_true_one(nonnegative: bool) -> None:
    """At every budget: P - min P ≤ gap·P, min P from a run to 1e-9."""
    ray, y = noisy()
    solve = partial(tv_reconstruction, ray, y, 0.2, nonnegative=nonnegative)
    long = solve(gap=1e-9, max_iterations=100000)
    assert long.converged.all(), long.status
    previous = torch.full((3,), math.inf, dtype=torch.float64)
    for budget in (25, 50, 100, 200):
        short = solve(gap=1e-9, max_iterations=budget)
        assert ((short.objective - long.objective) <= short.gap * short.objective + 1e-12).all()
        assert (short.gap < previous).all()
        previous = short.gap


@BOTH
def test_the_objective_is_that_of_the_image(nonnegative: bool) -> None:
    ray, y = noisy()
    result = tv_reconstruction(ray, y, 0.3, nonnegative=nonnegative)
    torch.testing.assert_close(result.objective, objective(ray, result.image, y, 0.3))
    assert bool((result.image < 0).any()) != nonnegative


@BOTH
def test_no_feasible_image_is_better_than_certified(nonnegative: bool) -> None:
    ray, y = noisy(1)
    result = tv_reconstruction(ray, y, 0.3, nonnegative=nonnegative)
    lower_bound = result.objective * (1 - result.gap)
    for seed in range(20):
        other = result.image + 10.0 ** -(seed % 5) * normal(*result.image.shape, seed=seed)
        other = other.clamp(min=0) if nonnegative else other
        assert objective(ray, other, y, 0.3) >= lower_bound


def test_a_large_weight_gives_the_best_constant() -> None:
    ray, y = noisy()
    ones = ray(torch.ones(1, 1, 12, 10, dtype=torch.float64))
    best = (y * ones).flatten(1).sum(1) / ones.square().sum()
    result = tv_reconstruction(ray, y, 1e6, gap=1e-9, max_iterations=20000)
    assert result.converged.all(), result.status
    expected = best.view(-1, 1, 1, 1).expand_as(result.image)
    torch.testing.assert_close(result.image, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weight", [0.1, 0.7, 2.0])
@BOTH
def test_two_pixels_in_closed_form(weight: float, nonnegative: bool) -> None:
    """min ½(a - y₁)² + ½(b - y₂)² + α|a - b|: the values approach by α each, then meet."""
    y = torch.tensor([[[3.0, 1.0]], [[1.0, -2.0]]], dtype=torch.float64)
    identity = Diagonal(Space((1, 2), torch.float64), torch.ones(1, 2, dtype=torch.float64))
    result = tv_reconstruction(
        identity, y, weight, nonnegative=nonnegative, gap=1e-10, max_iterations=50000
    )
    assert result.converged.all(), result.status
    for image, (first, second) in zip(result.image[:, 0], y[:, 0].tolist(), strict=True):
        move = min(weight, (first - second) / 2)
        a, b = first - move, second + move
        if nonnegative and b < 0:
            a, b = max(first - weight, 0.0), 0.0
        expected = torch.tensor([a, b], dtype=torch.float64)
        torch.testing.assert_close(image, expected, rtol=1e-4, atol=1e-4)


def test_one_dimension_against_quadratic_programming() -> None:
    """A signed random matrix, u ≥ 0: split ∇u into parts and solve by trust-constr."""
    matrix = normal(5, 7)
    y = normal(5, seed=1)
    n, weight = 7, 0.5
    result = tv_reconstruction(
        Matrix(matrix, (7,)), y[None], weight, gap=1e-8, max_iterations=10**6
    )
    assert result.converged.all(), result.status
    A, data = matrix.numpy(), y.numpy()
    D = np.diff(np.eye(n), axis=0)
    splits = np.hstack([D, -np.eye(n - 1), np.eye(n - 1)])

    def value(z: np.ndarray) -> float:
        return float(0.5 * np.sum((A @ z[:n] - data) ** 2) + weight * z[n:].sum())

    def slope(z: np.ndarray) -> np.ndarray:
        return np.concatenate([A.T @ (A @ z[:n] - data), np.full(2 * (n - 1), weight)])

    found = minimize(
        value,
        np.ones(n + 2 * (n - 1)),
        jac=slope,
        method="SLSQP",
        bounds=[(0, None)] * (n + 2 * (n - 1)),
        constraints=LinearConstraint(splits, 0, 0),
        options={"maxiter": 2000, "ftol": 1e-14},
    )
    assert float(result.objective[0]) == pytest.approx(found.fun, rel=1e-6)


def test_a_sample_does_not_depend_on_its_neighbours() -> None:
    ray, y = noisy(4)
    y[2] *= 50
    weights = torch.tensor([0.1, 0.3, 4.0, 1.0])
    together = tv_reconstruction(ray, y, weights)
    for k in range(4):
        alone = tv_reconstruction(ray, y[k : k + 1], weights[k : k + 1])
        torch.testing.assert_close(alone.image[0], together.image[k], rtol=1e-12, atol=1e-12)
        assert alone.iterations[0] == together.iterations[k]
        torch.testing.assert_close(alone.gap[0], together.gap[k], rtol=1e-6, atol=1e-12)
    assert together.iterations.unique().numel() > 1


@BOTH
def test_centimetres_change_only_the_unit(nonnegative: bool) -> None:
    """T and y ten times smaller, α a hundred times: the same image, in as many iterations."""
    ray, y = noisy()
    small = replace(SMALL, detector=FlatDetector(17, 0.1), pixel_size=0.1)
    in_mm = tv_reconstruction(ray, y, 0.2, nonnegative=nonnegative)
    in_cm = tv_reconstruction(
        RayTransform(small, torch.float64), y / 10, 0.002, nonnegative=nonnegative
    )
    torch.testing.assert_close(in_cm.image, in_mm.image, rtol=1e-7, atol=1e-7)
    assert torch.equal(in_cm.iterations, in_mm.iterations)


def test_the_unit_of_the_image_changes_nothing_else() -> None:
    ray, y = noisy()
    once = tv_reconstruction(ray, y, 0.2)
    scaled = tv_reconstruction(ray, 1000 * y, 200.0)
    torch.testing.assert_close(scaled.image, 1000 * once.image, rtol=1e-7, atol=1e-7)
    assert torch.equal(once.iterations, scaled.iterations)


def test_float32_stays_float32_and_converges() -> None:
    ray, y = noisy()
    result = tv_reconstruction(ray, y.float(), 0.2)
    assert result.image.dtype == torch.float32
    assert result.converged.all()
    double = tv_reconstruction(ray, y, 0.2)
    assert (result.image - double.image).norm() < 1e-2 * double.image.norm()


@pytest.mark.parametrize("unit", [1e-20, 1e20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@BOTH
def test_no_unit_is_too_small_or_large(nonnegative: bool, dtype: torch.dtype, unit: float) -> None:
    """In float32 squares of these data are 0 or infinite."""
    ray, y = noisy()
    solve = partial(tv_reconstruction, ray, nonnegative=nonnegative)
    once = solve(y.to(dtype), 0.2)
    scaled = solve((unit * y).to(dtype), 0.2 * unit)
    assert scaled.converged.all(), scaled.status
    # Both stop within a gap of 1e-3 of the same problem, rounded differently.
    error = (scaled.image.double() / unit - once.image).norm() / once.image.norm()
    assert error < (1e-3 if dtype == torch.float32 else 1e-9)
    torch.testing.assert_close(scaled.objective / unit**2, once.objective, rtol=1e-6, atol=0)


def test_a_power_of_two_changes_no_digit() -> None:
    ray, y = noisy()
    start = 0.1 * normal(3, 1, 12, 10).abs().float()
    y = y.float()
    once = tv_reconstruction(ray, y, 0.25, initial=start)
    scaled = tv_reconstruction(ray, 2.0**-60 * y, 0.25 * 2.0**-60, initial=2.0**-60 * start)
    assert torch.equal(scaled.image, 2.0**-60 * once.image)
    assert torch.equal(scaled.objective, 2.0**-120 * once.objective)
    assert torch.equal(scaled.gap, once.gap)


class Failing(Matrix):
    """A matrix that gives NaN after a while, as broken hardware or an overflow does."""

    failing = False

    def evaluate(self, u: Tensor) -> Tensor:
        return super().evaluate(u) * (math.nan if self.failing else 1.0)


def test_an_iteration_that_breaks_down_has_not_converged() -> None:
    operator = Failing(normal(5, 7), (7,))
    operator.norm()
    operator.failing = True
    result = tv_reconstruction(operator, normal(2, 5, seed=1), 0.5, max_iterations=50)
    assert not result.converged.any()
    assert result.gap.isnan().all()
    assert result.iterations.tolist() == [50, 50]


def test_channels_are_images_of_their_own() -> None:
    ray, y = noisy(2)
    result = tv_reconstruction(ray, y.transpose(0, 1), 0.2)
    apart = tv_reconstruction(ray, y, 0.2)
    assert result.image.shape == (1, 2, 12, 10)
    assert result.gap.shape == (1,)
    torch.testing.assert_close(result.image.transpose(0, 1), apart.image)
    torch.testing.assert_close(result.objective[0], apart.objective.sum())
    assert result.gap[0] == apart.gap.max()


def test_the_solution_is_a_fine_start() -> None:
    ray, y = noisy()
    first = tv_reconstruction(ray, y, 0.2, gap=1e-8, max_iterations=50000)
    again = tv_reconstruction(ray, y, 0.2, gap=1e-8, max_iterations=50000, initial=first.image)
    torch.testing.assert_close(again.objective, first.objective, rtol=1e-7, atol=0)


def test_no_signal_gives_no_image() -> None:
    ray, y = noisy()
    result = tv_reconstruction(ray, 0 * y, 0.2)
    assert result.converged.all()
    assert not result.image.any()


def test_not_converging_is_said() -> None:
    ray, y = noisy()
    result = tv_reconstruction(ray, y, 0.2, gap=1e-12, max_iterations=30)
    assert not result.converged.any()
    assert result.iterations.tolist() == [50, 50, 50]
    assert "3 of 3 samples" in result.status
    assert tv_reconstruction(ray, y, 0.2).status.startswith("Converged")


def test_what_makes_no_sense_is_refused() -> None:
    ray, y = noisy()
    with pytest.raises(ConfigError, match="weights above 0"):
        tv_reconstruction(ray, y, 0.0)
    with pytest.raises(ConfigError, match="gap"):
        tv_reconstruction(ray, y, 1.0, gap=0.0)
    with pytest.raises(ShapeError, match="one weight"):
        tv_reconstruction(ray, y, torch.ones(2))
    with pytest.raises(ShapeError, match="batch"):
        tv_reconstruction(ray, y[0, 0], 1.0)
    with pytest.raises(ShapeError, match="start"):
        tv_reconstruction(ray, y, 1.0, initial=torch.zeros(1, 1, 12, 10))
    with pytest.raises(DataError, match="finite"):
        tv_reconstruction(ray, torch.full_like(y, math.nan), 1.0)
    with pytest.raises(DataError, match="not zero"):
        tv_reconstruction(ray * 0.0, y, 1.0)


@pytest.mark.parametrize("weight", [1e300, 1e39, 1e-50, -1.0, 0.0, float("nan"), float("inf")])
def test_a_weight_beyond_the_precision_of_the_data_is_named_with_its_bounds(weight: float) -> None:
    """1e300 is infinite in single precision, and no reason to ask for a weight above 0 alone."""
    ray = RayTransform(SMALL)
    y = torch.ones(1, 1, *ray.codomain.shape)
    with pytest.raises(ConfigError, match=r"above 0, from 1\.2e-38 to 3\.4e\+38 in the precision"):
        tv_reconstruction(ray, y, weight)
