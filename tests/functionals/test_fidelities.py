"""Data terms: values in closed form, gradients, one value per sample."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from learnedrecon.functionals.fidelities import KullbackLeibler, LeastSquares
from learnedrecon.testing import check_functional

SHAPE = (2, 1, 3, 4)


def random(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
def test_least_squares(dtype: torch.dtype) -> None:
    v, y = random(*SHAPE, dtype=dtype), random(*SHAPE, dtype=dtype, seed=1)
    report = check_functional(LeastSquares(), at=v, data=y)
    assert report.measured("gradient against central differences") < 1e-7
    expected = [0.5 * float(torch.linalg.norm(a - b)) ** 2 for a, b in zip(v, y, strict=True)]
    relative = 1e-6 if dtype.to_real() == torch.float32 else 1e-14
    assert LeastSquares()(v, y).tolist() == pytest.approx(expected, rel=relative)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kullback_leibler(dtype: torch.dtype) -> None:
    v, y = random(*SHAPE, dtype=dtype).exp(), random(*SHAPE, dtype=dtype, seed=1).exp()
    y[0, 0, 0, :2] = 0
    check_functional(KullbackLeibler(), at=v, data=y)


def test_kullback_leibler_is_a_divergence() -> None:
    v, y = random(*SHAPE).exp(), random(*SHAPE, seed=1).exp()
    distance = KullbackLeibler()
    assert bool((distance(v, y) > 0).all())
    torch.testing.assert_close(distance(y, y), torch.zeros(2, dtype=torch.float64))
    assert not distance.gradient(y, y).any()


def test_kullback_leibler_is_the_poisson_likelihood_up_to_a_constant() -> None:
    y = torch.arange(6.0, dtype=torch.float64).reshape(1, 1, 2, 3)
    a, b = random(1, 1, 2, 3).exp(), random(1, 1, 2, 3, seed=1).exp()

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
