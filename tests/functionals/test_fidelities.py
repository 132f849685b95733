"""Data terms: values in closed form, gradients, one value per sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import normal
from torch import Tensor

from learnedrecon.errors import ConfigError
from learnedrecon.functionals.combined import FunctionalMultiple, FunctionalOf, Misfit
from learnedrecon.functionals.fidelities import (
    Huber,
    KullbackLeibler,
    LeastSquares,
    WeightedLeastSquares,
)
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem
from learnedrecon.testing import check_functional

if TYPE_CHECKING:
    from learnedrecon.functionals.base import Fidelity
    from learnedrecon.operators.base import Operator

SHAPE = (2, 1, 3, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
def test_least_squares(dtype: torch.dtype) -> None:
    v, y = normal(*SHAPE, dtype=dtype), normal(*SHAPE, dtype=dtype, seed=1)
    report = check_functional(LeastSquares(), at=v, data=y)
    assert report.measured("gradient against central differences") < 1e-7
    expected = [0.5 * float(torch.linalg.norm(a - b)) ** 2 for a, b in zip(v, y, strict=True)]
    relative = 1e-6 if dtype.to_real() == torch.float32 else 1e-14
    assert LeastSquares()(v, y).tolist() == pytest.approx(expected, rel=relative)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kullback_leibler(dtype: torch.dtype) -> None:
    v, y = normal(*SHAPE, dtype=dtype).exp(), normal(*SHAPE, dtype=dtype, seed=1).exp()
    y[0, 0, 0, :2] = 0
    check_functional(KullbackLeibler(), at=v, data=y)


def test_kullback_leibler_is_a_divergence() -> None:
    v, y = normal(*SHAPE).exp(), normal(*SHAPE, seed=1).exp()
    distance = KullbackLeibler()
    assert bool((distance(v, y) > 0).all())
    torch.testing.assert_close(distance(y, y), torch.zeros(2, dtype=torch.float64))
    assert not distance.gradient(y, y).any()


def test_kullback_leibler_is_the_poisson_likelihood_up_to_a_constant() -> None:
    y = torch.arange(6.0, dtype=torch.float64).reshape(1, 1, 2, 3)
    a, b = normal(1, 1, 2, 3).exp(), normal(1, 1, 2, 3, seed=1).exp()

    def likelihood(v: Tensor) -> Tensor:
        return -torch.distributions.Poisson(v).log_prob(y).sum()

    gap = KullbackLeibler()(a, y) - KullbackLeibler()(b, y)
    torch.testing.assert_close(gap.squeeze(), likelihood(a) - likelihood(b))


def test_zero_counts_are_no_nan() -> None:
    v = torch.full((1, 1, 2), 0.5, dtype=torch.float64, requires_grad=True)
    value = KullbackLeibler()(v, torch.zeros(1, 1, 2, dtype=torch.float64))
    assert float(value.detach()) == 1.0
    (gradient,) = torch.autograd.grad(value.sum(), v)
    assert torch.equal(gradient, torch.ones_like(gradient))
    assert torch.equal(KullbackLeibler().gradient(v, torch.zeros_like(v)), gradient)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kullback_leibler_of_a_prediction_that_underflows_is_finite(dtype: torch.dtype) -> None:
    """So are the gradients of value and gradient, which training needs."""
    tiny = torch.finfo(dtype).tiny
    v = torch.tensor([[0.0, tiny / 8, tiny, tiny**0.5, 1.0]], dtype=dtype, requires_grad=True)
    y = torch.full_like(v, 3.0).detach()
    value, gradient = KullbackLeibler()(v, y), KullbackLeibler().gradient(v, y)
    (first,) = torch.autograd.grad(value.sum(), v)
    (second,) = torch.autograd.grad(gradient.sum(), v)
    for result in (value, gradient, first, second):
        assert result.isfinite().all()
    assert gradient.detach()[0, -1] == -2.0
    assert (gradient.detach()[0, :-1] < -1e18).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
@pytest.mark.parametrize("delta", [0.3, 1.0, 100.0])
def test_huber(delta: float, dtype: torch.dtype) -> None:
    direction = normal(*SHAPE, dtype=dtype)
    factor = 0.5 + 1.5 * (normal(*SHAPE, seed=2) > 0).to(dtype)
    y = 0.01 * delta * normal(*SHAPE, dtype=dtype, seed=1)
    v = y + delta * factor * direction / direction.abs()
    check_functional(Huber(delta), at=v, data=y)


def test_huber_in_closed_form() -> None:
    v = torch.tensor([[0.5, -1.0, 3.0, -7.0]], dtype=torch.float64)
    value = Huber(2.0)(v, torch.zeros_like(v))
    assert float(value) == pytest.approx(0.125 + 0.5 + 2 * (3 - 1) + 2 * (7 - 1))
    wide = Huber(1e9)
    torch.testing.assert_close(wide(v, v + 1), LeastSquares()(v, v + 1))
    torch.testing.assert_close(wide.prox(v, v + 1, 0.7), LeastSquares().prox(v, v + 1, 0.7))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_weighted_least_squares(dtype: torch.dtype) -> None:
    weights = normal(1, 1, 3, 4, seed=2).abs()
    weights[..., 0] = 0
    v, y = normal(*SHAPE, dtype=dtype), normal(*SHAPE, dtype=dtype, seed=1)
    functional = WeightedLeastSquares(weights)
    check_functional(functional, at=v, data=y)
    torch.testing.assert_close(
        functional(v, y), 0.5 * (weights * (v - y).abs() ** 2).flatten(1).sum(1)
    )
    torch.testing.assert_close(functional.prox(v, y, 2.0)[..., 0], v[..., 0])
    for wrong in (-weights, weights - 1e-12, weights / weights.amin()):
        with pytest.raises(ConfigError, match="weights"):
            WeightedLeastSquares(wrong)


def test_weights_of_ones_change_nothing() -> None:
    v, y = normal(*SHAPE), normal(*SHAPE, seed=1)
    one = WeightedLeastSquares(torch.ones(()))
    torch.testing.assert_close(one(v, y), LeastSquares()(v, y))
    torch.testing.assert_close(one.prox(v, y, 0.3), LeastSquares().prox(v, y, 0.3))
    assert one.lipschitz() == LeastSquares().lipschitz()


@pytest.mark.parametrize("step", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_proximal_map_of_kullback_leibler_solves_its_equation(
    step: float, dtype: torch.dtype
) -> None:
    """w - v + t(1 - y/w) = 0, without cancellation, and w ≥ 0."""
    v = torch.tensor([[-1e3, -1.0, 0.0, 0.5, 1e3, -1.0, 2.0]], dtype=dtype)
    y = torch.tensor([[1.0, 3.0, 2.0, 1e-3, 5.0, 0.0, 0.0]], dtype=dtype)
    w = KullbackLeibler().prox(v, y, step)
    assert (w >= 0).all()
    torch.testing.assert_close(w[y == 0], (v - step)[y == 0].clamp(min=0))
    w, v, y = w.double()[y > 0], v.double()[y > 0], y.double()[y > 0]
    miss = (w * (w - v) + step * (w - y)).abs() / (w * (w.abs() + v.abs()) + step * (w + y))
    assert miss.max() < (1e-6 if dtype == torch.float32 else 1e-14)


def test_steps_and_weights_of_each_sample() -> None:
    v, y = normal(*SHAPE), normal(*SHAPE, seed=1)
    steps = torch.tensor([0.5, 2.0], dtype=torch.float64)
    together = Misfit(LeastSquares(), y).prox(v, steps)
    for k in range(2):
        alone = LeastSquares().prox(v[k : k + 1], y[k : k + 1], float(steps[k]))
        torch.testing.assert_close(together[k : k + 1], alone)
    weighted = FunctionalMultiple(Misfit(LeastSquares(), y), steps)
    torch.testing.assert_close(weighted(v), steps * LeastSquares()(v, y))
    torch.testing.assert_close(weighted.prox(v, 1.0), together)
    assert weighted.lipschitz() == 2.0
    with pytest.raises(ConfigError, match="weight > 0"):
        FunctionalMultiple(Misfit(LeastSquares(), y), 0.0)


def test_a_misfit_and_a_multiple_are_functionals_themselves() -> None:
    y = normal(1, 1, 3, 4, seed=1)
    check_functional(Misfit(LeastSquares(), y), at=normal(*SHAPE))
    check_functional(FunctionalMultiple(Misfit(Huber(0.5), y), 3.0), at=normal(*SHAPE))


RAY = RayTransform(ParallelBeam((6, 5), AngleRange(4), FlatDetector(9)), torch.float64)
SCAN = TransmissionCT(Transmission(RAY.geometry, 0.1), torch.float64)
SMOOTH: dict[str, Fidelity] = {
    "least squares": LeastSquares(),
    "weighted": WeightedLeastSquares(normal(4, 9, seed=3).abs()),
    "Kullback-Leibler": KullbackLeibler(),
    "Huber": Huber(0.1),
}


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("operator", [RAY, SCAN], ids=["linear", "nonlinear"])
def test_a_problem_has_the_gradient_of_every_data_term(operator: Operator, name: str) -> None:
    """∇_u D(T(u); y) against autograd and central differences."""
    fidelity = SMOOTH[name]
    u = normal(2, 1, 6, 5).abs() + 0.1
    y = operator(u).detach() * (1 + 0.3 * normal(2, 1, 4, 9, seed=1)).abs()
    problem = InverseProblem(operator, y, fidelity)
    through = FunctionalOf(Misfit(fidelity, y), operator)
    torch.testing.assert_close(problem.gradient(u), through.gradient(u))
    check_functional(FunctionalOf(Misfit(fidelity, y[:1]), operator), at=u)


def test_a_subset_of_a_problem_has_the_weights_of_its_rows() -> None:
    weights = normal(4, 9, seed=3).abs()
    u, y = normal(2, 1, 6, 5), normal(2, 1, 4, 9, seed=1)
    problem = InverseProblem(RAY, y, WeightedLeastSquares(weights))
    parts = [problem.subset(rows) for rows in ([0, 2], [3, 1])]
    torch.testing.assert_close(sum(part.gradient(u) for part in parts), problem.gradient(u))
    same = InverseProblem(RAY, y, WeightedLeastSquares(weights[:1])).subset([0, 2])
    assert same.fidelity.weights.shape == (1, 9)


def test_the_lipschitz_constant_of_a_composition_bounds_its_gradient() -> None:
    y = normal(1, 1, 4, 9)
    for fidelity in (LeastSquares(), SMOOTH["weighted"], Huber(0.1)):
        functional = FunctionalOf(Misfit(fidelity, y), RAY)
        constant = functional.lipschitz()
        assert constant is not None
        for size in (1e-3, 1.0, 1e3):
            u, w = size * normal(1, 1, 6, 5), size * normal(1, 1, 6, 5, seed=2)
            change = functional.gradient(u) - functional.gradient(w)
            assert change.norm() <= constant * (u - w).norm()
    assert FunctionalOf(Misfit(KullbackLeibler(), y.abs()), RAY).lipschitz() is None
    assert FunctionalOf(Misfit(LeastSquares(), y), SCAN).lipschitz() is None


def test_what_has_no_proximal_map_says_so() -> None:
    functional = FunctionalOf(Misfit(LeastSquares(), normal(1, 1, 4, 9)), RAY)
    with pytest.raises(ConfigError, match="proximal map"):
        functional.prox(normal(1, 1, 6, 5), 1.0)
    with pytest.raises(ConfigError, match="delta > 0"):
        Huber(0.0)
