"""The plain PyTorch transform in 3D against a second method, its transpose and closed forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from learnedrecon.kernels import oracle3d
from learnedrecon.kernels.geometry3d import RayGeometry3D

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .conftest import Scan3D

KINDS = ["circular", "helical", "laminography", "along_z", "skew", "inside"]


def matrix(geometry: RayGeometry3D) -> torch.Tensor:
    """(rays, voxels), one column per unit volume."""
    voxels = int(np.prod(geometry.shape))
    units = torch.eye(voxels, dtype=torch.float64).reshape(voxels, *geometry.shape)
    return oracle3d.forward(units, geometry).reshape(voxels, -1).T


def hat_functions(geometry: RayGeometry3D) -> NDArray[np.float64]:
    """The matrix ray by ray: hats of the distance in every slice, without index arithmetic."""
    sizes = np.array(geometry.shape)
    grid = [(np.arange(n) - (n - 1) / 2) * d for n, d in zip(sizes, geometry.pixel, strict=True)]
    position = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1)
    rows = []
    for vector in geometry.vectors:
        first, p0, column, row = vector.reshape(4, 3)[:, ::-1]
        for pixel in np.ndindex(*geometry.detectors):
            point = p0 + pixel[1] * column + pixel[0] * row
            direction = point - first if geometry.cone else first
            speed = np.abs(direction / geometry.pixel)
            main = max((1, 2, 0), key=lambda axis: speed[axis])
            time = (position[..., main] - point[main]) / direction[main]
            distance = np.abs(position - point - time[..., None] * direction) / geometry.pixel
            hats = np.delete(np.maximum(0.0, 1.0 - distance), main, axis=-1).prod(axis=-1)
            rows.append(hats * np.linalg.norm(direction) / speed[main])
    return np.stack(rows).reshape(len(rows), -1)


@pytest.mark.parametrize("cone", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_matrix_equals_hat_functions_ray_by_ray(scan3d: Scan3D, kind: str, cone: bool) -> None:
    geometry = scan3d(kind, cone=cone, angles=4, detectors=(5, 6), shape=(4, 5, 6))
    found, expected = matrix(geometry), hat_functions(geometry)
    assert (expected != 0).any()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_adjoint_is_the_transposed_matrix_and_the_gradient(scan3d: Scan3D, kind: str) -> None:
    geometry = scan3d(kind, angles=3, detectors=(4, 5), shape=(4, 5, 6))
    data = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    expected = (data.reshape(2, -1) @ matrix(geometry)).reshape(2, 4, 5, 6)
    torch.testing.assert_close(oracle3d.adjoint(data, geometry), expected, rtol=1e-13, atol=1e-13)
    volume = torch.zeros(2, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad((oracle3d.forward(volume, geometry) * data).sum(), volume)
    torch.testing.assert_close(gradient, expected, rtol=1e-13, atol=1e-13)
    data.requires_grad_()
    (back,) = torch.autograd.grad((oracle3d.adjoint(data, geometry) * volume.detach()).sum(), data)
    torch.testing.assert_close(back, oracle3d.forward(volume.detach(), geometry))


def test_large_detectors_are_taken_in_pieces(
    scan3d: Scan3D, monkeypatch: pytest.MonkeyPatch
) -> None:
    geometry = scan3d("steep")
    volume = torch.randn(geometry.shape, dtype=torch.float64)
    data = torch.randn(geometry.angles, *geometry.detectors, dtype=torch.float64)
    expected = oracle3d.forward(volume, geometry), oracle3d.adjoint(data, geometry)
    monkeypatch.setattr(oracle3d, "_PIECE", 40)
    torch.testing.assert_close(oracle3d.forward(volume, geometry), expected[0])
    torch.testing.assert_close(oracle3d.adjoint(data, geometry), expected[1])


def test_constant_volume_along_the_axes_and_the_diagonal() -> None:
    """n d along the axes; on the diagonal n steps of sqrt(3) voxels."""
    directions = [(1, 0, 0), (0, -1, 0), (0, 0, 1), (1, 1, 1)]
    vectors = np.array([[*d, 0, 0, 0, 0, 0, 0, 0, 0, 0] for d in directions], dtype=float)
    geometry = RayGeometry3D(vectors, False, (1, 1), (5, 7, 9), (0.5, 0.5, 0.5))
    volume = torch.full((5, 7, 9), 3.0, dtype=torch.float64)
    expected = 1.5 * torch.tensor([9, 7, 5, 5 * 3**0.5], dtype=torch.float64)
    torch.testing.assert_close(oracle3d.forward(volume, geometry)[:, 0, 0], expected)


def test_no_angles(scan3d: Scan3D) -> None:
    geometry = scan3d("circular").subset([])
    assert oracle3d.forward(torch.zeros(2, 7, 8, 9), geometry).shape == (2, 0, 11, 9)
    assert not oracle3d.adjoint(torch.zeros(2, 0, 11, 9), geometry).any()


def test_ball_converges_to_its_chords() -> None:
    """Chords 2 sqrt(r² - s²) of a ball in a cone beam: the mean error falls with the voxel."""
    errors = []
    source = np.array([3.0, -60.0, 5.0])
    p0, column, row = np.array([-8.0, 60.0, -8.0]), np.array([1.6, 0, 0]), np.array([0, 0, 1.6])
    vectors = np.concatenate([source, p0, column, row])[None]
    for n in (16, 64):
        size = 24.0 / n
        geometry = RayGeometry3D(vectors, True, (11, 11), (n, n, n), (size, size, size))
        axis = (torch.arange(n, dtype=torch.float64) - (n - 1) / 2) * size
        square = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
        ball = (square <= 81.0).double()
        ray = geometry.directions()[0]
        unit = ray / np.linalg.norm(ray, axis=-1, keepdims=True)
        offset = np.linalg.norm(np.cross(unit, source), axis=-1)
        chords = 2 * np.sqrt(np.maximum(81.0 - offset**2, 0))
        found = oracle3d.forward(ball, geometry)[0].numpy()
        errors.append(np.abs(found - chords).mean())
    assert errors[1] < 0.4 * errors[0]
    assert errors[1] < 0.02 * 18
