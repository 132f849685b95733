"""Regularisers: values in closed form, gradients, flat images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import normal

from learnedrecon.functionals.regularisers import Dirichlet, TotalVariation
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.space import Space
from learnedrecon.testing import check_functional, dense_matrix

if TYPE_CHECKING:
    from learnedrecon.functionals.base import Regulariser


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
@pytest.mark.parametrize(
    "functional",
    [Dirichlet(), Dirichlet(1), Dirichlet(3), TotalVariation(2, 0.1), TotalVariation(1, 1.0)],
    ids=["∇²", "∇¹", "∇³", "TV²", "TV¹"],
)
def test_smooth_regularisers(functional: Regulariser, dtype: torch.dtype) -> None:
    check_functional(functional, at=normal(2, 1, 3, 4, 5, dtype=dtype))


def test_total_variation_away_from_its_kinks() -> None:
    functional = TotalVariation(prox_tolerance=1e-6)
    check_functional(functional, at=normal(2, 1, 4, 5), prox_tolerance=3e-6)


def test_dirichlet_is_the_laplacian() -> None:
    u = normal(2, 1, 4, 5)
    D = dense_matrix(FiniteDifference(Space((4, 5), torch.float64)))
    flat = u.flatten(1)
    torch.testing.assert_close(Dirichlet()(u), 0.5 * (flat @ D.T).square().sum(1))
    torch.testing.assert_close(Dirichlet().gradient(u).flatten(1), flat @ D.T @ D)


def test_total_variation_of_a_box_is_its_perimeter() -> None:
    u = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    u[..., 2:5, 3:8] = 2.0
    value = float(TotalVariation()(u))
    corner = 2 - 2**0.5  # forward differences see two sides at once in one pixel of the box
    assert value == pytest.approx(2.0 * (2 * 3 + 2 * 5 - corner))


@given(scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
@settings(max_examples=20, deadline=None)
def test_total_variation_is_homogeneous_and_blind_to_constants(scale: float, shift: float) -> None:
    u = normal(1, 1, 4, 5)
    torch.testing.assert_close(TotalVariation()(scale * u + shift), scale * TotalVariation()(u))


def test_smoothing_tends_to_total_variation_from_below() -> None:
    u = normal(1, 1, 6, 6)
    exact = float(TotalVariation()(u))
    values = [float(TotalVariation(smoothing=delta)(u)) for delta in (1.0, 0.1, 0.01, 1e-4)]
    assert values == sorted(values)
    assert exact - 36 * 1e-4 < values[-1] < exact


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_flat_images_have_finite_derivatives_of_every_order(smoothing: float) -> None:
    functional = TotalVariation(smoothing=smoothing)
    u = torch.zeros(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    (through,) = torch.autograd.grad(functional(u).sum(), u)
    assert not through.any()
    gradient = functional.gradient(u)
    assert not gradient.any()
    (second,) = torch.autograd.grad(gradient, u, normal(1, 1, 4, 4))
    assert bool(second.isfinite().all())
    u = u.detach().clone()
    u[..., 2:] = 1.0
    u.requires_grad_()
    (through,) = torch.autograd.grad(functional(u).sum(), u)
    torch.testing.assert_close(through, functional.gradient(u).detach())


def test_gradient_of_total_variation_is_a_subgradient() -> None:
    u = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    u[..., 1:3, 1:3] = 1.0
    value, gradient = TotalVariation()(u), TotalVariation().gradient(u)
    generator = torch.Generator().manual_seed(0)
    for size in (1e-3, 1.0, 10.0):
        w = u + size * torch.randn(u.shape, generator=generator, dtype=u.dtype)
        assert TotalVariation()(w) >= value + (gradient * (w - u)).sum() - 1e-12
