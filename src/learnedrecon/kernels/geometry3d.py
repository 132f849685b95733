"""Geometry of three-dimensional scans, as the kernels take it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from learnedrecon.errors import DataError, GeometryError, ShapeError, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

Z, Y, X = 0, 1, 2
OTHERS = np.array([[Y, X], [Z, X], [Z, Y]])
"""The two axes along which a ray is interpolated, for each main axis."""

_SAFE = 1e100
"""Products of three numbers between 1 / _SAFE and _SAFE neither overflow nor vanish."""


class RayTable3D(NamedTuple):
    """Intersections of rays with the slices of a volume.

    In step i along `axis` a ray is at `intercept + slope * i`, in voxels, along the axes
    `OTHERS[axis]`.

    Attributes:
        axis: Axis along which the ray steps.
        intercept: Positions in step 0, in voxels.
        slope: Change of the positions per step, in voxels.
        weight: Length of the ray per step in mm.
    """

    axis: NDArray[np.int8]
    """(angles, rows, columns), one of Z, Y, X."""
    intercept: NDArray[np.float64]
    """(angles, rows, columns, 2)."""
    slope: NDArray[np.float64]
    """(angles, rows, columns, 2)."""
    weight: NDArray[np.float64]
    """(angles, rows, columns)."""


@dataclass(frozen=True, eq=False)
class RayGeometry3D:
    """The rays of a three-dimensional scan: lines through a volume that is centred at the origin.

    Voxel (iz, iy, ix) is at `z = (iz - (nz-1)/2) dz`, and so on. Detector pixel (row, column) of an
    angle is at `p0 + column * step_column + row * step_row`. Its ray is an infinite line: through
    it along the direction (parallel beam), or through it and the source (cone beam). Every angle
    has its own pose, which includes helical scans and tilted axes.

    Attributes:
        vectors: Poses (angles, 12), float64, in mm: the source (cone beam) or the direction, of any
            length (parallel beam), the centre p0 of detector pixel (0, 0), the step from one column
            to the next, the step from one row to the next; each as (x, y, z). They are copied, and
            read-only afterwards.
        cone: True if the first three columns are sources, False if they are directions.
        detectors: Shape of the detector, (rows, columns).
        shape: Shape of the volume, (nz, ny, nx).
        pixel: Size of a voxel, (dz, dy, dx) in mm.

    Raises:
        ShapeError: `vectors` is not (angles, 12), or a size is not a positive whole number.
        DataError: A number is not finite.
        GeometryError: A voxel size is not positive or beyond the range of float32, a direction is
            zero, a detector pixel is at the source, or lengths are so large or small that the
            position of a ray overflows.
    """

    vectors: NDArray[np.float64]
    cone: bool
    detectors: tuple[int, int]
    shape: tuple[int, int, int]
    pixel: tuple[float, float, float]

    def __post_init__(self) -> None:
        vectors = np.array(self.vectors, dtype=np.float64, order="C")
        vectors.setflags(write=False)
        object.__setattr__(self, "vectors", vectors)
        self._check_sizes()
        self._check_lengths()
        for angle in np.flatnonzero(~self._plainly_sound()):
            self._check_rays(int(angle))

    @property
    def angles(self) -> int:
        """The number of angles."""
        return len(self.vectors)

    def subset(self, angles: Sequence[int] | NDArray[np.int64] | slice) -> RayGeometry3D:
        """The same scan with some of its angles, in the given order."""
        return replace(self, vectors=self.vectors[angles])

    def pixel_centres(self, angles: slice | None = None) -> NDArray[np.float64]:
        """The centres of the detector pixels, (angles, rows, columns, 3) as (x, y, z) in mm."""
        vectors = self._chosen(angles)[:, None, None, :]
        rows, columns = self.detectors
        column = np.arange(columns, dtype=np.float64)[:, None]
        row = np.arange(rows, dtype=np.float64)[:, None, None]
        return vectors[..., 3:6] + column * vectors[..., 6:9] + row * vectors[..., 9:12]

    def directions(self, angles: slice | None = None) -> NDArray[np.float64]:
        """The directions of the rays, (angles, rows, columns, 3) as (x, y, z), not normalised."""
        first = self._chosen(angles)[:, None, None, :3]
        if self.cone:
            return self.pixel_centres(angles) - first
        return np.broadcast_to(first, (len(first), *self.detectors, 3))

    def table(self, angles: slice | None = None) -> RayTable3D:
        """The intersections of the rays of some angles (all if None) with the volume.

        A ray steps along the axis in which it moves most voxels; if equal, y before x before z, so
        that a scan in a plane is the two-dimensional one. cpp/ray3d/plan.cpp evaluates the same
        expressions in the same order. The length per step is √(Σ (slope · voxel size)²) over the
        three axes, which holds for directions of any length.
        """
        pixel = np.array(self.pixel, dtype=np.float64)
        centre = 0.5 * (np.array(self.shape, dtype=np.float64) - 1.0)
        take = np.take_along_axis
        with np.errstate(all="ignore"):
            along = self.directions(angles)[..., ::-1] / pixel
            index = self.pixel_centres(angles)[..., ::-1] / pixel + centre
            size = np.abs(along)
            by_y = (size[..., Y] >= size[..., X]) & (size[..., Y] >= size[..., Z])
            axis = np.where(by_y, Y, np.where(size[..., X] >= size[..., Z], X, Z))
            main, others = axis[..., None], OTHERS[axis]
            slope = take(along, others, axis=-1) / take(along, main, axis=-1)
            intercept = take(index, others, axis=-1) - slope * take(index, main, axis=-1)
            rise = slope * pixel[others]
            run = pixel[axis]
            square = run * run + rise[..., 0] * rise[..., 0]
            weight = np.sqrt(square + rise[..., 1] * rise[..., 1])
        return RayTable3D(axis.astype(np.int8), intercept, slope, weight)

    def _chosen(self, angles: slice | None) -> NDArray[np.float64]:
        return self.vectors if angles is None else self.vectors[angles]

    def _check_sizes(self) -> None:
        if self.vectors.ndim != 2 or self.vectors.shape[1] != 12:
            raise ShapeError(
                describe(
                    expected="vectors of shape (angles, 12)",
                    found=f"{self.vectors.shape}",
                    fix="give twelve numbers for every angle",
                )
            )
        sizes = (*self.shape, *self.detectors)
        whole = all(isinstance(size, SupportsIndex) for size in sizes)
        right = len(self.shape) == 3 and len(self.detectors) == 2
        if not right or not whole or min(sizes) < 1:
            raise ShapeError(
                describe(
                    expected="a volume (nz, ny, nx) and a detector (rows, columns) of at least one"
                    " pixel",
                    found=f"shape {self.shape} and a detector of {self.detectors} pixels",
                    fix="give positive whole numbers",
                )
            )

    def _check_lengths(self) -> None:
        if len(self.pixel) != 3 or not all(np.isfinite(p) and p > 0 for p in self.pixel):
            raise GeometryError(
                describe(
                    expected="voxel sizes (dz, dy, dx) > 0 in mm",
                    found=f"{self.pixel}",
                    fix="give the distance between neighbouring voxels",
                )
            )
        single = np.finfo(np.float32)
        shortest, longest = float(single.tiny), float(single.max) / (2 * max(self.shape))
        if min(self.pixel) < shortest or max(self.pixel) > longest:
            raise GeometryError(
                describe(
                    expected=f"voxel sizes between {shortest:.2g} and {longest:.2g} mm",
                    found=f"(dz, dy, dx) = {self.pixel}",
                    fix="look for a wrong unit in the voxel size",
                )
            )
        if not np.isfinite(self.vectors).all():
            bad = int(np.flatnonzero(~np.isfinite(self.vectors).all(axis=1))[0])
            raise DataError(
                describe(
                    expected="finite geometry vectors",
                    found=f"{self.vectors[bad]} at angle {bad}",
                    fix="look for missing positions in the scan description",
                )
            )

    def _plainly_sound(self) -> NDArray[np.bool_]:
        """(angles,) where no ray needs to be looked at.

        Lengths are far from overflow at the corners of the detector, hence everywhere between them,
        and no ray has length zero: the source is away from the plane of the detector.
        """
        v, (rows, columns) = self.vectors, self.detectors
        with np.errstate(all="ignore"):
            column, row = v[:, 6:9] * (columns - 1), v[:, 9:12] * (rows - 1)
            corners = v[:, 3:6] + np.stack([0 * column, column, row, column + row])
            first = v[:, :3] if self.cone else 0.0
            scale = np.abs(np.concatenate([corners, corners - first])).max(axis=(0, 2))
            sound = (scale < _SAFE) & (scale / min(self.pixel) < _SAFE)
            if not self.cone:
                size = np.abs(v[:, :3]).max(axis=1)
                return sound & (size > 1 / _SAFE) & (size < _SAFE)
            normal = np.cross(v[:, 6:9], v[:, 9:12])
            height = np.abs((normal * (v[:, 3:6] - v[:, :3])).sum(axis=1))
            away = height > 1e-6 * scale * np.linalg.norm(normal, axis=1)
            return sound & (scale > 1 / _SAFE) & away

    def _check_rays(self, angle: int) -> None:
        chosen = slice(angle, angle + 1)
        with np.errstate(over="ignore"):
            still = (self.directions(chosen) == 0).all(axis=3)[0]
        if still.any():
            row, column = (int(i) for i in np.argwhere(still)[0])
            raise GeometryError(
                describe(
                    expected="rays with a direction",
                    found=f"a ray of length zero at angle {angle}, detector pixel {(row, column)}",
                    fix="move the source off the detector, or give a direction that is not zero",
                )
            )
        table = self.table(chosen)
        numbers = np.concatenate([table.intercept, table.slope], axis=3)
        sound = np.isfinite(numbers).all(axis=3)[0]
        if not sound.all():
            row, column = (int(i) for i in np.argwhere(~sound)[0])
            place = (0, row, column)
            raise GeometryError(
                describe(
                    expected="rays whose position is finite",
                    found=f"position {table.intercept[place]} + {table.slope[place]} i voxels at"
                    f" angle {angle}, detector pixel {(row, column)}, for voxels (dz, dy, dx) ="
                    f" {self.pixel} mm",
                    fix="look for a wrong unit in the voxel size, the pitch or the distances",
                )
            )
