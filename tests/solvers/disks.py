"""Exact line integrals of discs, by which scans are made that no code of the library has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from learnedrecon.operators.ray.geometry2d import Geometry

DISCS = np.array(
    [
        (1.0, 0.40, 0.02, -0.04),
        (0.6, 0.10, 0.18, 0.12),
        (-0.5, 0.08, -0.20, 0.05),
        (0.8, 0.05, 0.02, -0.26),
        (-0.4, 0.12, 0.05, 0.10),
    ]
)
"""Value, radius and centre (x, y), in detector widths at the axis."""


def line_integrals(geometry: Geometry, discs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Σ value·2√(r² - d²), d the distance of each ray from a centre, (angle, detector), float64."""
    rays = geometry.rays()
    first, corner, pitch = np.split(rays.vectors, 3, axis=1)
    pixels = corner[:, None] + np.arange(rays.detectors)[:, None] * pitch[:, None]
    along = pixels - first[:, None] if rays.fan else np.broadcast_to(first[:, None], pixels.shape)
    along = along / np.linalg.norm(along, axis=-1, keepdims=True)
    total = np.zeros(pixels.shape[:-1])
    for value, radius, x, y in discs:
        away = pixels - (x, y)
        distance = along[..., 0] * away[..., 1] - along[..., 1] * away[..., 0]
        total += value * 2 * np.sqrt(np.maximum(radius**2 - distance**2, 0))
    return total
