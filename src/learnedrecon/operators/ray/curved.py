"""Fan beams whose detector is an arc around the source, with rays at equal angles."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from learnedrecon.errors import GeometryError, describe
from learnedrecon.kernels.joseph import RayGeometry2D
from learnedrecon.operators.fields import number, require_kind, store
from learnedrecon.operators.ray.detectors import ArcDetector
from learnedrecon.operators.ray.geometry2d import AngleRange, Beam


@dataclass(frozen=True)
class CurvedFanBeam(Beam):
    """Rays from a point source at equal angles, onto an arc of detector pixels around it.

    The third-generation scanner. At angle θ the source is where that of
    :class:`learnedrecon.operators.ray.geometry2d.FanBeam` is, and the ray of pixel d runs along
    cos γ·(-sin θ, cos θ) + sin γ·(cos θ, sin θ) with the fan angle γ of the pixel. How far away the
    arc is does not matter.

    Attributes:
        shape: Shape of the image, (ny, nx).
        angles: Angles in radians in any order, or an :class:`AngleRange` (whose default arc is π; a
            full turn is 2π).
        detector: Detector with its pixels, and their pitch and offset in radians.
        source_origin: Distance from the source to the rotation axis in mm.
        pixel_size: Size of a pixel of the image in mm, one number or (dy, dx).

    Raises:
        GeometryError: As for :class:`ParallelBeam`, or a source inside the image.
    """

    shape: tuple[int, int]
    angles: AngleRange | tuple[float, ...]
    detector: ArcDetector
    source_origin: float
    pixel_size: float | tuple[float, float] = 1.0

    variables = (frozenset({"angles", "axis_offset"}),)

    def _validate_detector(self) -> None:
        require_kind(self.detector, ArcDetector, "detector=ArcDetector(pixels, pitch)")
        store(self, "source_origin", number)
        if not (self.source_origin > self.radius and math.isfinite(self.source_origin)):
            raise GeometryError(
                describe(
                    expected=f"a source outside the image's circle of radius {self.radius:.6g} mm",
                    found=f"source_origin = {self.source_origin}",
                    fix="give its distance from the rotation axis in mm",
                )
            )

    def shadow(self, distance: float) -> float:
        return math.atan(distance / self.source_origin)

    @property
    def fan_angles(self) -> np.ndarray:
        """The angle in radians of the ray of every pixel to the central ray."""
        return self.detector.positions

    def with_angles(self, angles: AngleRange | tuple[float, ...]) -> CurvedFanBeam:
        return replace(self, angles=angles)

    def rays(self) -> RayGeometry2D:
        """One pose for each ray, angle by angle: a parallel beam of one pixel.

        Its p0 is the point of the ray that is nearest to the axis, and its step goes across it.
        """
        direction, along = (frame[:, None] for frame in self.frames())
        gamma = self.detector.positions[:, None]
        cos, sin = np.cos(gamma), np.sin(gamma)
        ray, across = cos * direction + sin * along, cos * along - sin * direction
        foot = self.source_origin * sin * across
        step = self.source_origin * self.detector.pitch * across
        return RayGeometry2D(
            vectors=np.concatenate([ray, foot, step], axis=2).reshape(-1, 6),
            fan=False,
            detectors=1,
            shape=self.shape,
            pixel=self.pixel,
        )
