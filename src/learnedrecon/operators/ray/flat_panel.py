"""Flat panel detectors of three-dimensional scans."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.fields import count, length_or_lengths, number, store
from learnedrecon.operators.ray.geometry3d_checks import each_of, require_lengths


@dataclass(frozen=True)
class FlatPanel:
    """A rectangular detector of equal pixels.

    Attributes:
        rows: Number of rows, along the rotation axis.
        columns: Number of columns, across the rotation axis.
        pitch: Distance between the centres of neighbouring pixels in mm, one number or (dv, du):
            from row to row, from column to column.
        axis_offset: Position where the central ray, which passes through the rotation axis, meets
            the panel, in mm from the panel's centre along a row.
        vertical_offset: Position of the same point in mm from the panel's centre along a column,
            towards higher rows.

    Raises:
        GeometryError: A count is not a positive whole number, a pitch is not positive, or an offset
            is not finite.
    """

    rows: int
    columns: int
    pitch: float | tuple[float, float] = 1.0
    axis_offset: float = 0.0
    vertical_offset: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            store(self, name, count)
        store(self, "pitch", length_or_lengths)
        for name in ("axis_offset", "vertical_offset"):
            store(self, name, number)
        require_lengths(self.pitches, 2, "a pitch, or (dv, du),")
        offsets = (self.axis_offset, self.vertical_offset)
        if min(self.rows, self.columns) < 1 or not all(map(math.isfinite, offsets)):
            raise GeometryError(
                describe(
                    expected="a panel of at least 1 row and 1 column, with finite offsets",
                    found=f"{self.rows} rows, {self.columns} columns, offsets {offsets}",
                    fix="give the numbers of detector pixels and lengths in mm",
                )
            )

    @property
    def pitches(self) -> tuple[float, float]:
        """The distances between neighbouring pixels, (dv, du) in mm."""
        return each_of(self.pitch, 2)  # type: ignore[return-value]

    @property
    def row_positions(self) -> np.ndarray:
        """Signed distances of the rows from the central ray in mm, (rows,) float64."""
        return _centred(self.rows) * self.pitches[0] - self.vertical_offset

    @property
    def column_positions(self) -> np.ndarray:
        """Signed distances of the columns from the central ray in mm, (columns,) float64."""
        return _centred(self.columns) * self.pitches[1] - self.axis_offset


def _centred(pixels: int) -> np.ndarray:
    return np.arange(pixels) - (pixels - 1) / 2
