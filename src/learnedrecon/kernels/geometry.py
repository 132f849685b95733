"""Geometry of two-dimensional scans, as the kernels take it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from learnedrecon.errors import DataError, GeometryError, ShapeError, describe
from learnedrecon.kernels.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Sequence


MOST_SOURCE = 1e9
"""Of a fan's source: its distance in pixels. The adjoint is exact to 1e-10 up to 1e13 of them."""

LEAST_PITCH = 1e-5
"""Of a fan's detector pixels at the axis, in image pixels. Below 1e-6 the adjoint is wrong."""


class RayTable(NamedTuple):
    """Intersections of rays with the rows or columns of an image.

    In step i a ray is at `intercept + slope * i` along the other axis. All fields are (angles,
    detectors).

    Attributes:
        by_rows: True where a ray steps through rows, False where it steps through columns.
        intercept: Position in step 0, in pixels.
        slope: Change of the position per step, in pixels.
        weight: Length of the ray per step in mm.
    """

    by_rows: NDArray[np.bool_]
    intercept: NDArray[np.float64]
    slope: NDArray[np.float64]
    weight: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RayGeometry2D:
    """The rays of a two-dimensional scan: lines through an image that is centred at the origin.

    Pixel (iy, ix) of the image is at `y = (iy - (ny-1)/2) dy`, `x = (ix - (nx-1)/2) dx`. Detector
    pixel d of an angle is at `p0 + d * step`. Its ray is an infinite line: through it along the
    direction (parallel beam), or through it and the source (fan beam).

    Attributes:
        vectors: Poses (angles, 6), float64, in mm. Parallel beam: (direction_x, direction_y, p0_x,
            p0_y, step_x, step_y), with a direction of any length. Fan beam: (source_x, source_y,
            p0_x, p0_y, step_x, step_y). They are copied, and read-only afterwards.
        fan: True if the first two columns are sources, False if they are directions.
        detectors: Number of detector pixels.
        shape: Shape of the image, (ny, nx).
        pixel: Size of a pixel, (dy, dx) in mm.

    Raises:
        ShapeError: `vectors` is not (angles, 6), or a size is not a positive whole number.
        DataError: A number is not finite.
        GeometryError: A pixel size is not positive; a fan's source is beyond 1e9 pixels or its
            detector pixels are finer than 1e-5; a direction is zero; a detector pixel is at the
            source; or lengths are so large or small that the position of a ray overflows, or that
            its length in the image exceeds the range of float32.
    """

    vectors: NDArray[np.float64]
    fan: bool
    detectors: int
    shape: tuple[int, int]
    pixel: tuple[float, float]

    def __post_init__(self) -> None:
        vectors = np.array(self.vectors, dtype=np.float64, order="C")
        vectors.setflags(write=False)
        object.__setattr__(self, "vectors", vectors)
        self._check_sizes()
        self._check_rays()

    @property
    def angles(self) -> int:
        """The number of angles."""
        return len(self.vectors)

    @property
    def sizes(self) -> Sizes:
        """The sizes and constants of the scan, everything but the vectors."""
        return Sizes(self.fan, (self.detectors,), self.shape, self.pixel)

    @classmethod
    def of(cls, vectors: NDArray[np.float64], sizes: Sizes) -> RayGeometry2D:
        """The geometry of given vectors and sizes, without copies and checks."""
        geometry = object.__new__(cls)
        (detectors,) = sizes.detectors
        fields = (vectors, sizes.diverging, detectors, sizes.shape, sizes.pixel)
        names = ("vectors", "fan", "detectors", "shape", "pixel")
        for name, value in zip(names, fields, strict=True):
            object.__setattr__(geometry, name, value)
        return geometry

    def subset(self, angles: Sequence[int] | NDArray[np.int64] | slice) -> RayGeometry2D:
        """The same scan with some of its angles, in the given order."""
        return replace(self, vectors=self.vectors[angles])

    def pixel_centres(self) -> NDArray[np.float64]:
        """The centres of the detector pixels, (angles, detectors, 2) as (x, y) in mm."""
        d = np.arange(self.detectors, dtype=np.float64)[:, None]
        return self.vectors[:, None, 2:4] + d * self.vectors[:, None, 4:6]

    def directions(self) -> NDArray[np.float64]:
        """The directions of the rays, (angles, detectors, 2) as (x, y), not normalised."""
        first = self.vectors[:, None, :2]
        if self.fan:
            return self.pixel_centres() - first
        return np.broadcast_to(first, (self.angles, self.detectors, 2))

    def table(self) -> RayTable:
        """The intersections of the rays with the image.

        cpp/ray2d/views.cpp evaluates the same expressions in the same order. The length per step is
        √(dy² + (slope·dx)²), which holds for directions of any length.
        """
        (ny, nx), (dy, dx) = self.shape, self.pixel
        with np.errstate(all="ignore"):
            directions, centres = self.directions(), self.pixel_centres()
            along_x, along_y = directions[..., 0] / dx, directions[..., 1] / dy
            index_x = centres[..., 0] / dx + 0.5 * (nx - 1)
            index_y = centres[..., 1] / dy + 0.5 * (ny - 1)
            by_rows = np.abs(along_y) >= np.abs(along_x)
            slope = np.where(by_rows, along_x, along_y) / np.where(by_rows, along_y, along_x)
            intercept = np.where(by_rows, index_x - slope * index_y, index_y - slope * index_x)
            run, rise = np.where(by_rows, dy, dx), slope * np.where(by_rows, dx, dy)
            return RayTable(by_rows, intercept, slope, np.sqrt(run * run + rise * rise))

    def _check_sizes(self) -> None:
        if self.vectors.ndim != 2 or self.vectors.shape[1] != 6:
            raise ShapeError(
                describe(
                    expected="vectors of shape (angles, 6)",
                    found=f"{self.vectors.shape}",
                    fix="give six numbers for every angle",
                )
            )
        sizes = (*self.shape, self.detectors)
        whole = all(isinstance(size, SupportsIndex) for size in sizes)
        if len(self.shape) != 2 or not whole or min(sizes) < 1:
            raise ShapeError(
                describe(
                    expected="an image (ny, nx) and a detector of at least one pixel",
                    found=f"shape {self.shape} and {self.detectors} detector pixels",
                    fix="give positive whole numbers",
                )
            )
        if len(self.pixel) != 2 or not all(np.isfinite(p) and p > 0 for p in self.pixel):
            raise GeometryError(
                describe(
                    expected="pixel sizes (dy, dx) > 0 in mm",
                    found=f"{self.pixel}",
                    fix="give the distance between neighbouring pixels",
                )
            )

    def _check_fans(self) -> None:
        """Sources so far, or pixels so fine, that positions on the detector lose their digits."""
        with np.errstate(over="ignore"):
            far = np.abs(self.vectors[:, :2]).max(initial=0.0) / min(self.pixel)
        if far > MOST_SOURCE:
            raise GeometryError(
                describe(
                    expected=f"a source within {MOST_SOURCE:.0e} pixels of the image, beyond which"
                    " double precision cannot tell its rays apart",
                    found=f"one at {far:.3g} pixels of {min(self.pixel):g} mm",
                    fix="use a parallel beam at the same angles, with the pitch divided by the"
                    " magnification; or look for a wrong unit",
                )
            )
        source, first, step = np.split(self.vectors, 3, axis=1)
        size = np.linalg.norm
        with np.errstate(all="ignore"):
            middle = first + 0.5 * (self.detectors - 1) * step - source
            pitch = size(step, axis=1) * size(source, axis=1) / size(middle, axis=1)
        fine = pitch < LEAST_PITCH * max(self.pixel)
        if self.detectors > 1 and fine.any():
            raise GeometryError(
                describe(
                    expected=f"detector pixels of at least {LEAST_PITCH:.0e} image pixels, seen at"
                    " the rotation axis",
                    found=f"{pitch[fine][0] / max(self.pixel):.3g} pixels at angle"
                    f" {int(np.flatnonzero(fine)[0])}",
                    fix="look for a wrong unit in the pitch or the pixel size",
                )
            )

    def _check_rays(self) -> None:
        if not np.isfinite(self.vectors).all():
            bad = int(np.flatnonzero(~np.isfinite(self.vectors).all(axis=1))[0])
            raise DataError(
                describe(
                    expected="finite geometry vectors",
                    found=f"{self.vectors[bad]} at angle {bad}",
                    fix="look for missing positions in the scan description",
                )
            )
        with np.errstate(over="ignore"):
            still = (self.directions() == 0).all(axis=2)
        if still.any():
            angle, detector = (int(i) for i in np.argwhere(still)[0])
            raise GeometryError(
                describe(
                    expected="rays with a direction",
                    found=f"a ray of length zero at angle {angle}, detector pixel {detector}",
                    fix="move the source off the detector, or give a direction that is not zero",
                )
            )
        if self.fan:
            self._check_fans()
        table, single = self.table(), np.finfo(np.float32)
        longest = single.max / max(self.shape)
        sound = np.isfinite(table.intercept) & np.isfinite(table.slope)
        sound &= (table.weight >= single.tiny) & (table.weight <= longest)
        if not sound.all():
            angle, detector = (int(i) for i in np.argwhere(~sound)[0])
            place = (angle, detector)
            raise GeometryError(
                describe(
                    expected="rays whose position is finite and whose length per pixel is between"
                    f" {single.tiny:.2g} and {longest:.2g} mm",
                    found=f"position {table.intercept[place]:.3g} + {table.slope[place]:.3g} i"
                    f" pixels and length {table.weight[place]:.3g} mm at angle {angle}, detector"
                    f" pixel {detector}, for pixels (dy, dx) = {self.pixel} mm",
                    fix="look for a wrong unit in the pixel size, the pitch or the distances",
                )
            )
