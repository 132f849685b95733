"""What the methods that look for a rotation axis return, and what they take."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.ray.geometry2d import FlatDetector, Geometry


class AxisEstimate(NamedTuple):
    """Where the rotation axis projects onto the detector.

    Attributes:
        offset: Signed distance in mm from the detector's centre.
        deviation: Standard deviation in mm that the noise of the data gives it.
    """

    offset: float
    deviation: float


class Lines(NamedTuple):
    """Scans of slices that share an axis, in two dimensions.

    Attributes:
        geometry: Their geometry; its axis offset is where the search begins.
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
        """The same data with the axis said to be at another offset in mm."""
        detector = replace(self.geometry.detector, axis_offset=offset)
        return self._replace(geometry=with_detector(self.geometry, detector))


def with_detector(geometry: Geometry, detector: FlatDetector) -> Geometry:
    """The same scan with another detector."""
    return replace(geometry, detector=detector)
