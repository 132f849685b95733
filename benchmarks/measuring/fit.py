"""Straight lines through measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


class Line(NamedTuple):
    """y ≈ intercept + slope · x, by least squares.

    Attributes:
        slope: of the line.
        intercept: at x = 0.
        r2: the share of the variance of y that it explains; 1 for two points.
    """

    slope: float
    intercept: float
    r2: float

    def at(self, x: float) -> float:
        """The value of the line."""
        return self.intercept + self.slope * x

    def to_plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return self._asdict()


def straight_line(x: Sequence[float], y: Sequence[float]) -> Line:
    """The line of least squares through at least two points."""
    slope, intercept = np.polyfit(x, y, 1)
    rest = np.asarray(y) - (intercept + slope * np.asarray(x))
    spread = float(np.var(y))
    return Line(
        float(slope), float(intercept), 1 - float(np.mean(rest**2)) / spread if spread else 1
    )
