"""Masks of two axes: how many samples, how far apart, and where."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pytest
from scipy.spatial import cKDTree

from learnedrecon.errors import ConfigError, ShapeError
from learnedrecon.operators.mri import sampling_grid as grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from learnedrecon.operators.mri.sampling_lines import Seed

    class Draw(Protocol):
        def __call__(
            self,
            shape: tuple[int, int],
            *,
            acceleration: float,
            centre: int = 24,
            seed: Seed = 0,
        ) -> NDArray[np.bool_]: ...


KINDS: dict[str, Draw] = {
    "poisson_disc": grid.poisson_disc_mask,
    "radial": grid.radial_mask,
    "spiral": grid.spiral_mask,
}
SHAPES = [(128, 128), (115, 90), (90, 161)]


@cache
def mask_of(
    kind: str, shape: tuple[int, int], acceleration: float, seed: int = 0
) -> NDArray[np.bool_]:
    return KINDS[kind](shape, acceleration=acceleration, centre=16, seed=seed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("acceleration", [2.0, 4.0, 8.5])
def test_the_acceleration_is_met(kind: str, shape: tuple[int, int], acceleration: float) -> None:
    wanted = math.prod(shape) / acceleration
    tolerance = {"poisson_disc": 0.5, "radial": max(shape) / 2 + 1, "spiral": 0.01 * wanted}
    found = mask_of(kind, shape, acceleration)
    assert found.shape == shape
    assert found.dtype == np.bool_
    assert abs(found.sum() - wanted) <= tolerance[kind] + 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_centre_is_sampled(kind: str, shape: tuple[int, int]) -> None:
    y, x = (n // 2 - 8 for n in shape)
    assert mask_of(kind, shape, 8.5)[y : y + 16, x : x + 16].all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides(kind: str) -> None:
    again = KINDS[kind]((128, 128), acceleration=4.0, centre=16, seed=0)
    np.testing.assert_array_equal(again, mask_of(kind, (128, 128), 4.0))
    assert (mask_of(kind, (128, 128), 4.0, seed=1) != again).any()
    by_name = KINDS[kind]((64, 64), acceleration=4.0, centre=16, seed="file1000000.h5")
    assert by_name.any()


def samples_and_profile(contrast: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    mask = grid.poisson_disc_mask((160, 160), acceleration=6.0, centre=12, contrast=contrast)
    mask &= ~grid.centre_mask((160, 160), 12)
    profile = 1.0 + (contrast - 1.0) * np.minimum(grid.relative_radius((160, 160)), 1.0)
    points = np.argwhere(mask)
    return points, profile[mask]


@pytest.mark.parametrize("contrast", [1.0, 4.0])
def test_poisson_discs_keep_their_distance(contrast: float) -> None:
    """min over pairs of |p - q|/min(profile) is the scale s; without discs it would be far less.

    A uniform draw of this density has neighbouring samples nearly everywhere: distance 1.
    """
    points, profile = samples_and_profile(contrast)
    pairs = cKDTree(points).query_pairs(12.0, output_type="ndarray")
    distance = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    scale = (distance / np.minimum(profile[pairs[:, 0]], profile[pairs[:, 1]])).min()
    assert scale * profile.max() >= 2.0


def test_a_higher_contrast_samples_the_middle_more() -> None:
    radius = grid.relative_radius((160, 160))
    middle, border = (radius > 0.2) & (radius < 0.4), radius > 0.9
    ratios = []
    for contrast in (1.0, 4.0):
        mask = grid.poisson_disc_mask((160, 160), acceleration=6.0, centre=12, contrast=contrast)
        ratios.append(mask[middle].mean() / mask[border].mean())
    assert 0.8 < ratios[0] < 1.25
    assert ratios[1] > 2.0


def test_spokes_and_arms_stay_in_the_ellipse() -> None:
    shape = (128, 128)
    outside = grid.relative_radius(shape) > 1.0 + 2.0 / 128
    for kind in ("radial", "spiral"):
        mask = mask_of(kind, shape, 2.0)
        assert not mask[outside].any()
        assert mask[~outside].mean() > 0.55


def test_a_spoke_is_a_line_through_the_middle() -> None:
    """Few spokes: every sampled point has a connected way to k = 0, which is sampled."""
    mask = grid.radial_mask((65, 65), acceleration=30.0, centre=0, seed=3)
    spokes = np.argwhere(mask) - 32
    angles = np.arctan2(spokes[:, 0], spokes[:, 1]) % np.pi
    far = np.hypot(*spokes.T) > 16
    histogram = np.histogram(angles[far], bins=64, range=(0, np.pi))[0]
    assert mask[32, 32]
    assert 0 < (histogram > 0).sum() <= 8


def test_everything_is_a_poisson_disc_of_acceleration_one() -> None:
    assert grid.poisson_disc_mask((40, 30), acceleration=1.0, centre=8).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("acceleration", "centre", "message"),
    [
        (0.5, 16, "1 or more"),
        (math.inf, 16, "finite"),
        (math.nan, 16, "1 or more"),
        (16.0, 40, "a centre of at most"),
        (4.0, 65, "0 to 64"),
        (4.0, -1, "0 to 64"),
    ],
)
def test_numbers_out_of_range_are_refused(
    kind: str, acceleration: float, centre: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        KINDS[kind]((64, 64), acceleration=acceleration, centre=centre)


@pytest.mark.parametrize("kind", ["radial", "spiral"])
def test_more_samples_than_the_ellipse_has_are_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match="corners of k-space stay empty"):
        KINDS[kind]((64, 64), acceleration=1.1, centre=16)


def test_other_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="contrast"):
        grid.poisson_disc_mask((64, 64), acceleration=4.0, contrast=0.5)
    with pytest.raises(ConfigError, match="arms"):
        grid.spiral_mask((64, 64), acceleration=4.0, arms=0)
    with pytest.raises(ShapeError):
        grid.radial_mask((0, 64), acceleration=4.0)
