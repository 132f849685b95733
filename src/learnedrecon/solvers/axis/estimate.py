"""Data and results of methods that estimate a rotation axis."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.ray.geometry2d import FlatDetector, Geometry


class AxisEstimate(NamedTuple):
    """An estimate of the rotation axis, projected onto the detector.

    Attributes:
        offset: Signed distance in mm from the detector's centre.
        deviation: Standard deviation in mm, from the noise of the data.
    """

    offset: float
    deviation: float


class Lines(NamedTuple):
    """Two-dimensional scans of slices that share an axis.

    Attributes:
        geometry: Geometry of the scans; its axis offset is the initial value of the search.
        values: Line integrals, (slice, angle, detector), float64.
    """

    geometry: Geometry
    values: Tensor

    def every(self, most_views: int, most_pixels: int) -> tuple[Lines, float]:
        """Fewer views, and detector pixels averaged in groups.

        Args:
            most_views: Largest number of views that remains.
            most_pixels: Largest number of detector pixels that remains.

        Returns:
            The smaller scan, and the distance in mm to subtract from an axis offset found in it,
            as pixels that fill no group are cut off.
        """
        views, pixels = self.geometry.data_shape
        step, group = math.ceil(views / most_views), math.ceil(pixels / most_pixels)
        whole = pixels // group
        values = self.values[:, ::step, : whole * group].unflatten(-1, (whole, group)).mean(-1)
        detector = self.geometry.detector
        moved = (pixels - whole * group) * detector.pitch / 2
        coarse = replace(
            detector,
            pixels=whole,
            pitch=group * detector.pitch,
            axis_offset=detector.axis_offset + moved,
        )
        geometry = self.geometry.subset(range(0, views, step))
        return Lines(with_detector(geometry, coarse), values), moved

    def centred(self, offset: float) -> Lines:
        """The same data with another axis offset in mm in the geometry."""
        detector = replace(self.geometry.detector, axis_offset=offset)
        return self._replace(geometry=with_detector(self.geometry, detector))


def with_detector(geometry: Geometry, detector: FlatDetector) -> Geometry:
    """The same scan with another detector.

    Args:
        geometry: Parallel or fan beam.
        detector: New detector.
    """
    return replace(geometry, detector=detector)
