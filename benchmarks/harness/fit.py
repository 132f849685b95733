"""Straight lines through measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def straight_line(x: Sequence[float], y: Sequence[float]) -> dict[str, float]:
    """Slope and intercept by least squares, and the share r2 of the variance that they explain."""
    slope, intercept = np.polyfit(x, y, 1)
    rest = np.asarray(y) - (intercept + slope * np.asarray(x))
    spread = float(np.var(y))
    r2 = 1 - float(np.mean(rest**2)) / spread if spread else 1.0
    return {"slope": float(slope), "intercept": float(intercept), "r2": r2}
