"""Scan geometries of three-dimensional tomography, in millimetres and radians.

The volume u[iz, iy, ix] has voxel centres at z = (iz - (nz-1)/2)·dz and so on, with the rotation
axis along z through the origin. At angle θ the central ray runs along (-sin θ, cos θ, 0), the
columns of the detector follow each other along (cos θ, sin θ, 0) and its rows along +z: the plane
z = 0 is that of :mod:`learnedrecon.operators.ray.geometry2d`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from learnedrecon.errors import GeometryError, describe
from learnedrecon.kernels.geometry3d import RayGeometry3D
from learnedrecon.operators.fields import angle_list, number, require_kind, require_room, store
from learnedrecon.operators.ray.beam3d import Beam3D, RayVectors3D
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import (
    AngleRange,
    FanBeam,
    FlatDetector,
    Geometry,
    ParallelBeam,
)
from learnedrecon.operators.ray.geometry3d_checks import require_angles, require_slope
from learnedrecon.operators.rows import row_indices

if TYPE_CHECKING:
    from learnedrecon.operators.rows import Rows


class RotatingBeam3D(Beam3D):
    """Base class of scans with a rotation axis and a flat panel.

    Attributes:
        angles: Angles in radians, or an :class:`AngleRange`.
        detector: Flat panel.
    """

    angles: AngleRange | tuple[float, ...]
    detector: FlatPanel

    def _validate(self) -> None:
        if not isinstance(self.angles, AngleRange):
            store(self, "angles", angle_list)
        require_kind(self.detector, FlatPanel, "detector=FlatPanel(rows, columns, pitch)")
        require_angles(self.angle_values)
        require_room(self.data_shape, "data (angles, rows, columns)")

    @property
    def angle_values(self) -> tuple[float, ...]:
        """Every angle in radians."""
        return self.angles.values() if isinstance(self.angles, AngleRange) else self.angles

    @property
    def data_shape(self) -> tuple[int, int, int]:
        return len(self.angle_values), self.detector.rows, self.detector.columns

    @property
    def magnification(self) -> float:
        """The magnification of objects on the axis onto the detector; 1 for parallel beams."""
        return 1.0

    @property
    @abstractmethod
    def is_circular(self) -> bool:
        """True where the central rays of all views lie in one plane across the rotation axis."""

    @property
    def height(self) -> float:
        """The z coordinate of the central rays at the axis in mm, where they lie in one plane."""
        return 0.0

    @property
    def seen(self) -> float:
        """The fraction of the volume's projection that the panel covers, the same at any angle.

        It is measured on the plane through the axis that is parallel to the detector; in scans that
        are not circular, along the rows of the panel only.
        """
        panel, (dv, du) = self.detector, self.detector.pitches
        scale = self.magnification
        across = _covered(panel.columns * du / 2, panel.axis_offset, scale * self.radius)
        if not self.is_circular:
            return across
        centre = panel.vertical_offset + scale * self.height
        return across * _covered(panel.rows * dv / 2, centre, scale * self.half_height)

    def mid_plane(self) -> Geometry:
        """The two-dimensional scan in the plane of the central rays.

        Raises:
            GeometryError: The scan is a helix or tilted, so that the central rays do not lie in one
                plane.
        """
        if not self.is_circular:
            raise GeometryError(
                describe(
                    expected="a circular scan, whose central rays lie in one plane",
                    found=f"{self!r:.300}",
                    fix="use a scan without tilt and helical pitch",
                )
            )
        panel = self.detector
        line = FlatDetector(panel.columns, panel.pitches[1], panel.axis_offset)
        return self._slice(self.shape[1:], line, self.pixel[1:])

    @abstractmethod
    def _slice(
        self, shape: tuple[int, int], detector: FlatDetector, pixel: tuple[float, float]
    ) -> Geometry:
        """The scan of one slice."""

    @abstractmethod
    def with_angles(self, angles: AngleRange | tuple[float, ...]) -> Self:
        """The same scan at other angles."""

    def subset(self, rows: Rows) -> Self:
        values = self.angle_values
        return self.with_angles(tuple(values[row] for row in row_indices(rows, len(values))))

    def frames(self, tilt: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit vectors (angle, xyz) of the central ray, of the columns, and of the rows."""
        theta = np.asarray(self.angle_values, dtype=np.float64)
        cos, sin, zero = np.cos(theta), np.sin(theta), np.zeros_like(theta)
        level, rise = math.cos(tilt), math.sin(tilt)
        direction = np.stack([-sin * level, cos * level, zero + rise], axis=1)
        across = np.stack([cos, sin, zero], axis=1)
        up = np.stack([sin * rise, -cos * rise, zero + level], axis=1)
        return direction, across, up

    def _geometry(
        self, first: np.ndarray, foot: np.ndarray, tilt: float, *, cone: bool
    ) -> RayGeometry3D:
        """Rays from sources (or along directions) ``first`` to the panel around ``foot``."""
        panel, (dv, du) = self.detector, self.detector.pitches
        _, across, up = self.frames(tilt)
        corner = foot + panel.column_positions[0] * across + panel.row_positions[0] * up
        return RayGeometry3D(
            vectors=np.concatenate([first, corner, du * across, dv * up], axis=1),
            cone=cone,
            detectors=(panel.rows, panel.columns),
            shape=self.shape,
            pixel=self.pixel,
        )


@dataclass(frozen=True)
class ParallelBeam3D(RotatingBeam3D):
    """Parallel-beam geometry in three dimensions: parallel rays onto a flat panel.

    Attributes:
        shape: Shape of the volume, (nz, ny, nx).
        angles: Angles in radians in any order, or an :class:`AngleRange`.
        detector: Flat panel with its rows, columns, pitch and offsets.
        pixel_size: Size of a voxel in mm, one number or (dz, dy, dx).
        tilt: Angle in radians between the beam and the plane across the rotation axis (synchrotron
            laminography); 0 if the beam is perpendicular to the axis.

    Raises:
        GeometryError: No angles, angles that are not finite or beyond four turns (degrees), a size
            that is not positive, or a tilt of π/2 or more.
    """

    shape: tuple[int, int, int]
    angles: AngleRange | tuple[float, ...]
    detector: FlatPanel
    pixel_size: float | tuple[float, float, float] = 1.0
    tilt: float = 0.0

    def _validate(self) -> None:
        super()._validate()
        store(self, "tilt", number)
        require_slope(self.tilt)

    @property
    def is_circular(self) -> bool:
        return self.tilt == 0

    def with_angles(self, angles: AngleRange | tuple[float, ...]) -> ParallelBeam3D:
        return replace(self, angles=angles)

    def _slice(
        self, shape: tuple[int, int], detector: FlatDetector, pixel: tuple[float, float]
    ) -> ParallelBeam:
        return ParallelBeam(shape, self.angles, detector, pixel)

    def rays(self) -> RayGeometry3D:
        direction, _, _ = self.frames(self.tilt)
        return self._geometry(direction, 0 * direction, self.tilt, cone=False)


@dataclass(frozen=True)
class Orbit:
    """Motion of the source in addition to its circle: a helix, a height or a tilt.

    Attributes:
        helical_pitch: Distance in mm by which source and detector move along +z in one turn
            (negative: down; 0: a circle). At angle θ both are at ``height + helical_pitch·θ/(2π)``.
        height: z of the source at θ = 0, in mm.
        tilt: Angle in radians by which the central ray climbs along +z (laminography): the source
            circles below the object, the detector above it. It cannot be combined with the others.

    Raises:
        GeometryError: A number that is not finite, a tilt of π/2 or more, or a tilted helix.
    """

    helical_pitch: float = 0.0
    height: float = 0.0
    tilt: float = 0.0

    def __post_init__(self) -> None:
        for name in ("helical_pitch", "height", "tilt"):
            store(self, name, number)
        require_slope(self.tilt)
        moved = self.helical_pitch != 0 or self.height != 0
        if not math.isfinite(self.helical_pitch + self.height) or (self.tilt != 0 and moved):
            raise GeometryError(
                describe(
                    expected="a finite helical pitch and height in mm, both 0 if there is a tilt",
                    found=f"{self}",
                    fix="write any other path as RayVectors3D",
                )
            )


@dataclass(frozen=True)
class ConeBeam(RotatingBeam3D):
    """Cone-beam geometry: rays from a point source onto a flat panel, circular, helical or tilted.

    The source moves on a circle of radius ``source_origin`` around the axis; the panel is
    perpendicular to the central ray, at the distance ``origin_detector`` beyond the axis. The plane
    of a circular scan is that of :class:`learnedrecon.operators.ray.geometry2d.FanBeam`.

    Attributes:
        shape: Shape of the volume, (nz, ny, nx).
        angles: Angles in radians in any order, or an :class:`AngleRange` (whose default arc is π; a
            full turn is 2π).
        detector: Flat panel with its rows, columns, pitch and offsets, in mm on the detector.
        source_origin: Distance from the source to the rotation axis in mm, along the central ray.
        origin_detector: Distance from the axis to the detector in mm.
        pixel_size: Size of a voxel in mm, one number or (dz, dy, dx).
        orbit: Helix or tilt; a circle around the centre of the volume unless given. Helices of more
            than four turns need :class:`RayVectors3D`.

    Raises:
        GeometryError: As for :class:`ParallelBeam3D`, or a source inside the volume.
    """

    shape: tuple[int, int, int]
    angles: AngleRange | tuple[float, ...]
    detector: FlatPanel
    source_origin: float
    origin_detector: float
    pixel_size: float | tuple[float, float, float] = 1.0
    orbit: Orbit = field(default_factory=Orbit)

    def _validate(self) -> None:
        super()._validate()
        store(self, "source_origin", number)
        store(self, "origin_detector", number)
        require_kind(self.orbit, Orbit, "orbit=Orbit(helical_pitch=30.0)")
        tilt = self.orbit.tilt
        level, rise = self.source_origin * math.cos(tilt), self.source_origin * abs(math.sin(tilt))
        outside = level > self.radius or (level > 0 and rise > self.half_height)
        distances = (self.source_origin, self.origin_detector)
        if not (outside and self.origin_detector >= 0 and all(map(math.isfinite, distances))):
            raise GeometryError(
                describe(
                    expected=f"a source outside the volume, a cylinder of radius {self.radius:.6g}"
                    " mm, and a detector at 0 mm or more behind the axis, both finite",
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
    def is_circular(self) -> bool:
        return self.orbit.helical_pitch == 0 and self.orbit.tilt == 0

    @property
    def height(self) -> float:
        return self.orbit.height

    def with_angles(self, angles: AngleRange | tuple[float, ...]) -> ConeBeam:
        return replace(self, angles=angles)

    def _slice(
        self, shape: tuple[int, int], detector: FlatDetector, pixel: tuple[float, float]
    ) -> FanBeam:
        distances = self.source_origin, self.origin_detector
        return FanBeam(shape, self.angles, detector, *distances, pixel)

    def rays(self) -> RayGeometry3D:
        orbit = self.orbit
        direction, _, _ = self.frames(orbit.tilt)
        theta = np.asarray(self.angle_values, dtype=np.float64)
        centre = np.zeros_like(direction)
        centre[:, 2] = orbit.height + orbit.helical_pitch * theta / (2 * math.pi)
        source = centre - self.source_origin * direction
        foot = centre + self.origin_detector * direction
        return self._geometry(source, foot, orbit.tilt, cone=True)


Geometry3D = ParallelBeam3D | ConeBeam | RayVectors3D


def _covered(half: float, offset: float, shadow: float) -> float:
    """The share of [-shadow, shadow] that [-half - offset, half - offset] covers."""
    return max(min(half - offset, shadow) - max(-half - offset, -shadow), 0.0) / (2 * shadow)
