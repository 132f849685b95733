"""Detector pixels that are dead, nearly dead, hot, stuck or noisy: found, and interpolated over.

Every test compares a pixel with the median of its neighbours along the detector (and across the
rows of a panel), so that what varies smoothly, as beams do, is no reason. None of them uses the
height of the line integrals: a thin thing on the rotation axis makes a column as constant as a bad
pixel does, and has to stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learnedrecon.errors import DataError, ShapeError, describe, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

NO_BEAM: Final = 0.01
"""Share of the median beam at which a pixel is dead."""

WEAK: Final = 0.2
"""Share of the neighbours' beam below which a pixel is nearly dead."""

HOT: Final = 0.25
"""Share of the median beam by which the dark frame of a hot pixel exceeds the median dark frame."""

NOISY: Final = 25.0
"""Variance over the mean, in multiples of that of the neighbours, of a noisy pixel."""

LOUD: Final = 0.02
"""Standard deviation of a transmission below which no pixel is called noisy."""

STUCK: Final = 0.02
"""Share of the neighbours' variation over the views, relative to the mean, of a stuck pixel."""

MOVING: Final = 1e-3
"""Standard deviation over the views, relative to the mean, that its neighbours have at least."""

MOST: Final = 0.25
"""Share of bad pixels above which something else is wrong."""

_NEIGHBOURS: Final = 21
_SMALLEST_MEAN: Final = 0.01
_NO_LIGHT: Final = 1e-12
_FEWEST_VIEWS: Final = 8
_VIEWS_FOR_NOISE: Final = 30
_INFINITE: Final = 1 << 40


class BadPixels(NamedTuple):
    """Bad pixels of a detector, with reasons.

    Attributes:
        mask: Mask (row, detector), true where a pixel is bad.
        kinds: Number of pixels by the first reason that was found, such as {"dead": 20}.
    """

    mask: BoolArray
    kinds: Mapping[str, int]

    def __str__(self) -> str:
        number, total = int(self.mask.sum()), self.mask.size
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.kinds.items() if count)
        share = f"{percent(number / total)} of {total} detector pixels"
        return f"{share}: {number} mended by interpolation ({kinds})" if number else f"0 of {total}"


def find_bad_pixels(
    transmission: FloatArray, beam: FloatArray | None = None, dark: FloatArray | None = None
) -> BadPixels:
    """Bad pixels of a detector, from its frames and from how its pixels vary over the views.

    A pixel is *dead* where the beam, flat - dark, is at most ``NO_BEAM`` of its median over the
    detector; *nearly dead* below ``WEAK`` of its neighbours; *hot* where its dark frame exceeds the
    median one by ``HOT`` of the median beam; *stuck* where the transmission varies over the views,
    relative to its mean, by less than ``STUCK`` of what it does in the neighbours; *noisy* where
    the noise of the transmission, from second differences over the views, has a standard deviation
    above ``LOUD`` and a ratio of variance to mean above ``NOISY`` times that of the neighbours. The
    ratio is the same for all pixels that count photons, however much of the beam they see. The last
    two tests need 8 and 30 views: of fewer, the image itself has large second differences.

    Args:
        transmission: Transmissions (counts - dark)/(flat - dark), (angle, row, detector); any
            number where the beam is not positive.
        beam: Beam, flat - dark, (row, detector), or None where it is not known.
        dark: Mean dark frame (row, detector), or None.

    Raises:
        ShapeError: Shapes that do not fit.
    """
    shape = transmission.shape[1:]
    if transmission.ndim != 3 or any(f is not None and f.shape != shape for f in (beam, dark)):
        raise ShapeError(
            describe(
                expected="transmissions (angle, row, detector), beam and dark (row, detector)",
                found=f"{transmission.shape}, "
                f"{', '.join(str(None if f is None else f.shape) for f in (beam, dark))}",
                fix="give every array all of its axes",
            )
        )
    found: dict[str, BoolArray] = {}
    if beam is not None:
        usual = float(np.median(beam))
        found["dead"] = beam <= max(NO_BEAM * usual, 0.0)
        found["nearly dead"] = _weak(beam, found["dead"])
        if dark is not None and usual > 0:
            found["hot"] = dark - np.median(dark) > HOT * usual
    known = np.logical_or.reduce([np.zeros(shape, np.bool_), *found.values()])
    found |= _by_variation(np.where(known, 1.0, transmission), known)
    return _counted(found, shape)


def bad_pixels(mask: NDArray[Any], shape: tuple[int, int]) -> BadPixels:
    """Bad pixels that are given: a mask, or the numbers of the pixels of one row.

    Args:
        mask: Mask (row, detector) or (detector,), not zero where a pixel is bad. For one row of
            pixels also the numbers (number,) of the bad pixels from 0, fewer than the row has.
        shape: Shape (row, detector) of the detector.

    Raises:
        ShapeError: Another shape.
        DataError: Numbers of pixels that the detector does not have.
    """
    values = np.asarray(mask)
    pixels = np.unique(values)
    numbers = values.ndim == 1 and shape[0] == 1 and values.shape != shape[1:]
    if numbers and values.dtype.kind in "iuf" and len(pixels) == len(values):
        if len(pixels) and ((pixels != np.floor(pixels)).any() or not _within(pixels, shape[1])):
            raise DataError(
                describe(
                    expected=f"numbers of bad pixels from 0 to {shape[1] - 1}",
                    found=f"numbers from {pixels.min():g} to {pixels.max():g}",
                    fix="count the pixels of the row from 0",
                )
            )
        values = np.zeros(shape[1], np.bool_)
        values[pixels.astype(np.int64)] = True
    if values.shape not in {shape, shape[1:]} or (values.ndim == 1 and shape[0] > 1):
        raise ShapeError(
            describe(
                expected=f"a mask of bad pixels of shape {shape}"
                + (f" or ({shape[1]},)" if shape[0] == 1 else ""),
                found=f"shape {np.shape(mask)}",
                fix="give one value for each pixel of the detector, 1 where it is bad",
            )
        )
    return _counted({"given": (values != 0).reshape(shape)}, shape)


def mended(values: FloatArray, mask: BoolArray) -> FloatArray:
    """Values with those of bad pixels interpolated linearly between the nearest good pixels.

    Along the detector, or across the rows where the good pixels are nearer to each other there, as
    for a row that is dead as a whole; where a dead row crosses a dead column, between what was put
    there. At an end the nearest good pixel stands in.

    Args:
        values: Line integrals, (angle, row, detector).
        mask: Mask (row, detector), true where a pixel is bad.

    Raises:
        DataError: No good pixel, or more bad ones than ``MOST`` of all.
    """
    if not mask.any():
        return values
    if mask.mean() > MOST:
        raise DataError(
            describe(
                expected=f"at most {MOST:.0%} of the detector pixels to be bad",
                found=f"{int(mask.sum())} of {mask.size}",
                fix="check that flats and darks are not exchanged and belong to this scan, or give "
                "a mask with --bad-pixels FILE, or none with --bad-pixels none",
            )
        )
    result = values.copy()
    along, across = _gaps(mask), _gaps(mask.T).T
    lost = mask & (np.minimum(along, across) >= 2 * _INFINITE)
    rowwise = mask & (along <= across) & ~lost
    columnwise = mask & ~rowwise & ~lost
    for row in np.flatnonzero(rowwise.any(axis=1)):
        _interpolate(result[:, row, :], values[:, row, :], mask[row], rowwise[row])
    for column in np.flatnonzero(columnwise.any(axis=0)):
        target, source = result[:, :, column], values[:, :, column]
        _interpolate(target, source, mask[:, column], columnwise[:, column])
    for row in np.flatnonzero(lost.any(axis=1)):
        _interpolate(result[:, row, :], result[:, row, :], lost[row], lost[row])
    return result


def _by_variation(transmission: FloatArray, known: BoolArray) -> dict[str, BoolArray]:
    """Bad pixels by their views, of those whose frames are good."""
    if len(transmission) < _FEWEST_VIEWS:
        return {}
    mean = transmission.mean(axis=0)
    spread = transmission.std(axis=0) / np.maximum(mean, _NO_LIGHT)
    usual = _around(_filled(spread, known), largest=False)
    found = {"stuck": (spread < STUCK * usual) & (usual > MOVING) & ~known}
    if len(transmission) < _VIEWS_FOR_NOISE:
        return found
    curved = np.abs(np.diff(transmission, 2, axis=0))
    noise = np.median(curved, axis=0) / (0.6745 * np.sqrt(6.0))
    ratio = noise**2 / np.maximum(mean, _SMALLEST_MEAN)
    ordinary = _around(_filled(ratio, known), largest=True)
    return found | {"noisy": (noise > LOUD) & (ratio > NOISY * ordinary) & ~known}


def _weak(beam: FloatArray, dead: BoolArray) -> BoolArray:
    """Pixels far below their neighbours; those that were found first do not count as neighbours."""
    weak = dead
    for _ in range(2):
        weak = weak | (beam < WEAK * _around(_filled(beam, weak), largest=True))
    return weak


def _around(values: FloatArray, *, largest: bool) -> FloatArray:
    """The median of the neighbours along the detector, and of a panel also across its rows."""
    from scipy.ndimage import median_filter

    along = median_filter(values, (1, _NEIGHBOURS), mode="nearest")
    if len(values) < _NEIGHBOURS:
        return np.asarray(along)
    across = median_filter(values, (_NEIGHBOURS, 1), mode="nearest")
    return np.asarray(np.maximum(along, across) if largest else np.minimum(along, across))


def _filled(values: FloatArray, known: BoolArray) -> FloatArray:
    """Values with those of pixels that are known to be bad interpolated."""
    if not known.any() or known.mean() > MOST:
        return values
    return mended(values[None], known)[0]


def _counted(found: Mapping[str, BoolArray], shape: tuple[int, ...]) -> BadPixels:
    mask, kinds = np.zeros(shape, np.bool_), {}
    for kind, pixels in found.items():
        kinds[kind] = int((pixels & ~mask).sum())
        mask |= pixels
    return BadPixels(mask, kinds)


def _within(pixels: NDArray[Any], number: int) -> bool:
    return bool(pixels.min() >= 0 and pixels.max() < number)


def _gaps(mask: BoolArray) -> NDArray[np.int64]:
    """The length of the run of bad pixels along the last axis that a pixel is in, 0 for good ones.

    A run that has no good pixel at one of its ends counts as longer than any other.
    """
    rows, number = mask.shape
    gaps = np.zeros(mask.shape, np.int64)
    for row in range(rows):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], mask[row].astype(np.int8), [0]])))
        for begin, end in edges.reshape(-1, 2):
            ends = int(begin == 0) + int(end == number)
            gaps[row, begin:end] = end - begin + ends * _INFINITE
    return gaps


def _interpolate(target: FloatArray, source: FloatArray, bad: BoolArray, wanted: BoolArray) -> None:
    """Writes into the wanted pixels of ``target`` (angle, pixel); the others stay."""
    good, pixels = np.flatnonzero(~bad), np.flatnonzero(wanted)
    if not good.size:
        raise DataError(
            describe(
                expected="at least one good pixel in each row or column with bad ones",
                found="none",
                fix="leave out the rows without any",
            )
        )
    after = np.clip(np.searchsorted(good, pixels), 0, len(good) - 1)
    before = np.clip(np.searchsorted(good, pixels) - 1, 0, len(good) - 1)
    left, right = good[before], good[after]
    span = np.maximum(right - left, 1)
    weight = np.where(right == left, 0.0, np.clip((pixels - left) / span, 0.0, 1.0))
    target[:, pixels] = (1 - weight) * source[:, left] + weight * source[:, right]
