"""Filtered back-projection and total variation as methods."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.helpers import normal

from learnedrecon.errors import DataError, GeometryError
from learnedrecon.models.classical import FBP, TV, natural_weight
from learnedrecon.operators.imaging.shapes import Identity
from learnedrecon.operators.ray.geometry2d import FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem
from learnedrecon.solvers.direct.bandwidth import fbp_by_noise
from learnedrecon.solvers.direct.fbp import fbp
from learnedrecon.solvers.noise_level import estimate_noise
from learnedrecon.testing import dense_matrix

Array: TypeAlias = NDArray[np.float64]

GEOMETRY = ParallelBeam((7, 6), (0.1, 0.9, 1.4, 2.2, 2.9), FlatDetector(11, 1.1, 0.6), (0.9, 1.2))
RAY = RayTransform(GEOMETRY, torch.float64)
P: Array = dense_matrix(RAY).numpy()
IMAGE = GEOMETRY.shape


def data(offset: float = 0.0) -> torch.Tensor:
    """Of a positive image, less ``offset`` times their mean."""
    generator = torch.Generator().manual_seed(11)
    u = 0.3 * torch.rand(1, 1, *IMAGE, generator=generator, dtype=torch.float64)
    y = RAY(u)
    return y - offset * y.mean()


def differences() -> Array:
    """∇ as a matrix, all differences down before all to the right, zero across the border."""
    (ny, nx), size = IMAGE, math.prod(IMAGE)
    down, right = np.zeros((size, size)), np.zeros((size, size))
    for y, x in np.ndindex(IMAGE):
        row = y * nx + x
        if y + 1 < ny:
            down[row, row], down[row, row + nx] = -1, 1
        if x + 1 < nx:
            right[row, row], right[row, row + 1] = -1, 1
    return np.concatenate([down, right])


@pytest.mark.parametrize("nonnegative", [True, False])
def test_total_variation(nonnegative: bool) -> None:
    alpha, D = 0.05, differences()
    y = data(offset=0.7)
    b = y.numpy().ravel()
    shift = float("-inf") if not nonnegative else 0.0

    def lengths(z: Array) -> Array:
        return np.hypot(*z.reshape(2, -1))

    def objective(u: Array) -> float:
        return float(0.5 * np.sum((P @ u - b) ** 2) + alpha * lengths(D @ u).sum())

    def admm(iterations: int = 8000, rho: float = 2.0) -> Array:
        inverse = np.linalg.inv(P.T @ P + rho * (D.T @ D + np.eye(P.shape[1])))
        z, w = np.zeros(len(D)), np.zeros(P.shape[1])
        a, d = np.zeros_like(z), np.zeros_like(w)
        for _ in range(iterations):
            u = inverse @ (P.T @ b + rho * (D.T @ (z - a) + w - d))
            slopes = D @ u + a
            shrink = np.maximum(1 - alpha / rho / np.maximum(lengths(slopes), 1e-300), 0)
            z, w = np.tile(shrink, 2) * slopes, np.maximum(u + d, shift)
            a, d = slopes - z, u + d - w
        return w

    method = TV(alpha, nonnegative=nonnegative, gap=1e-10, max_iterations=200_000)
    estimate = method(InverseProblem(RAY, y))
    found = estimate.image.numpy().ravel()
    best = admm()
    assert estimate.status is not None
    assert estimate.status.startswith("Converged")
    assert (found.min() >= 0) == nonnegative
    assert objective(found) == pytest.approx(objective(best), rel=1e-9)
    np.testing.assert_allclose(found, best, atol=1e-6 * np.abs(best).max())


def test_total_variation_says_when_it_is_not_done() -> None:
    estimate = TV(0.05, gap=1e-9, max_iterations=25)(InverseProblem(RAY, data()))
    assert estimate.status is not None
    assert estimate.status.startswith("Not converged")


def test_total_variation_in_centimetres() -> None:
    """½‖Tu - y‖² + α Σ|∇u| with u ten times as large needs a tenth of α."""
    small = ParallelBeam(IMAGE, GEOMETRY.angles, FlatDetector(11, 0.11, 0.06), (0.09, 0.12))
    cm = RayTransform(small, torch.float64)
    u = TV(0.05, gap=1e-8)(InverseProblem(RAY, data())).image
    v = TV(0.005, gap=1e-8)(InverseProblem(cm, data())).image
    torch.testing.assert_close(v, 10 * u, rtol=1e-9, atol=1e-9)


def test_total_variation_needs_a_linear_operator() -> None:
    operator = TransmissionCT(Transmission(GEOMETRY), torch.float64)
    with pytest.raises(GeometryError, match=r"linear(?s:.*)TransmissionCT(?s:.*)logarithm"):
        TV(0.05)(InverseProblem(operator, torch.exp(-data())))


def test_fbp_is_the_solver() -> None:
    image = FBP("hann", 0.7)(InverseProblem(RAY, data())).image
    expected = fbp(RayTransform(GEOMETRY), data(), window="hann", bandwidth=0.7)
    torch.testing.assert_close(image, expected, rtol=0, atol=0)


def test_fbp_takes_the_logarithm_of_transmissions() -> None:
    operator = TransmissionCT(Transmission(GEOMETRY, mu=0.2), torch.float64)
    image = FBP()(InverseProblem(operator, torch.exp(-0.2 * data()))).image
    torch.testing.assert_close(image, FBP()(InverseProblem(RAY, data())).image)


def two_noises() -> tuple[torch.Tensor, torch.Tensor]:
    """Two measurements with noise of .05 and .2, and σ as it is estimated."""
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(2, 1, *RAY.codomain.shape, generator=generator, dtype=torch.float64)
    y = data() + torch.tensor([0.05, 0.2], dtype=torch.float64).view(2, 1, 1, 1) * noise
    return y, estimate_noise(y)


def test_the_weight_follows_the_variance_of_each_sample() -> None:
    y, sigma = two_noises()
    images = TV(0.05, reference_sigma=0.1)(InverseProblem(RAY, y)).image
    for i, each in enumerate(y):
        weight = 0.05 * float(sigma[i] / 0.1) ** 2
        alone = TV(weight)(InverseProblem(RAY, each[None])).image
        torch.testing.assert_close(images[i], alone[0], rtol=1e-9, atol=1e-9)
    known = TV(0.05, reference_sigma=0.1, sigma=0.2)(InverseProblem(RAY, y)).image
    torch.testing.assert_close(known, TV(0.2)(InverseProblem(RAY, y)).image)
    level = 0.2 / float(y[0].abs().mean())
    relative = TV(0.05, reference_sigma=0.1, noise_level=level)(InverseProblem(RAY, y[:1])).image
    torch.testing.assert_close(relative, TV(0.2)(InverseProblem(RAY, y[:1])).image)


def test_data_without_noise_keep_the_weight() -> None:
    y = torch.zeros(1, 1, *RAY.codomain.shape, dtype=torch.float64)
    y[..., 3] = 1.0
    found = TV(0.05, reference_sigma=0.1)(InverseProblem(RAY, y)).image
    torch.testing.assert_close(found, TV(0.05)(InverseProblem(RAY, y)).image, rtol=0, atol=0)


def test_the_discrepancy_principle_as_a_method() -> None:
    y = two_noises()[0][:1]
    estimate = TV("discrepancy", sigma=0.1)(InverseProblem(RAY, y))
    residual = float((RAY(estimate.image) - y).norm())
    assert residual == pytest.approx(0.1 * y.numel() ** 0.5, rel=0.02)
    assert estimate.status is not None
    assert "Weight" in estimate.status


def test_the_discrepancy_principle_estimates_the_noise() -> None:
    identity = Identity(Space((9, 8), torch.float64))
    y = 0.1 * torch.randn(1, 1, 9, 8, dtype=torch.float64)
    y[..., 3:, :] += 3
    estimate = TV("discrepancy")(InverseProblem(identity, y))
    expected = TV("discrepancy", sigma=float(estimate_noise(y)))(InverseProblem(identity, y))
    torch.testing.assert_close(estimate.image, expected.image, rtol=0, atol=0)
    with pytest.raises(DataError, match=r"(?s)discrepancy.*give a weight, begin with"):
        TV("discrepancy")(InverseProblem(identity, torch.zeros_like(y)))


def test_the_bandwidth_from_the_noise_as_a_method() -> None:
    y, _ = two_noises()
    estimate = FBP("hann", "auto")(InverseProblem(RAY, y))
    torch.testing.assert_close(estimate.image, fbp_by_noise(RAY, y).image, rtol=0, atol=0)
    assert estimate.status is not None
    assert "Bandwidth" in estimate.status


def test_the_natural_weight_does_not_grow_with_the_batch() -> None:
    y = normal(1, 1, *RAY.codomain.shape)
    one = natural_weight(InverseProblem(RAY, y))
    assert one == pytest.approx(1e-3 * float(RAY.adjoint(y).abs().max()))
    assert natural_weight(InverseProblem(RAY, y.expand(5, -1, -1, -1))) == pytest.approx(one)
