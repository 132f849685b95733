"""Detector positions of the voxels of a volume in a circular scan, as the kernels take them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learnedrecon.errors import DataError, describe


@dataclass(frozen=True, eq=False)
class VoxelGeometry:
    """Detector positions of voxels, in pixels of a panel with a border of zeros.

    With d = 1/(1 + views[2]·x + views[3]·y), a voxel projects onto column ``centre[1] + (views[0]·x
    + views[1]·y)·d`` and row ``centre[0] + rise·d·(iz + bottom)``, with the weight d². Positions
    beyond the border are clipped to it.

    Attributes:
        views: Coefficients (angles, 4), float64, per mm; copied, and read-only afterwards, as
            the kernels turn positions into indices without asking again.
        detectors: Rows and columns of the panel, without the border.
        shape: Shape of the volume, (nz, ny, nx).
        pixel: Size of a pixel, (dy, dx) in mm.
        centre: Row and column where the central ray meets the panel, counted from the border.
        rise: Number of rows per slice at d = 1.
        bottom: Height of slice 0 above the central ray, in slices.

    Raises:
        DataError: NaN or infinity, which are no positions on a detector.
    """

    views: NDArray[np.float64]
    detectors: tuple[int, int]
    shape: tuple[int, int, int]
    pixel: tuple[float, float]
    centre: tuple[float, float]
    rise: float
    bottom: float

    def __post_init__(self) -> None:
        views = np.array(self.views, dtype=np.float64, order="C")
        views.setflags(write=False)
        object.__setattr__(self, "views", views)
        if not (np.isfinite(self.views).all() and np.isfinite(self.placement).all()):
            raise DataError(
                describe(
                    expected="finite coefficients of every view",
                    found="NaN or infinity",
                    fix="look for missing positions in the scan description",
                )
            )

    @property
    def angles(self) -> int:
        """The number of angles."""
        return len(self.views)

    @property
    def placement(self) -> NDArray[np.float64]:
        """The numbers that cpp/voxels/module.cpp takes: dy, dx, row, column, rise, bottom."""
        return np.array([*self.pixel, *self.centre, self.rise, self.bottom], dtype=np.float64)
