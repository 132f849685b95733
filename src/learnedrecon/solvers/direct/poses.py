"""Filtered backprojection of scans whose poses are given one by one, near a circle.

A scan is split into the ideal scan on the circle that fits it, which has the quadrature and the
redundancy of its views, and the pose of every view, from which its rays, distances and pixel
positions follow. For a source on a circle of radius R, a flat detector that is turned in any way
within the plane of the circle, the distance D_v of the two along the normal of the detector, and
the angle γ of a ray to the radius,

    u(x) = Σ_v w_v R·D_v / d_v(x)² · (h * (y_v cos γ))(s_v(x)),

where d_v(x) is the depth of x along the normal: exact, as sin(φ-φ') = D(s-s')/√((D²+s²)(D²+s'²))
for the angles φ to the normal (Kak, Slaney 1988, section 3.4.2, with a turned detector).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache, singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np

from learnedrecon.operators.ray.beam2d import RayVectors2D
from learnedrecon.operators.ray.beam3d import RayVectors3D
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam
from learnedrecon.solvers.direct.circle import (
    Circle,
    Departure,
    fit_circle,
    require_nearly_circular,
)
from learnedrecon.solvers.direct.views import (
    added_pixels,
    detector_weights,
    fan_weights,
    parallel_weights,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class Poses:
    """A calibrated scan as filtered backprojection takes it.

    Attributes:
        plane: Quadrature, redundancy and pitch, (view, column).
        pencil: Matrices (view, 3, 3), whose columns are the first pixel from the source, the step
            to the next column and that to the next row; or for parallel rays their direction, and
            the same steps.
        origin: Sources, or the first pixels of parallel views, (view, 3).
        inward: Unit vectors from the sources to the axis, (view, 3); empty for parallel rays.
        scale: Weights (view,); a voxel with X - origin = pencil·(λ, λ·column, λ·row) receives
            scale/λ² of a view. Empty for parallel rays, where X - origin is pencil·(depth, column,
            row).
        added: Numbers of columns to be added at either end, with data 0.
    """

    plane: FloatArray
    pencil: FloatArray
    origin: FloatArray
    inward: FloatArray
    scale: FloatArray
    added: tuple[int, int]

    def inverse(self) -> FloatArray:
        """From X - origin, (view, 3, 3)."""
        return np.linalg.inv(self.pencil).astype(np.float64, copy=False)

    def weights(self, views: slice, rows: int) -> FloatArray:
        """Factors of rays, (view, row, column), or (view, 1, column) where rows have the same."""
        plane = self.plane[views, None]
        if not len(self.inward):
            return plane
        column = np.arange(plane.shape[-1], dtype=np.float64)
        row = np.arange(rows, dtype=np.float64)[:, None]
        pencil = self.pencil[views]
        squares = np.einsum("vij,vik->jkv", pencil, pencil)[..., None, None]
        ahead = np.einsum("vij,vi->jv", pencil, self.inward[views])[..., None, None]
        square = squares[0, 0] + column * (2 * squares[0, 1] + column * squares[1, 1])
        square = square + row * (
            2 * squares[0, 2] + 2 * column * squares[1, 2] + row * squares[2, 2]
        )
        return plane * (ahead[0] + column * ahead[1] + row * ahead[2]) / np.sqrt(square)


@lru_cache(maxsize=8)
def planar_poses(scan: RayVectors2D) -> Poses:
    """The poses of a scan of an image, with a single row.

    Args:
        scan: Parallel or fan beam.

    Raises:
        GeometryError: A fan beam that is far from a circle.
    """
    first, pixel, step = (_in_space(part) for part in np.split(np.array(scan.vectors), 3, axis=1))
    rows = np.broadcast_to(_UP, first.shape)
    if scan.beam == "parallel":
        return _parallel(scan, first, pixel, step)
    circle = fit_circle(first, _UP, planar=True)
    frame = _Frame(first, pixel, step, rows, circle)
    require_nearly_circular(frame.departure())
    line = FlatDetector(scan.detector, frame.pitch, frame.axis_offset(scan.detector))
    distances = circle.radius, max(frame.distance - circle.radius, 0.0)
    ideal = FanBeam(scan.shape, tuple(circle.angles), line, *distances, scan.pixel_size)
    return frame.poses(ideal)


@lru_cache(maxsize=8)
def spatial_poses(scan: RayVectors3D) -> Poses:
    """The poses of a scan of a volume by a cone beam.

    Args:
        scan: Cone beam.

    Raises:
        GeometryError: A scan that is far from a circle.
    """
    first, pixel, step, rows = np.split(np.array(scan.vectors), 4, axis=1)
    circle = fit_circle(first, rows.mean(axis=0))
    frame = _Frame(first, pixel, step, rows, circle)
    require_nearly_circular(frame.departure())
    number, columns = scan.detector
    panel = FlatPanel(number, columns, (1.0, frame.pitch), frame.axis_offset(columns))
    distances = circle.radius, max(frame.distance - circle.radius, 0.0)
    ideal = ConeBeam(scan.shape, tuple(circle.angles), panel, *distances, scan.pixel_size)
    return frame.poses(ideal.mid_plane())


@singledispatch
def lengthened(scan: RayVectors2D | RayVectors3D, added: tuple[int, int]) -> Any:  # noqa: ANN401 - of the kind that was given
    """The scan with more detector columns.

    Args:
        scan: Poses.
        added: Number of columns before the first and behind the last one.
    """
    raise NotImplementedError(type(scan).__name__)


@lengthened.register(RayVectors2D)
def _(scan: RayVectors2D, added: tuple[int, int]) -> RayVectors2D:
    vectors = np.array(scan.vectors)
    vectors[:, 2:4] -= added[0] * vectors[:, 4:6]
    pixels = scan.detector + sum(added)
    return replace(scan, vectors=vectors, detector=pixels)  # type: ignore[arg-type]


@lengthened.register(RayVectors3D)
def _(scan: RayVectors3D, added: tuple[int, int]) -> RayVectors3D:
    vectors = np.array(scan.vectors)
    vectors[:, 3:6] -= added[0] * vectors[:, 6:9]
    size = scan.detector[0], scan.detector[1] + sum(added)
    return replace(scan, vectors=vectors, detector=size)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class _Frame:
    """Sources, first pixels and steps of all views, (view, 3), around a circle."""

    source: FloatArray
    pixel: FloatArray
    step: FloatArray
    row: FloatArray
    circle: Circle

    @property
    def normal(self) -> FloatArray:
        """Unit normals of the detector, away from the source."""
        normal = np.cross(self.step, self.row)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        return normal * np.sign(_dot(normal, self.pixel - self.source))[:, None]

    @property
    def distances(self) -> FloatArray:
        """Of the sources from the detector in mm, (view,)."""
        return _dot(self.normal, self.pixel - self.source)

    @property
    def distance(self) -> float:
        return float(self.distances.mean())

    @property
    def pitches(self) -> FloatArray:
        return np.linalg.norm(self.step, axis=1)

    @property
    def pitch(self) -> float:
        return float(self.pitches.mean())

    @property
    def mirrored(self) -> bool:
        """True if columns run against those of the ideal scan."""
        return float(_dot(self.step, self.circle.along).mean()) < 0

    @property
    def pencil(self) -> FloatArray:
        return np.stack([self.pixel - self.source, self.step, self.row], axis=2)

    def axis_offset(self, columns: int) -> float:
        """The position of the axis in mm from the centre of an ideal detector."""
        share, column, _ = np.einsum("vij,vj->iv", np.linalg.inv(self.pencil), self.circle.inward)
        offset = float((column / share).mean() - (columns - 1) / 2) * self.pitch
        return -offset if self.mirrored else offset

    def departure(self) -> Departure:
        circle, sign = self.circle, -1.0 if self.mirrored else 1.0
        across = sign * _dot(self.step, circle.along) / self.pitches
        ahead = _dot(self.normal, circle.inward)
        turn = math.acos(min(1.0, float(np.minimum(across, ahead).min())))
        tilt = math.acos(min(1.0, abs(float(circle.axis @ _UP))))
        return Departure(circle.radius, circle.radial, circle.axial, turn, tilt)

    def poses(self, ideal: FanBeam | ParallelBeam) -> Poses:
        plane = fan_weights(ideal) * detector_weights(ideal)  # type: ignore[arg-type]
        added = added_pixels(ideal)
        if self.mirrored:
            plane, added = plane[:, ::-1], (added[1], added[0])
        per_view = self.distances / (self.circle.radius * self.pitches)
        return Poses(
            plane=plane * per_view[:, None],
            pencil=self.pencil,
            origin=self.source,
            inward=self.circle.inward,
            scale=(self.circle.radius / self.distances) ** 2,
            added=added,
        )


def _parallel(scan: RayVectors2D, ray: FloatArray, pixel: FloatArray, step: FloatArray) -> Poses:
    ray = ray / np.linalg.norm(ray, axis=1, keepdims=True)
    across = ray[:, 1] * step[:, 0] - ray[:, 0] * step[:, 1]
    ray = ray * np.sign(across)[:, None]
    angles = np.arctan2(-ray[:, 0], ray[:, 1])
    pencil = np.stack([ray, step, np.broadcast_to(_UP, ray.shape)], axis=2)
    pitch = float(np.abs(across).mean())
    seen = np.einsum("vj,vj->v", np.linalg.inv(pencil)[:, 1], -pixel)
    line = FlatDetector(
        scan.detector, pitch, (_constant(seen, angles) - (scan.detector - 1) / 2) * pitch
    )
    ideal = ParallelBeam(scan.shape, tuple(angles), line, scan.pixel_size)
    weights = parallel_weights(ideal)[:, None] * detector_weights(ideal)
    none = np.empty(0)
    plane = weights / np.abs(across)[:, None]
    return Poses(plane, pencil, pixel, inward=none, scale=none, added=added_pixels(ideal))


def _constant(seen: FloatArray, angles: FloatArray) -> float:
    """The detector position of an axis through any point: c of the best c + a cos θ + b sin θ."""
    terms = np.stack([np.ones_like(angles), np.cos(angles), np.sin(angles)], axis=1)
    return float(np.linalg.lstsq(terms, seen)[0][0])


def _in_space(plane: FloatArray) -> FloatArray:
    return np.concatenate([plane, np.zeros((len(plane), 1))], axis=1)


def _dot(first: FloatArray, second: FloatArray) -> FloatArray:
    return np.einsum("vj,vj->v", first, second)
