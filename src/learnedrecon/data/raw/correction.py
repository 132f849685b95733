"""Counts of a detector, corrected by frames without the object and without the beam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learnedrecon.data.raw.bad_pixels import (
    MOST,
    BadPixels,
    bad_pixels,
    find_bad_pixels,
    mended,
)
from learnedrecon.errors import DataError, ShapeError, describe, percent, require

FloatArray = NDArray[np.float64]
Mending = Literal["auto", "none"] | NDArray[Any]
"""Which pixels are bad: found ("auto"), none, or a mask; see :func:`bad_pixels`."""

SMALLEST_TRANSMISSION: Final = 1e-6
"""Transmission to which smaller ones, zero and negative ones among them, are raised."""


class Corrected(NamedTuple):
    """Line integrals and what had to be done to them.

    Attributes:
        values: -ln of the transmissions, float64 (angle, row, detector).
        clipped: Number of transmissions in good pixels that were raised to the smallest allowed.
        bad: Pixels that were interpolated.
    """

    values: FloatArray
    clipped: int
    bad: BadPixels

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was done; none where nothing was."""
        lines = []
        if self.bad.mask.any():
            lines.append(f"Bad pixels: {self.bad}.")
        if self.clipped:
            share = percent(self.clipped / self.values.size)
            lines.append(
                f"{self.clipped} of {self.values.size} values ({share}) had counts at or "
                f"below the dark frame, or next to it: they were set to {self.values.max():.4g}, "
                "the largest line integral that is allowed."
            )
        return tuple(lines)


@dataclass(frozen=True, eq=False)
class RawScan:
    """Counts of a scan with the means of its frames.

    Attributes:
        counts: Counts (angle, row, detector).
        white: Mean of the frames without the object, (row, detector), in the unit of the counts.
        dark: Mean of the frames without the beam, (row, detector); None is 0.

    Raises:
        ShapeError: Other shapes.
    """

    counts: FloatArray
    white: FloatArray
    dark: FloatArray | None = None

    def __post_init__(self) -> None:
        shape, white = np.shape(self.counts), np.shape(self.white)
        dark = white if self.dark is None else np.shape(self.dark)
        require(
            len(shape) == 3 and min(shape) > 0 and white == dark == shape[1:],
            ShapeError,
            expected="counts (angle, row, detector), white and dark (row, detector)",
            found=f"counts {shape}, white {white}, dark {dark}",
            fix="take the mean over the frames first, see learnedrecon.data.mean_frame",
        )

    def line_integrals(
        self,
        *,
        bad: Mending = "auto",
        min_transmission: float = SMALLEST_TRANSMISSION,
    ) -> Corrected:
        """``-ln((counts - dark)/(white - dark))``, bad pixels interpolated.

        Transmissions below ``min_transmission`` are raised to it, and counted in good pixels.

        Args:
            bad: "auto", "none" or a mask, see :func:`find_bad_pixels` and :func:`bad_pixels`.
            min_transmission: Smallest transmission that is allowed.

        Raises:
            DataError: A pixel without beam that is not to be mended, more than a quarter of bad
                pixels, or ``min_transmission`` is not in (0, 1).
            ShapeError: A mask of another shape.
        """
        require_small(min_transmission)
        dark = np.zeros_like(self.white) if self.dark is None else self.dark
        beam = self.white - dark
        lit = beam > 0.0
        refuse_dark(~lit if np.mean(~lit) > MOST else np.zeros_like(lit), automatic=True)
        transmission = (self.counts - dark) / np.where(lit, beam, 1.0)
        found = found_in(transmission, bad, beam, self.dark)
        refuse_dark(~lit & ~found.mask, automatic=False)
        low = (transmission < min_transmission) & ~found.mask
        values = -np.log(np.maximum(transmission, min_transmission))
        return Corrected(mended(values, found.mask), int(low.sum()), found)


def line_integrals_of_transmission(
    transmission: FloatArray,
    *,
    bad: Mending = "none",
    min_transmission: float = SMALLEST_TRANSMISSION,
) -> Corrected:
    """``-ln`` of shares of the beam, bad pixels interpolated.

    Args:
        transmission: Transmissions (angle, row, detector), 1 where nothing is in the way.
        bad: "auto", "none" or a mask.
        min_transmission: Smallest transmission that is allowed.

    Raises:
        DataError: Too many bad pixels, or ``min_transmission`` is not in (0, 1).
        ShapeError: A mask of another shape.
    """
    require_small(min_transmission)
    found = found_in(transmission, bad)
    low = (transmission < min_transmission) & ~found.mask
    values = -np.log(np.maximum(transmission, min_transmission))
    return Corrected(mended(values, found.mask), int(low.sum()), found)


def mended_lines(values: FloatArray, bad: Mending) -> Corrected:
    """Line integrals with bad pixels interpolated.

    Args:
        values: Line integrals (angle, row, detector).
        bad: "auto", "none" or a mask.

    Raises:
        DataError: Too many bad pixels.
        ShapeError: A mask of another shape.
    """
    found = found_in(np.exp(-np.clip(values, -50.0, 50.0)), bad)
    return Corrected(mended(values, found.mask), 0, found)


def found_in(
    transmission: FloatArray,
    bad: Mending,
    beam: FloatArray | None = None,
    dark: FloatArray | None = None,
) -> BadPixels:
    """The bad pixels that are meant by "auto", "none" or a mask.

    Args:
        transmission: Transmissions (angle, row, detector).
        bad: Word or mask.
        beam: Beam, flat - dark (row, detector), or None.
        dark: Mean dark frame, or None.

    Raises:
        ShapeError: A mask of another shape.
        DataError: A word that is neither of both.
    """
    shape = transmission.shape[1:]
    if not isinstance(bad, str):
        return bad_pixels(bad, (shape[0], shape[1]))
    if bad == "none":
        return BadPixels(np.zeros(shape, np.bool_), {})
    require(
        bad == "auto",
        DataError,
        expected="bad pixels 'auto', 'none' or a mask",
        found=f"'{bad}'",
        fix="choose one of these",
    )
    return find_bad_pixels(transmission, beam, dark)


def mean_frame(
    frames: Sequence[NDArray[Any]] | NDArray[Any], shape: tuple[int, int], what: str
) -> FloatArray:
    """The mean of all frames as one (row, detector).

    Args:
        frames: One array, or several, all of whose frames have the same weight. For a detector of
            several rows (row, detector) is one frame and (frame, row, detector) are many. For one
            row (detector,) is one frame and (frame, detector) are many, as are (frame, 1,
            detector).
        shape: Shape (row, detector) of the counts.
        what: Meaning of the frames, for messages, such as "flats".

    Raises:
        ShapeError: Other shapes, or no frame.
    """
    several = list(frames) if isinstance(frames, Sequence) else [frames]
    stacks = [_stack(np.asarray(each, dtype=np.float64), shape, what) for each in several]
    require(
        sum(map(len, stacks)) > 0,
        ShapeError,
        expected=f"at least one frame of {what}",
        found="none",
        fix="give the frames, or leave the option out",
    )
    return np.concatenate(stacks).mean(axis=0)


def _stack(frames: FloatArray, shape: tuple[int, int], what: str) -> FloatArray:
    """(frame, row, detector)."""
    rows, pixels = shape
    if rows == 1 and frames.ndim in {1, 2} and frames.shape[-1] == pixels:
        return frames.reshape(-1, 1, pixels)
    if frames.shape == shape:
        return frames[None]
    if frames.ndim == 3 and frames.shape[1:] == shape:
        return frames
    one_row = f"({pixels},) or (frame, {pixels})"
    panel = f"({rows}, {pixels}) or (frame, {rows}, {pixels})"
    raise ShapeError(
        describe(
            expected=f"{what} of shape {one_row if rows == 1 else panel}, as the counts have "
            f"{rows} detector rows of {pixels} pixels",
            found=f"shape {frames.shape}",
            fix="give frames of the same detector"
            + (" with all of its rows" if frames.ndim == 1 else ""),
        )
    )


def require_small(min_transmission: float) -> None:
    """Refuses a smallest transmission that is none.

    Args:
        min_transmission: Smallest transmission that is allowed.

    Raises:
        DataError: It is not in (0, 1).
    """
    require(
        0.0 < min_transmission < 1.0,
        DataError,
        expected="a smallest transmission between 0 and 1",
        found=str(min_transmission),
        fix="use a value far below the smallest true transmission, such as 1e-6",
    )


def refuse_dark(dark: NDArray[np.bool_], *, automatic: bool) -> None:
    """Refuses pixels without beam.

    Args:
        dark: Mask of these pixels, (row, detector).
        automatic: True where bad pixels would have been found.

    Raises:
        DataError: There are some.
    """
    if dark.any():
        first = tuple(int(k) for k in np.argwhere(dark)[0])
        fix = "choose --bad-pixels auto, or a mask that names them"
        if automatic:
            fix = "check that white and dark are not exchanged and belong to this scan"
        raise DataError(
            describe(
                expected="white frames that are brighter than the dark frames in every pixel",
                found=f"{int(dark.sum())} of {dark.size} detector pixels where they are not, the "
                f"first being (row, pixel) {first}",
                fix=fix,
            )
        )
