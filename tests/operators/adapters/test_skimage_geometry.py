"""The convention of scikit-image's radon: its sinograms, and centres of mass in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.transform import iradon, radon

from learnedrecon.errors import GeometryError
from learnedrecon.operators.adapters.skimage_geometry import geometry_from_skimage
from learnedrecon.operators.ray.arranged import ArrangedTransform
from learnedrecon.operators.ray.geometry2d import ParallelBeam
from learnedrecon.solvers.direct.pseudo_inverse import pseudo_inverse

THETA = np.linspace(0, 180, 24, endpoint=False) + 3


def blobs(shape: tuple[int, int]) -> np.ndarray:
    """Within the circle, around pixel n // 2."""
    y, x = np.mgrid[: shape[0], : shape[1]] - np.array(shape)[:, None, None] // 2
    first = np.exp(-((x - 7) ** 2 / 2 / 16 + (y + 4) ** 2 / 2 / 20))
    return np.asarray(first + 0.5 * np.exp(-((x + 6) ** 2 + (y - 8) ** 2) / 2 / 12))


@pytest.mark.filterwarnings("ignore:Radon transform:UserWarning")
@pytest.mark.parametrize("circle", [True, False])
@pytest.mark.parametrize("size", [48, 49])
def test_sinograms_are_those_of_radon(size: int, circle: bool) -> None:
    """To the accuracy of its interpolation."""
    image = blobs((size, size))
    expected = radon(image, THETA, circle=circle)
    arranged = geometry_from_skimage(image.shape, THETA, circle=circle)
    found = ArrangedTransform(arranged, torch.float64)(torch.from_numpy(image)).numpy()
    assert found.shape == expected.shape
    assert np.linalg.norm(found - expected) < 2e-3 * np.linalg.norm(expected)
    assert isinstance(arranged.geometry, ParallelBeam) == (size % 2 == 1)


def test_images_that_are_not_square() -> None:
    image = blobs((44, 51))
    expected = radon(image, THETA, circle=False)
    arranged = geometry_from_skimage(image.shape, THETA, circle=False)
    found = ArrangedTransform(arranged, torch.float64)(torch.from_numpy(image)).numpy()
    assert np.linalg.norm(found - expected) < 2e-3 * np.linalg.norm(expected)


@pytest.mark.parametrize("size", [48, 49])
def test_centres_of_mass_turn_about_pixel_half_n(size: int) -> None:
    """At detector pixel n // 2 + (x - n // 2) cos θ - (y - n // 2) sin θ."""
    y, x = np.mgrid[:size, :size]
    image = np.exp(-((x - 29) ** 2 + (y - 20) ** 2) / 2 / 9)
    arranged = geometry_from_skimage((size, size), THETA)
    sinogram = ArrangedTransform(arranged, torch.float64)(torch.from_numpy(image)).numpy()
    pixel = np.arange(size)[:, None]
    found = (pixel * sinogram).sum(0) / sinogram.sum(0)
    half, angle = size // 2, np.deg2rad(THETA)
    expected = half + (29 - half) * np.cos(angle) - (20 - half) * np.sin(angle)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


@pytest.mark.filterwarnings("ignore:Radon transform:UserWarning")
@pytest.mark.parametrize("size", [48, 49])
def test_filtered_backprojection_is_iradon(size: int) -> None:
    """Within the circle, beyond which that one writes 0, and before which it ends at the rim."""
    theta = np.arange(0, 180, 7.5)
    sinogram = radon(blobs((size, size)), theta)
    operator = ArrangedTransform(geometry_from_skimage((size, size), theta), torch.float64)
    found = pseudo_inverse(operator, torch.from_numpy(sinogram)).numpy()
    expected = iradon(sinogram, theta)
    y, x = np.mgrid[:size, :size] - size // 2
    inside = x**2 + y**2 < (size // 2 - 1) ** 2
    np.testing.assert_allclose(found[inside], expected[inside], rtol=0, atol=1e-12)


def test_a_pixel_size_scales_the_lines() -> None:
    image = torch.from_numpy(blobs((48, 48)))
    one, half = (
        ArrangedTransform(geometry_from_skimage((48, 48), THETA, pixel_size=size), torch.float64)
        for size in (1.0, 0.5)
    )
    torch.testing.assert_close(half(image), one(image) / 2)


@pytest.mark.parametrize(
    ("shape", "theta", "circle"),
    [((4, 5), THETA, True), ((4, 4), [], True), ((4, 4, 4), THETA, False)],
)
def test_refuses(shape: tuple[int, ...], theta: list[float], circle: bool) -> None:
    with pytest.raises(GeometryError, match="square where circle is True"):
        geometry_from_skimage(shape, theta, circle=circle)
