from __future__ import annotations

import numpy as np
import pytest
import skimage.data

from learnedrecon.data.phantoms.shepp_logan import shepp_logan, shepp_logan_ellipses
from learnedrecon.errors import ShapeError


def value_at(image: np.ndarray[tuple[int, ...], np.dtype[np.float32]], x: float, y: float) -> float:
    """The pixel that holds the point (x, y) with y upwards."""
    ny, nx = image.shape
    return float(image[int((1 - y) / 2 * ny), int((x + 1) / 2 * nx)])


@pytest.mark.parametrize(
    ("x", "y", "value"),
    [
        (0.0, 0.9, 1.0),  # skull
        (0.0, -0.3, 0.2),  # brain
        (0.22, 0.0, 0.0),  # right ventricle
        (-0.22, 0.0, 0.0),  # left ventricle
        (0.0, 0.35, 0.3),  # the large tumour, in the upper half
        (0.0, 0.12, 0.4),  # a small tumour overlapping the large one
        (0.0, -0.1, 0.3),
        (-0.08, -0.605, 0.3),  # the three small ones, in the lower half
        (0.0, -0.606, 0.3),
        (0.06, -0.605, 0.3),
        (0.9, 0.9, 0.0),  # air
    ],
)
def test_values_of_the_tissues(x: float, y: float, value: float) -> None:
    assert value_at(shepp_logan(501), x, y) == pytest.approx(value, abs=1e-6)


def test_agrees_with_the_picture_in_skimage() -> None:
    """That picture is drawn by another program: only pixels at the borders of ellipses differ."""
    theirs = skimage.data.shepp_logan_phantom()
    ours = shepp_logan(theirs.shape[0])
    assert np.mean(abs(ours - theirs) > 0.05) < 0.006
    for mirrored in (theirs[::-1], theirs[:, ::-1]):
        assert np.mean(abs(ours - mirrored) > 0.05) > 0.05


def test_mass_is_the_sum_of_the_areas() -> None:
    value, a, b = shepp_logan_ellipses()[:, :3].T
    exact = np.sum(value * np.pi * a * b)
    mass = shepp_logan(1024).sum(dtype=np.float64) * (2 / 1024) ** 2
    assert mass == pytest.approx(exact, rel=1e-3)


def test_range_type_and_shape() -> None:
    image = shepp_logan((100, 60))
    assert image.shape == (100, 60)
    assert image.dtype == np.float32
    assert (image.min(), image.max()) == (0.0, 1.0)


def test_the_size_must_be_positive() -> None:
    with pytest.raises(ShapeError, match=r"\(0, 0\)"):
        shepp_logan(0)
