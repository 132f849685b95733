"""Content of the file of a raw scan, before anything is corrected."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learnedrecon.errors import ShapeError, describe

FloatArray = NDArray[np.float64]
Rows = slice | None
"""Detector rows to read; None reads all."""


class ScanFrames(NamedTuple):
    """Counts with their frames, in float64.

    Attributes:
        counts: Counts (angle, row, detector), of the rows that were asked for.
        white: Frames without the object, (frame, row, detector), or None.
        dark: Frames without the beam, likewise.
        theta: Angles in radians, (angle,), or None.
        rows: Number of rows that the file has.
        notes: Sentences about what was assumed or left out.
    """

    counts: FloatArray
    white: FloatArray | None
    dark: FloatArray | None
    theta: FloatArray | None
    rows: int
    notes: tuple[str, ...] = ()


def checked_rows(path: object, rows: Rows, number: int) -> slice:
    """The rows as a slice of a detector that has them.

    Args:
        path: The file, for the message.
        rows: Slice from the first row to before the last, counted from 0, or None.
        number: Number of rows of the detector.

    Raises:
        ShapeError: A row that is not there, or none.
    """
    if rows is None:
        return slice(0, number)
    start, stop = rows.start or 0, number if rows.stop is None else rows.stop
    if not 0 <= start < stop <= number:
        found = f"row {start}" if stop == start + 1 else f"rows {start} to {stop - 1}"
        raise ShapeError(
            describe(
                expected=f"a row from 0 to {number - 1} of {path}",
                found=found,
                fix="choose a row of the detector",
            )
        )
    return slice(start, stop)
