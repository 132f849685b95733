"""Filtered back-projection and total variation as methods."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from learnedrecon.errors import GeometryError
from learnedrecon.models.classical import FBP, TV
from learnedrecon.operators.ray.geometry2d import FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem
from learnedrecon.solvers.direct.fbp import fbp
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
    np.testing.assert_allclose(found, best, atol=1e-4 * np.abs(best).max())


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
