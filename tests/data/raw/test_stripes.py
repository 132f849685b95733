"""Stripes drawn onto sinograms with closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.raw_scans import image, line_integrals

from learnedrecon.data.raw.stripes import (
    METHODS,
    stripes_removed,
    stripes_removed_by_mean,
    stripes_removed_by_sorting,
)
from learnedrecon.errors import ConfigError, ShapeError
from learnedrecon.operators.ray.geometry2d import FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.solvers.direct.fbp import fbp

VIEWS, PIXELS, SIZE = 120, 99, 64
THETA = np.arange(VIEWS) * np.pi / VIEWS
LINES = line_integrals(THETA, PIXELS)


def striped(seed: int) -> np.ndarray:
    """Gains that are off by 4 % (standard deviation) in every seventh pixel or so."""
    rng = np.random.default_rng(seed)
    gain = np.where(rng.random(PIXELS) < 0.15, 0.04 * rng.normal(size=PIXELS), 0.0)
    return LINES + gain


def image_error(lines: np.ndarray) -> float:
    """Relative error of filtered back-projection against the phantom."""
    scan = ParallelBeam((SIZE, SIZE), tuple(THETA.tolist()), FlatDetector(PIXELS))
    u = fbp(RayTransform(scan), torch.from_numpy(lines)[None, None])[0, 0].numpy()
    return float(np.linalg.norm(u - image(SIZE)) / np.linalg.norm(image(SIZE)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("method", "part"), [("mean", 0.35), ("sorting", 0.75)])
def test_rings_lose_most_of_their_error(method: str, part: float, seed: int) -> None:
    before = image_error(striped(seed))
    after = image_error(stripes_removed(striped(seed)[:, None], method)[:, 0])
    assert before > 0.1
    assert after < part * before


@pytest.mark.parametrize("method", METHODS)
def test_what_has_no_stripes_is_changed_little(method: str) -> None:
    clean = stripes_removed(LINES[:, None], method)[:, 0]
    assert np.linalg.norm(clean - LINES) / np.linalg.norm(LINES) < 0.005
    assert image_error(clean) < 0.012


def test_sorting_needs_a_detector_that_is_finer_than_the_image() -> None:
    """With four times as many pixels for the same blobs, almost nothing is left of the stripes."""
    rng = np.random.default_rng(0)
    lines = line_integrals(THETA, 4 * PIXELS, pitch=0.25)
    stripes = np.where(rng.random(4 * PIXELS) < 0.1, 0.04 * rng.normal(size=4 * PIXELS), 0.0)
    after = stripes_removed_by_sorting(lines + stripes) - lines
    assert np.linalg.norm(after) < 0.45 * np.linalg.norm(stripes) * np.sqrt(VIEWS)


def test_the_mean_loses_cubics_nowhere_and_stripes_by_the_filter_alone() -> None:
    """A local cubic is kept to rounding; a single stripe keeps the central weight of the filter."""
    s = np.linspace(-1, 1, 61)
    cubic = np.tile(1 + s - 2 * s**2 + s**3, (5, 1))
    np.testing.assert_allclose(stripes_removed_by_mean(cubic), cubic, atol=1e-13)
    damaged = cubic.copy()
    damaged[:, 30] += 1.0
    centre = 3 * (3 * 10**2 + 3 * 10 - 1) / ((2 * 10 - 1) * (2 * 10 + 1) * (2 * 10 + 3))
    left = stripes_removed_by_mean(damaged)[:, 30] - cubic[:, 30]
    np.testing.assert_allclose(left, centre, atol=1e-13)


def test_a_stripe_on_columns_of_equal_values_is_removed_exactly() -> None:
    """Columns that hold the same values in any order differ by their stripes alone."""
    rng = np.random.default_rng(0)
    column = rng.normal(size=50)
    sinogram = np.stack([rng.permutation(column) for _ in range(40)], axis=1)
    damaged = sinogram.copy()
    damaged[:, [7, 8, 25]] += np.array([0.5, -0.3, 2.0])
    np.testing.assert_allclose(stripes_removed_by_sorting(damaged), sinogram, atol=1e-14)


def test_each_row_is_taken_by_itself_and_none_is_nothing() -> None:
    values = np.stack([striped(0), striped(1)], axis=1)
    both = stripes_removed(values, "sorting")
    for row in range(2):
        np.testing.assert_array_equal(both[:, row], stripes_removed_by_sorting(values[:, row]))
    assert stripes_removed(values, "none") is values


def test_other_methods_and_windows_are_refused() -> None:
    with pytest.raises(ConfigError, match="sorting, mean or none"):
        stripes_removed(LINES[:, None], "magic")
    for window in (1, 4):
        with pytest.raises(ConfigError, match="odd window"):
            stripes_removed_by_sorting(LINES, window)
    with pytest.raises(ConfigError, match="at least 5"):
        stripes_removed_by_mean(LINES, 3)
    with pytest.raises(ShapeError, match=r"\(angle, detector\)"):
        stripes_removed_by_sorting(LINES[0])
