"""Bad detector pixels: what is found, what is left alone, and what is put in their place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.raw_scans import frames_of, line_integrals

from learnedrecon.data.raw.bad_pixels import bad_pixels, find_bad_pixels, mended
from learnedrecon.data.raw.correction import (
    RawScan,
    line_integrals_of_transmission,
    mean_frame,
    mended_lines,
)
from learnedrecon.errors import DataError, ShapeError

THETA = np.arange(90) * np.pi / 90
PIXELS = 101
BEAM = 20000.0


def counted(lines: np.ndarray, seed: int = 0) -> np.ndarray:
    """Transmissions of counts that are Poisson, (angle, 1, detector)."""
    return np.random.default_rng(seed).poisson(BEAM * np.exp(-lines))[:, None] / BEAM


def wire(lines: np.ndarray) -> np.ndarray:
    """The lines with a thin wire of attenuation 4 on the rotation axis."""
    result = lines.copy()
    result[:, PIXELS // 2] += 4.0
    return result


@pytest.mark.parametrize("seed", range(5))
def test_a_good_detector_has_no_bad_pixels(seed: int) -> None:
    lines = line_integrals(THETA, PIXELS)
    beam = np.full((1, PIXELS), BEAM) * (1 + 0.3 * np.cos(np.arange(PIXELS) / 9))
    for values in (lines, 3 * lines, wire(lines), np.zeros_like(lines)):
        assert not find_bad_pixels(counted(values, seed), beam).mask.any()
        assert not find_bad_pixels(np.exp(-values)[:, None], beam).mask.any()


def test_a_rotationally_symmetric_image_without_noise_has_no_bad_pixels() -> None:
    s = np.arange(PIXELS) - (PIXELS - 1) / 2
    disk = np.tile(0.04 * np.sqrt(np.maximum(40.0**2 - s**2, 0)), (90, 1))
    assert not find_bad_pixels(np.exp(-disk)[:, None]).mask.any()


@pytest.mark.parametrize("edge", [0, 40, PIXELS - 1])
def test_every_kind_is_found_and_named(edge: int) -> None:
    lines = line_integrals(THETA, PIXELS)
    transmission = counted(lines)
    beam, dark = np.full((1, PIXELS), BEAM), np.full((1, PIXELS), 100.0)
    rng = np.random.default_rng(1)
    beam[0, edge], beam[0, 10], dark[0, 20] = -3.0, 0.1 * BEAM, 9000.0
    transmission[:, 0, 60] = 0.71
    transmission[:, 0, 70] *= rng.choice([0.5, 1.5], 90)
    found = find_bad_pixels(transmission, beam, dark)
    kinds = {"dead": 1, "nearly dead": 1, "hot": 1, "stuck": 1, "noisy": 1}
    assert dict(found.kinds) == kinds
    np.testing.assert_array_equal(np.flatnonzero(found.mask), sorted([edge, 10, 20, 60, 70]))
    assert "5 % of 101 detector pixels: 5 mended" in str(found)


def test_pixels_that_see_less_of_the_beam_are_good() -> None:
    """A gain of 0.4 is corrected by the flat, and the shadow of a slit has an edge."""
    lines = line_integrals(THETA, PIXELS)
    beam = np.full((1, PIXELS), BEAM)
    beam[0, 33] *= 0.4
    beam[0, :20] *= 0.05
    assert not find_bad_pixels(counted(lines), beam).mask.any()


def test_a_dead_row_of_a_panel_is_found() -> None:
    beam = np.full((40, 50), BEAM)
    beam[17], beam[:, 30] = 0.1 * BEAM, 0.15 * BEAM
    found = find_bad_pixels(np.ones((2, 40, 50)), beam)
    expected = np.zeros((40, 50), np.bool_)
    expected[17], expected[:, 30] = True, True
    np.testing.assert_array_equal(found.mask, expected)


def test_values_are_interpolated_along_the_detector() -> None:
    rng = np.random.default_rng(0)
    line = rng.random((4, 1, 1)) * np.arange(30) + rng.random((4, 1, 1))
    mask = np.zeros((1, 30), np.bool_)
    mask[0, [0, 1, 5, 6, 7, 20, 29]] = True
    damaged = np.where(mask, 1e9, line)
    result = mended(damaged, mask)
    np.testing.assert_allclose(result[:, 0, 2:29], line[:, 0, 2:29], rtol=1e-12)
    np.testing.assert_array_equal(result[:, ~mask], line[:, ~mask])
    np.testing.assert_array_equal(result[:, 0, :2], np.repeat(line[:, 0, 2:3], 2, 1))
    np.testing.assert_array_equal(result[:, 0, 29], line[:, 0, 28])
    np.testing.assert_array_equal(damaged[:, mask], 1e9)


def test_a_row_without_good_pixels_is_interpolated_across_the_rows() -> None:
    plane = np.arange(12.0)[None, :, None] + np.zeros((2, 1, 9))
    mask = np.zeros((12, 9), np.bool_)
    mask[4], mask[7:9, 3], mask[2, 0] = True, True, True
    mask[:, 5] = True
    np.testing.assert_allclose(mended(np.where(mask, -5.0, plane), mask), plane, rtol=1e-12)


def test_too_many_bad_pixels_are_refused() -> None:
    mask = np.arange(20)[None] < 6
    with pytest.raises(DataError, match=r"at most 25%.*6 of 20.*exchanged"):
        mended(np.ones((3, 1, 20)), mask)


def test_a_mask_is_given_as_one_or_as_numbers_of_pixels() -> None:
    mask = np.zeros((1, 9), np.bool_)
    mask[0, [2, 7]] = True
    for given in (mask, mask[0], mask.astype(int), np.array([7, 2]), np.array([2.0, 7.0])):
        np.testing.assert_array_equal(bad_pixels(given, (1, 9)).mask, mask)
    with pytest.raises(DataError, match="from 0 to 8"):
        bad_pixels(np.array([9]), (1, 9))
    with pytest.raises(ShapeError, match=r"shape \(1, 9\)"):
        bad_pixels(np.zeros(8), (1, 9))
    with pytest.raises(ShapeError, match=r"shape \(2, 9\)"):
        bad_pixels(np.zeros(9), (2, 9))


@pytest.mark.parametrize("sign", [-1, 1])
def test_dead_and_nearly_dead_pixels_of_a_disk(sign: int) -> None:
    """The scan of a disk with 3 % of pixels half a count above or below the dark frame."""
    rng = np.random.default_rng(0)
    views, pixels = 180, 201
    s = np.arange(pixels) - (pixels - 1) / 2
    lines = np.tile(0.04 * np.sqrt(np.maximum(60.0**2 - s**2, 0)), (views, 1))
    dead = np.sort(rng.choice(pixels, 6, replace=False))
    white, counts = np.full((10, pixels), 20100.0), 100 + 20000 * np.exp(-lines)
    white[:, dead] = 100 + 0.5 * sign + rng.normal(0, 0.1, (10, 6))
    counts[:, dead] = 100 + rng.normal(0, 3, (views, 6))
    mean = mean_frame(white, (1, pixels), "flats")
    values, clipped, bad = RawScan(
        counts[:, None], mean, np.full((1, pixels), 100.0)
    ).line_integrals()
    good = np.setdiff1d(np.arange(pixels), dead)
    expected = np.stack([np.interp(np.arange(pixels), good, line[good]) for line in lines])
    np.testing.assert_allclose(values[:, 0], expected, atol=1e-10)
    np.testing.assert_array_equal(np.flatnonzero(bad.mask), dead)
    assert clipped == 0


def test_counts_at_the_dark_frame_are_raised_counted_and_said() -> None:
    counts = np.array([[[1100.0, 100.0, 90.0, 600.0, 1100.0]]])
    scan = RawScan(counts, np.full((1, 5), 1100.0), np.full((1, 5), 100.0))
    found = scan.line_integrals()
    np.testing.assert_allclose(
        found.values[0, 0], [0, np.log(1e6), np.log(1e6), np.log(2), 0], atol=1e-14
    )
    assert found.clipped == 2
    (note,) = found.notes
    assert "2 of 5 values (40 %)" in note
    assert "13.82" in note


def test_transmissions_and_line_integrals_agree_on_bad_pixels() -> None:
    lines = line_integrals(THETA, PIXELS)
    shares = counted(lines)
    shares[:, 0, 40] = 0.3
    one = line_integrals_of_transmission(shares, bad="auto")
    other = mended_lines(-np.log(shares), "auto")
    assert one.bad.kinds["stuck"] == other.bad.kinds["stuck"] == 1
    np.testing.assert_allclose(one.values, other.values, atol=1e-12)
    np.testing.assert_array_equal(mended_lines(-np.log(shares), "none").values, -np.log(shares))


@pytest.mark.parametrize("seed", range(3))
def test_all_of_the_drawn_bad_pixels_are_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dead = rng.random((3, 99)) < 0.03
    counts, flats, darks = frames_of(line_integrals(THETA, 99), 3, dead, seed)
    shape = (3, 99)
    scan = RawScan(counts, mean_frame(flats, shape, "flats"), mean_frame(darks, shape, "darks"))
    np.testing.assert_array_equal(scan.line_integrals().bad.mask, dead)


FLAT = np.linspace(1000.0, 3000.0, 24).reshape(4, 6)


@pytest.mark.parametrize(
    ("frames", "shape"),
    [
        (FLAT, (4, 6)),
        (np.stack([FLAT - 1, FLAT + 1]), (4, 6)),
        ([FLAT - 1, FLAT + 1], (4, 6)),
        ([FLAT - 2, np.stack([FLAT, FLAT + 2])], (4, 6)),
        (FLAT[0], (1, 6)),
        (FLAT[0] + np.array([[-3.0], [3.0]]), (1, 6)),
        (FLAT[:1][None], (1, 6)),
    ],
)
def test_frames_of_every_shape_have_one_mean(
    frames: Any,
    shape: tuple[int, int],
) -> None:
    np.testing.assert_allclose(mean_frame(frames, shape, "flats"), FLAT[: shape[0]])


@pytest.mark.parametrize(
    ("frames", "shape"),
    [
        (FLAT[0], (4, 6)),
        (FLAT[:3], (4, 6)),
        (FLAT, (1, 5)),
        (FLAT[None], (1, 6)),
        (np.stack([FLAT, FLAT]), (2, 6)),
        (np.float64(1000.0), (4, 6)),
        ([], (4, 6)),
    ],
)
def test_frames_that_could_mean_two_things_are_refused(
    frames: Any,
    shape: tuple[int, int],
) -> None:
    with pytest.raises(ShapeError, match="flats"):
        mean_frame(frames, shape, "flats")
