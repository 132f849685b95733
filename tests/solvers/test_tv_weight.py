"""Weights of total variation from the noise: closed forms, a second root finder, statistics."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.optimize import brentq
from tests.helpers import normal
from torch import Tensor

from learnedrecon.errors import ConfigError, DataError, GeometryError, ShapeError
from learnedrecon.operators.imaging.shapes import Identity
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space
from learnedrecon.solvers.noise_level import estimate_noise, known_noise
from learnedrecon.solvers.tv import tv_reconstruction
from learnedrecon.solvers.tv_weight import scaled_tv_weight, tv_by_discrepancy

PAIR = Identity(Space((1, 2), torch.float64))
RAY = RayTransform(ParallelBeam((12, 10), AngleRange(9), FlatDetector(17)), torch.float64)


def sinogram(sigma: float) -> Tensor:
    u = torch.zeros(2, 1, 12, 10, dtype=torch.float64)
    u[0, 0, 2:8, 3:7], u[1, 0, 4:10, 1:8] = 1.0, 2.0
    return RAY(u) + sigma * normal(2, 1, 9, 17)


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_denoising_two_pixels_in_closed_form(factor: float) -> None:
    """Values approach each other by α each, so ‖u - y‖ = √2·α, and α = τσ."""
    y = torch.tensor([[[3.0, 1.0]], [[30.0, -10.0]]], dtype=torch.float64)
    sigma = torch.tensor([0.2, 5.0], dtype=torch.float64)
    found = tv_by_discrepancy(PAIR, y, sigma, factor=factor, nonnegative=False, tolerance=1e-3)
    assert found.converged.all(), found.status
    torch.testing.assert_close(found.weight, factor * sigma, rtol=1e-3, atol=0)
    move = (factor * sigma).reshape(2, 1, 1) * torch.tensor([-1.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(found.result.image, y + move, rtol=1e-3, atol=1e-3)


def test_complex_denoising_in_closed_form() -> None:
    """σ² = E|n|²: the pixels move by α along their difference."""
    pair = Identity(Space((1, 2), torch.complex128))
    y = torch.tensor([[[3.0 + 1j, 1.0 - 2j]]], dtype=torch.complex128)
    found = tv_by_discrepancy(pair, y, 0.3, tolerance=1e-3)
    assert found.converged.all(), found.status
    assert float(found.weight) == pytest.approx(0.3, rel=1e-3)


def test_it_is_the_root_that_another_method_finds() -> None:
    y, sigma = sinogram(0.1)[:1], 0.1
    found = tv_by_discrepancy(RAY, y, sigma, tolerance=2e-3)
    assert found.converged.all(), found.status

    def excess(log_weight: float) -> float:
        result = tv_reconstruction(RAY, y, math.exp(log_weight))
        return float((RAY(result.image) - y).norm()) / (sigma * math.sqrt(y.numel())) - 1

    centre = math.log(float(found.weight))
    root = brentq(excess, centre - 0.5, centre + 0.5, xtol=1e-2)
    assert math.exp(root) == pytest.approx(float(found.weight), rel=0.05)


def test_the_noise_is_found_from_the_data() -> None:
    """To the accuracy of a median of so many differences, edges and all."""
    smooth = torch.sin(torch.linspace(0, 6, 400, dtype=torch.float64)).expand(3, 1, 60, 400)
    step = torch.where(torch.arange(400) > 150, 5.0, 0.0)
    sigma = torch.tensor([0.05, 0.5, 2.0], dtype=torch.float64)
    y = smooth + step + sigma.reshape(3, 1, 1, 1) * normal(3, 1, 60, 400)
    torch.testing.assert_close(estimate_noise(y), sigma, rtol=0.02, atol=0)
    torch.testing.assert_close(estimate_noise(1e3 * y), 1e3 * sigma, rtol=0.02, atol=0)


def test_the_noise_of_masked_complex_data() -> None:
    """torch.randn has E|n|² = 1 for complex numbers too; zeros are not measured."""
    y = 0.3 * normal(2, 4, 64, 64, dtype=torch.complex128)
    y[:, :, ::2] = 0
    expected = torch.full((2,), 0.3, dtype=torch.float64)
    torch.testing.assert_close(estimate_noise(y), expected, rtol=0.03, atol=0)
    with pytest.raises(DataError, match="a sample of zeros"):
        estimate_noise(torch.zeros(1, 8))
    with pytest.raises(ShapeError, match="n ≥ 3"):
        estimate_noise(torch.zeros(1, 2))


def test_where_noise_cannot_be_estimated_it_is_zero() -> None:
    y = torch.stack([normal(4, 300), torch.zeros(4, 300, dtype=torch.float64)])
    expected = torch.stack([estimate_noise(y[:1])[0], torch.zeros((), dtype=torch.float64)])
    torch.testing.assert_close(known_noise(y), expected)
    assert known_noise(y[..., :2]).tolist() == [0, 0]


def test_weights_grow_with_the_noise() -> None:
    quiet, loud = (tv_by_discrepancy(RAY, sinogram(s), s) for s in (0.02, 0.2))
    assert quiet.converged.all()
    assert loud.converged.all()
    assert (loud.weight > quiet.weight).all()


def test_units_change_nothing_else() -> None:
    y = sinogram(0.1)
    once = tv_by_discrepancy(RAY, y, 0.1)
    scaled = tv_by_discrepancy(RAY, 1000 * y, 100.0)
    torch.testing.assert_close(scaled.weight, 1000 * once.weight, rtol=1e-6, atol=0)


def test_noise_beyond_the_data_is_said() -> None:
    found = tv_by_discrepancy(PAIR, torch.tensor([[[3.0, 1.0]]]).double(), 50.0, nonnegative=False)
    assert not found.converged.any()
    assert found.ratio.max() < 0.1
    assert found.status.startswith("0 of 1 samples")


def test_the_square_law() -> None:
    assert scaled_tv_weight(0.3, 0.1, 0.2) == pytest.approx(1.2)
    sigma = torch.tensor([0.05, 0.3])
    expected = torch.tensor([0.075, 2.7])
    found = scaled_tv_weight(0.3, 0.1, sigma)
    assert isinstance(found, Tensor)
    torch.testing.assert_close(found, expected)
    with pytest.raises(ConfigError, match="reference_sigma > 0"):
        scaled_tv_weight(0.3, 0.0, 0.2)


def test_what_makes_no_sense_is_refused() -> None:
    y = sinogram(0.1)
    with pytest.raises(ConfigError, match="sigma > 0"):
        tv_by_discrepancy(RAY, y, 0.0)
    with pytest.raises(ShapeError, match="one sigma"):
        tv_by_discrepancy(RAY, y, torch.ones(3))
    with pytest.raises(GeometryError, match="swap the two"):
        tv_by_discrepancy(y, RAY)  # type: ignore[arg-type]
