"""The detectors of two-dimensional scans: a line, or an arc around the source."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.fields import count, number, positive, store


@dataclass(frozen=True)
class FlatDetector:
    """A linear detector of equal pixels.

    Attributes:
        pixels: Number of pixels.
        pitch: Distance between the centres of neighbouring pixels in mm.
        axis_offset: Position onto which the rotation axis projects, in mm from the detector's
            centre.

    Raises:
        GeometryError: The number of pixels or the pitch is not positive, or the offset is not
            finite.
    """

    pixels: int
    pitch: float = 1.0
    axis_offset: float = 0.0

    def __post_init__(self) -> None:
        _check(self, "mm", "lengths in mm")

    @property
    def positions(self) -> np.ndarray:
        """Signed distances of the pixel centres from the axis in mm, (pixels,) float64."""
        return (np.arange(self.pixels) - (self.pixels - 1) / 2) * self.pitch - self.axis_offset


@dataclass(frozen=True)
class ArcDetector:
    """An arc of equal detector pixels around the source.

    Attributes:
        pixels: Number of pixels.
        pitch: Angle between the rays to the centres of neighbouring pixels in radians; an arc
            length in mm divided by its distance from the source.
        axis_offset: Angle from the centre of the detector to where the rotation axis projects,
            in radians.

    Raises:
        GeometryError: The number of pixels or the pitch is not positive, the offset is not finite,
            or rays are a quarter turn or more from the central ray.
    """

    pixels: int
    pitch: float
    axis_offset: float = 0.0

    def __post_init__(self) -> None:
        _check(self, "rad", "angles in radians")
        widest = (self.pixels - 1) / 2 * self.pitch + abs(self.axis_offset)
        if not widest < math.pi / 2:
            raise GeometryError(
                describe(
                    expected="rays within a quarter turn (1.571 radians) of the central ray",
                    found=f"{self.pixels} pixels of {self.pitch:g} rad, up to {widest:.4g} rad",
                    fix="divide a pitch in mm by the distance from source to detector, and one in"
                    " degrees by 57.3; or use FlatDetector",
                )
            )

    @classmethod
    def of_arc(
        cls, pixels: int, pitch: float, distance: float, axis_offset: float = 0.0
    ) -> ArcDetector:
        """The detector whose sizes are given as lengths of arc.

        Args:
            pixels: Number of pixels.
            pitch: Distance of neighbouring pixels along the arc in mm.
            distance: Radius of the arc, from source to detector, in mm.
            axis_offset: Arc length in mm from the centre to where the rotation axis projects.
        """
        return cls(pixels, pitch / distance, axis_offset / distance)

    @property
    def positions(self) -> np.ndarray:
        """Signed angles in radians of the rays to the pixel centres from the central ray."""
        return (np.arange(self.pixels) - (self.pixels - 1) / 2) * self.pitch - self.axis_offset


def _check(detector: FlatDetector | ArcDetector, unit: str, sizes: str) -> None:
    """Turns numbers of numpy into plain ones, and checks them."""
    store(detector, "pixels", count)
    store(detector, "pitch", number)
    store(detector, "axis_offset", number)
    pixels, pitch, offset = detector.pixels, detector.pitch, detector.axis_offset
    if pixels < 1 or not positive(pitch) or not math.isfinite(offset):
        raise GeometryError(
            describe(
                expected=f"a detector of at least 1 pixel, a pitch > 0 {unit} and a finite offset",
                found=f"{pixels} pixels, pitch {pitch}, offset {offset}",
                fix=f"give the number of detector pixels and {sizes}",
            )
        )
