"""Scan geometries of two-dimensional tomography, in millimetres and radians.

The image u[iy, ix] has pixel centres at y = (iy - (ny-1)/2)·dy and x = (ix - (nx-1)/2)·dx, with
the rotation axis at the origin. At angle θ the central ray runs along (-sin θ, cos θ), and the
detector along (cos θ, sin θ).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from learnedrecon.errors import GeometryError, describe
from learnedrecon.kernels.joseph import RayGeometry2D
from learnedrecon.operators.fields import (
    MOST_ANGLES,
    angle_list,
    count,
    number,
    require_kind,
    require_radians,
    require_room,
    store,
)
from learnedrecon.operators.ray.beam2d import Beam2D
from learnedrecon.operators.ray.detectors import ArcDetector, FlatDetector
from learnedrecon.operators.rows import row_indices

if TYPE_CHECKING:
    from learnedrecon.operators.rows import Rows


__all__ = ["AngleRange", "Beam", "FanBeam", "FlatBeam", "FlatDetector", "Geometry", "ParallelBeam"]

MOST_ACROSS = 1e9
"""Detector pixels across the image, which are numbered in 32 bits."""


@dataclass(frozen=True)
class AngleRange:
    """Equally spaced angles: midpoints of equal parts of [start, start + arc), or both ends.

    Attributes:
        number: Number of angles.
        start: First end of the range in radians.
        arc: Length of the range in radians; negative for the opposite direction of rotation.
        endpoint: True for angles from ``start`` to ``start + arc``, both included, in steps of
            arc/(number - 1).

    Raises:
        GeometryError: No angles, a number that is not finite, or more than four turns (degrees).
    """

    number: int
    start: float = 0.0
    arc: float = math.pi
    endpoint: bool = False

    def __post_init__(self) -> None:
        store(self, "number", count)
        store(self, "start", number)
        store(self, "arc", number)
        if self.number < 1 or not (math.isfinite(self.start) and math.isfinite(self.arc)):
            raise GeometryError(
                describe(
                    expected="at least one angle, with a finite start and arc",
                    found=f"number = {self.number}, start = {self.start}, arc = {self.arc}",
                    fix="set 'angles' to a list of radians, or to a number of at least 1",
                )
            )
        require_room((self.number,), "a list of angles", MOST_ANGLES)
        require_radians(self.start, self.start + self.arc)

    def values(self) -> tuple[float, ...]:
        """The angles in radians."""
        if self.endpoint:
            return tuple(np.linspace(self.start, self.start + self.arc, self.number).tolist())
        step = self.arc / self.number
        return tuple(self.start + (k + 0.5) * step for k in range(self.number))


class Beam(Beam2D):
    """Base class of scans of an image with a rotation axis.

    Attributes:
        angles: Angles in radians, or an :class:`AngleRange`.
        detector: Detector pixels.
    """

    angles: AngleRange | tuple[float, ...]
    detector: FlatDetector | ArcDetector
    variables: ClassVar[tuple[frozenset[str], ...]] = (
        frozenset({"angles", "axis_offset"}),
        frozenset({"vectors"}),
    )

    def _validate(self) -> None:
        if not isinstance(self.angles, AngleRange):
            store(self, "angles", angle_list)
        self._validate_detector()
        values = self.angle_values
        if not values or not all(map(math.isfinite, values)):
            raise GeometryError(
                describe(
                    expected="at least one angle, all finite, in radians",
                    found=f"{len(values)} angles: {list(values)[:4]}",
                    fix="set 'angles' to a list of radians, or to a number and an arc",
                )
            )
        require_radians(*values)

    @abstractmethod
    def _validate_detector(self) -> None:
        """Checks the detector and the distances."""

    @property
    def angle_values(self) -> tuple[float, ...]:
        """Every angle in radians."""
        return self.angles.values() if isinstance(self.angles, AngleRange) else self.angles

    @property
    def data_shape(self) -> tuple[int, int]:
        """The shape of the data, (angles, detector pixels)."""
        return len(self.angle_values), self.detector.pixels

    @abstractmethod
    def shadow(self, distance: float) -> float:
        """The projection of a point beside the axis onto the detector.

        Args:
            distance: Distance of the point from the axis in mm, on the line through it that is
                parallel to the detector.

        Returns:
            From the projection of the axis, in the unit of the detector's pitch.
        """

    @property
    def seen(self) -> float:
        """The fraction of the diameter 2·``radius`` that the detector covers, equal at all angles.

        It is measured on the line through the axis that is parallel to the detector.
        """
        line, shadow = self.detector, self.shadow(self.radius)
        half = line.pixels * line.pitch / 2
        low = max(-half - line.axis_offset, -shadow)
        high = min(half - line.axis_offset, shadow)
        return max(high - low, 0.0) / (2 * shadow)

    @abstractmethod
    def with_angles(self, angles: AngleRange | tuple[float, ...]) -> Self:
        """The same scan at other angles."""

    def subset(self, rows: Rows) -> Self:
        """The same scan restricted to the angles ``rows``.

        Raises:
            GeometryError: No rows, or a row out of range.
        """
        values = self.angle_values
        return self.with_angles(tuple(values[row] for row in row_indices(rows, len(values))))

    def frames(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors (angle, xy) of the central ray and of the detector."""
        theta = np.asarray(self.angle_values, dtype=np.float64)
        direction = np.stack([-np.sin(theta), np.cos(theta)], axis=1)
        along = np.stack([np.cos(theta), np.sin(theta)], axis=1)
        return direction, along


class FlatBeam(Beam):
    """Base class of parallel beams, and of fan beams with a flat detector.

    Attributes:
        detector: Linear detector.
    """

    detector: FlatDetector

    @property
    def magnification(self) -> float:
        """The magnification of objects on the axis onto the detector; 1 for parallel beams."""
        return 1.0

    def shadow(self, distance: float) -> float:
        return distance * self.magnification

    def _validate_detector(self) -> None:
        require_kind(self.detector, FlatDetector, "detector=FlatDetector(pixels, pitch)")
        across = 2 * self.radius / self.detector.pitch
        if not across < MOST_ACROSS:
            raise GeometryError(
                describe(
                    expected=f"an image that fewer than {MOST_ACROSS:.0e} detector pixels cover",
                    found=f"{across:.3g} pixels of {self.detector.pitch:g} mm across"
                    f" {2 * self.radius:g} mm",
                    fix="look for a wrong unit in the pitch or the pixel size",
                )
            )


@dataclass(frozen=True)
class ParallelBeam(FlatBeam):
    """Parallel-beam geometry in two dimensions: parallel rays onto a linear detector.

    Attributes:
        shape: Shape of the image, (ny, nx).
        angles: Angles in radians in any order, or an :class:`AngleRange`.
        detector: Detector with its pixels, pitch and offset.
        pixel_size: Size of a pixel of the image in mm, one number or (dy, dx).

    Raises:
        GeometryError: No angles, angles that are not finite or beyond four turns (degrees), or a
            size that is not positive.
    """

    shape: tuple[int, int]
    angles: AngleRange | tuple[float, ...]
    detector: FlatDetector
    pixel_size: float | tuple[float, float] = 1.0

    def with_angles(self, angles: AngleRange | tuple[float, ...]) -> ParallelBeam:
        return replace(self, angles=angles)

    def rays(self) -> RayGeometry2D:
        direction, along = self.frames()
        first = self.detector.positions[0] * along
        vectors = np.concatenate([direction, first, self.detector.pitch * along], axis=1)
        return RayGeometry2D(
            vectors=vectors,
            fan=False,
            detectors=self.detector.pixels,
            shape=self.shape,
            pixel=self.pixel,
        )


@dataclass(frozen=True)
class FanBeam(FlatBeam):
    """Fan-beam geometry: rays from a point source onto a flat linear detector.

    The source moves on a circle of radius ``source_origin`` around the axis; the detector is
    perpendicular to the central ray, at the distance ``origin_detector`` beyond the axis. As
    ``source_origin`` grows, the rays approach those of :class:`ParallelBeam` at the same angle,
    with the pitch divided by the magnification.

    Attributes:
        shape: Shape of the image, (ny, nx).
        angles: Angles in radians in any order, or an :class:`AngleRange` (whose default arc is π; a
            full turn is 2π).
        detector: Detector with its pixels, pitch and offset, in mm on the detector.
        source_origin: Distance from the source to the rotation axis in mm.
        origin_detector: Distance from the axis to the detector in mm.
        pixel_size: Size of a pixel of the image in mm, one number or (dy, dx).

    Raises:
        GeometryError: As for :class:`ParallelBeam`, or a source inside the image.
    """

    shape: tuple[int, int]
    angles: AngleRange | tuple[float, ...]
    detector: FlatDetector
    source_origin: float
    origin_detector: float
    pixel_size: float | tuple[float, float] = 1.0

    def _validate_detector(self) -> None:
        super()._validate_detector()
        store(self, "source_origin", number)
        store(self, "origin_detector", number)
        distances = (self.source_origin, self.origin_detector)
        far_enough = self.source_origin > self.radius and self.origin_detector >= 0
        if not far_enough or not all(map(math.isfinite, distances)):
            raise GeometryError(
                describe(
                    expected=f"a source outside the image's circle of radius {self.radius:.6g} mm"
                    " and a detector at 0 mm or more behind the axis, both finite",
                    found=f"source_origin = {self.source_origin}, "
                    f"origin_detector = {self.origin_detector}",
                    fix="give both distances in mm, measured from the rotation axis",
                )
            )

    @property
    def magnification(self) -> float:
        """The magnification, (source to detector) / (source to axis)."""
        return (self.source_origin + self.origin_detector) / self.source_origin

    @property
    def fan_angles(self) -> np.ndarray:
        """The angle in radians of the ray of every pixel to the central ray."""
        return np.arctan2(self.detector.positions, self.source_origin + self.origin_detector)

    def with_angles(self, angles: AngleRange | tuple[float, ...]) -> FanBeam:
        return replace(self, angles=angles)

    def rays(self) -> RayGeometry2D:
        direction, along = self.frames()
        source = -self.source_origin * direction
        first = self.origin_detector * direction + self.detector.positions[0] * along
        vectors = np.concatenate([source, first, self.detector.pitch * along], axis=1)
        return RayGeometry2D(
            vectors=vectors,
            fan=True,
            detectors=self.detector.pixels,
            shape=self.shape,
            pixel=self.pixel,
        )


Geometry = ParallelBeam | FanBeam
