"""Where the voxels of a volume meet the panel of a circular scan, in the terms of the kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class VoxelGeometry:
    """The panel positions of voxels, in pixels of a panel that has an edge of zeros around it.

    With d = 1/(1 + views[2]·x + views[3]·y), a voxel is seen in column
    ``centre[1] + (views[0]·x + views[1]·y)·d`` and row ``centre[0] + rise·d·(iz + bottom)``, with
    the weight d². Positions beyond the edge are those of the edge.

    Attributes:
        views: (angles, 4) float64, per mm.
        detectors: (rows, columns), without the edge.
        shape: (nz, ny, nx) of the volume.
        pixel: (dy, dx) in mm.
        centre: (row, column) where the central ray meets the panel, counted from the edge.
        rise: rows per slice at d = 1.
        bottom: how far slice 0 is over the central ray, in slices.
    """

    views: NDArray[np.float64]
    detectors: tuple[int, int]
    shape: tuple[int, int, int]
    pixel: tuple[float, float]
    centre: tuple[float, float]
    rise: float
    bottom: float

    @property
    def angles(self) -> int:
        """The number of angles."""
        return len(self.views)

    @property
    def placement(self) -> NDArray[np.float64]:
        """The numbers that cpp/voxels/module.cpp wants: dy, dx, row, column, rise, bottom."""
        return np.array([*self.pixel, *self.centre, self.rise, self.bottom], dtype=np.float64)
