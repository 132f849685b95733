"""Norms, sets and total variation: values and proximal maps in closed form and by the kit."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import Dense, normal

from learnedrecon.errors import ConfigError, DifferentiationError, DtypeError
from learnedrecon.functionals.constraints import Box, NonNegative
from learnedrecon.functionals.norms import L1, UNITARY, GroupL1, HuberNorm
from learnedrecon.functionals.regularisers import TotalVariation
from learnedrecon.functionals.tv_prox import total_variation_prox
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.space import Space
from learnedrecon.testing import check_functional

if TYPE_CHECKING:
    from learnedrecon.functionals.base import Regulariser

SHAPE = (2, 1, 3, 4)
DTYPES = [torch.float32, torch.float64, torch.complex64, torch.complex128]


def basis(n: int, dtype: torch.dtype) -> Dense:
    return Dense(torch.linalg.qr(normal(n, n, dtype=dtype, seed=7))[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["L1", "L1 of a basis", "groups", "Huber", "Huber of groups"])
def test_norms(kind: str, dtype: torch.dtype) -> None:
    norms: dict[str, Regulariser] = {
        "L1": L1(),
        "L1 of a basis": L1(basis(4, dtype)),
        "groups": GroupL1(-2),
        "Huber": HuberNorm(0.7),
        "Huber of groups": HuberNorm(0.7, -2),
    }
    # A basis in single precision is orthogonal to 1e-7, and values show the root of that.
    within = 2e-3 if "basis" in kind and dtype.to_real() == torch.float32 else 1e-6
    report = check_functional(norms[kind], at=normal(*SHAPE, dtype=dtype), prox_tolerance=within)
    assert "the proximal map minimises, t = 1" in str(report)


def test_soft_thresholding_in_closed_form() -> None:
    u = torch.tensor([[3.0, -0.5, -2.0, 0.0]], dtype=torch.float64)
    expected = torch.tensor([[2.0, 0.0, -1.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(L1().prox(u, 1.0), expected)
    phase = torch.exp(1j * torch.tensor([[0.3, 1.0, 2.0, 0.0]], dtype=torch.float64))
    torch.testing.assert_close(L1().prox(u * phase, 1.0), expected * phase)
    assert float(L1()(u * phase)) == pytest.approx(5.5)


def test_a_group_shrinks_as_one() -> None:
    v = torch.tensor([3.0, 4.0], dtype=torch.float64).view(1, 2, 1, 1)
    assert float(GroupL1(-3)(v)) == 5.0
    torch.testing.assert_close(GroupL1(-3).prox(v, 1.0), 0.8 * v)
    assert not GroupL1(-3).prox(v, 5.0).any()


def test_group_l1_of_the_gradient_is_total_variation() -> None:
    u = normal(2, 1, 5, 6)
    gradient = FiniteDifference(Space((5, 6), torch.float64))
    torch.testing.assert_close(GroupL1(-3)(gradient(u)), TotalVariation()(u))


def test_huber_tends_to_l1() -> None:
    u = normal(*SHAPE)
    torch.testing.assert_close(HuberNorm(1e-9)(u) / 1e-9, L1()(u))
    torch.testing.assert_close(HuberNorm(1e-9).prox(u, 0.5e9), L1().prox(u, 0.5))


def test_the_conjugate_of_l1_is_the_box_of_duals() -> None:
    p = 3 * normal(*SHAPE)
    torch.testing.assert_close(L1().prox_conjugate(p, 0.4), p.clamp(-1, 1))


def test_entries_that_are_zero_have_finite_derivatives() -> None:
    for functional in (L1(), GroupL1(-2), HuberNorm(0.5, -2)):
        for dtype in (torch.float64, torch.complex128):
            u = torch.zeros(1, 3, 2, dtype=dtype, requires_grad=True)
            (slope,) = torch.autograd.grad(functional(u).sum(), u)
            (second,) = torch.autograd.grad(functional.prox(u, 0.1).abs().sum(), u)
            assert not slope.any()
            assert second.isfinite().all()


@pytest.mark.parametrize(("share", "refused"), [(0.7, False), (1.4, True)])
def test_a_transform_misses_unitarity_by_a_share_of_its_argument(
    share: float, *, refused: bool
) -> None:
    """W = (1 + d)^½ I has W*W - I = d I, whatever the size of the argument."""
    scaled = Dense(math.sqrt(1 + share * UNITARY) * torch.eye(100, dtype=torch.float64))
    if refused:
        with pytest.raises(ConfigError, match=r"misses it by"):
            L1(scaled)
    else:
        L1(scaled)


def test_a_transform_must_be_unitary() -> None:
    with pytest.raises(ConfigError, match="WW"):
        L1(Dense(2 * torch.eye(3)))
    tall = torch.linalg.qr(normal(5, 3))[0]
    for matrix in (tall, tall.T.contiguous()):  # W*W = I or WW* = I, not both
        with pytest.raises(ConfigError, match="WW"):
            L1(Dense(matrix))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sets(dtype: torch.dtype) -> None:
    inside = normal(*SHAPE, dtype=dtype).clamp(-0.9, 0.9)
    report = check_functional(Box(-1.0, 1.0), at=inside)
    assert report.measured("the proximal map minimises, t = 1") < 1e-6
    check_functional(NonNegative(), at=inside.abs())


def test_projections_in_closed_form() -> None:
    u = torch.tensor([[-2.0, 0.5, 3.0], [0.1, 0.2, 0.3]], dtype=torch.float64)
    assert Box(0.0, 1.0)(u).tolist() == [math.inf, 0.0]
    assert Box(0.0, 1.0).prox(u, 5.0).tolist() == [[0.0, 0.5, 1.0], [0.1, 0.2, 0.3]]
    assert NonNegative().prox(u, 0.1).tolist() == [[0.0, 0.5, 3.0], [0.1, 0.2, 0.3]]
    torch.testing.assert_close(NonNegative().prox_conjugate(u, 0.3), u.clamp(max=0))


def test_sets_refuse_what_they_cannot_do() -> None:
    with pytest.raises(ConfigError, match="gradient"):
        NonNegative().gradient(normal(*SHAPE))
    with pytest.raises(DtypeError, match="real image"):
        NonNegative().prox(normal(*SHAPE, dtype=torch.complex128), 1.0)
    with pytest.raises(ConfigError, match="lower"):
        Box(1.0, 0.0)
    with pytest.raises(ConfigError, match="below 0"):
        GroupL1(1)


@pytest.mark.parametrize(
    ("axes", "dtype"),
    [(1, torch.complex128), (2, torch.float64), (2, torch.complex128), (3, torch.float64)],
)
def test_the_proximal_map_of_total_variation(axes: int, dtype: torch.dtype) -> None:
    functional = TotalVariation(axes, prox_tolerance=1e-6)
    check_functional(functional, at=normal(2, 1, 2, 3, 4, dtype=dtype), prox_tolerance=3e-6)


def test_total_variation_of_two_pixels_in_closed_form() -> None:
    """Values approach by t each, then meet."""
    u = torch.tensor([[[3.0, 1.0]], [[5.0, -2.0]]], dtype=torch.float64)
    result = total_variation_prox(u, torch.tensor([0.4, 9.0]), axes=1, tolerance=1e-9)
    expected = torch.tensor([[[2.6, 1.4]], [[1.5, 1.5]]], dtype=torch.float64)
    torch.testing.assert_close(result.image, expected, rtol=1e-7, atol=1e-7)
    assert result.converged.all()


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-4])
def test_the_certified_error_of_the_proximal_map_is_never_too_small(tolerance: float) -> None:
    u = normal(3, 1, 5, 6)
    steps = torch.tensor([0.05, 0.5, 5.0])
    exact = total_variation_prox(u, steps, tolerance=1e-6, max_iterations=50000)
    assert exact.converged.all()
    result = total_variation_prox(u, steps, tolerance=tolerance)
    size = u.flatten(1).norm(dim=1)
    error = (result.image - exact.image).flatten(1).norm(dim=1) / size
    assert (error <= result.error + 1e-6).all()
    assert (result.error <= tolerance).all()
    assert len(result.iterations.unique()) > 1  # each sample on its own
    alone = total_variation_prox(u[1:2], 0.5, tolerance=tolerance)
    torch.testing.assert_close(alone.image[0], result.image[1])


@pytest.mark.parametrize("unit", [1e-20, 1e20])
def test_units_change_nothing_in_the_proximal_map(unit: float) -> None:
    u = normal(2, 1, 6, 5).float()
    once = total_variation_prox(u, 0.5)
    scaled = total_variation_prox(unit * u, 0.5 * unit)
    torch.testing.assert_close(scaled.image / unit, once.image)
    assert torch.equal(scaled.iterations, once.iterations)


def test_a_proximal_map_that_does_not_converge_says_so(caplog: pytest.LogCaptureFixture) -> None:
    result = total_variation_prox(normal(1, 1, 9, 9), 1.0, tolerance=1e-9, max_iterations=20)
    assert result.converged.tolist() == [False]
    assert result.iterations.tolist() == [20]
    with caplog.at_level(logging.WARNING, "learnedrecon"):
        TotalVariation(prox_tolerance=1e-15).prox(normal(1, 1, 3, 3), 1.0)
    assert "certified to a relative error" in caplog.text


def test_the_proximal_map_of_total_variation_is_no_constant() -> None:
    u = normal(1, 1, 3, 3).requires_grad_()
    with pytest.raises(DifferentiationError, match="derivative"):
        TotalVariation().prox(u, 0.1).sum().backward()
    with pytest.raises(ConfigError, match="proximal map"):
        TotalVariation(smoothing=0.1).prox(u, 0.1)


def test_no_image_is_no_error() -> None:
    assert total_variation_prox(torch.zeros(0, 1, 3, 3), 1.0).image.shape == (0, 1, 3, 3)
    flat = total_variation_prox(torch.zeros(1, 1, 3, 3), 1.0)
    assert flat.converged.all()
    assert not flat.image.any()
