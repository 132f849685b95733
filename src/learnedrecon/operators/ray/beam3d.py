"""Base class of three-dimensional scans, and scans with poses given view by view."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from learnedrecon.errors import GeometryError, describe
from learnedrecon.kernels.geometry3d import RayGeometry3D
from learnedrecon.operators.fields import count, length_or_lengths, store
from learnedrecon.operators.ray.geometry3d_checks import (
    each_of,
    require_lengths,
    vector_rows,
    volume_shape,
)
from learnedrecon.operators.rows import row_indices

if TYPE_CHECKING:
    from learnedrecon.operators.rows import Rows


class Beam3D(ABC):
    """Base class of three-dimensional scan geometries.

    Attributes:
        shape: Shape of the volume, (nz, ny, nx).
        pixel_size: Size of a voxel in mm, one number or (dz, dy, dx).
    """

    shape: tuple[int, int, int]
    pixel_size: float | tuple[float, float, float]

    def __post_init__(self) -> None:
        """Turns lists and numpy numbers into tuples, so that geometries hash, and checks them."""
        store(self, "shape", volume_shape)
        store(self, "pixel_size", length_or_lengths)
        require_lengths(self.pixel, 3, "a voxel size, or (dz, dy, dx),")
        self._validate()

    @abstractmethod
    def _validate(self) -> None:
        """Checks and converts the other fields."""

    @property
    def pixel(self) -> tuple[float, float, float]:
        """The size of a voxel, (dz, dy, dx) in mm."""
        return each_of(self.pixel_size, 3)  # type: ignore[return-value]

    @property
    def radius(self) -> float:
        """Half the diagonal of a slice in mm."""
        (_, ny, nx), (_, dy, dx) = self.shape, self.pixel
        return math.hypot(ny * dy, nx * dx) / 2

    @property
    def half_height(self) -> float:
        """Half the height of the volume in mm."""
        return self.shape[0] * self.pixel[0] / 2

    @property
    @abstractmethod
    def data_shape(self) -> tuple[int, int, int]:
        """The shape of the data, (angles, detector rows, detector columns)."""

    @property
    @abstractmethod
    def seen(self) -> float:
        """The fraction of the volume's projection that the detector covers, similar for subsets."""

    @abstractmethod
    def subset(self, rows: Rows) -> Self:
        """The same scan restricted to the views ``rows``.

        Raises:
            GeometryError: No rows, or a row out of range.
        """

    @abstractmethod
    def rays(self) -> RayGeometry3D:
        """The same scan as pose vectors, for the kernels."""

    def to_vectors(self) -> RayVectors3D:
        """The same scan with its poses written out, so that each can be changed."""
        rays = self.rays()
        return RayVectors3D(
            self.shape,
            rays.vectors,  # type: ignore[arg-type]
            rays.detectors,
            self.pixel_size,
            "cone" if rays.cone else "parallel",
        )


def _rows_and_columns(sizes: object) -> tuple[int, ...]:
    """The counts of a detector, whose poses say where its pixels are.

    Raises:
        GeometryError: not a pair, such as a panel with a pitch.
    """
    if not np.iterable(sizes):
        raise GeometryError(
            describe(
                expected="a detector (rows, columns), as the vectors define where its pixels are",
                found=f"{sizes!r:.80} of type {type(sizes).__name__}",
                fix="give detector=(panel.rows, panel.columns)",
            )
        )
    return tuple(map(count, sizes))


@dataclass(frozen=True)
class RayVectors3D(Beam3D):
    """A three-dimensional scan with source and detector poses given view by view.

    For calibrated scanners, helices of many turns, robots and two sources. Detector pixel (row,
    column) of a view is at ``p0 + column·(step per column) + row·(step per row)``, and its ray runs
    through it and the source, or along the direction.

    Attributes:
        shape: Shape of the volume, (nz, ny, nx).
        vectors: Twelve numbers per view, in mm: the source (cone) or the direction of the rays
            (parallel), p0 = the centre of detector pixel (0, 0), the step from one column to the
            next, the step from one row to the next; each as x, y, z. An array (views, 12) is
            accepted.
        detector: Shape of the detector, (rows, columns).
        pixel_size: Size of a voxel in mm, one number or (dz, dy, dx).
        beam: "cone" or "parallel".

    Raises:
        GeometryError: Vectors that are not (views, 12), a source inside the volume, a ray without a
            direction, or a size that is not positive.
        DataError: A number is not finite.
    """

    shape: tuple[int, int, int]
    vectors: tuple[tuple[float, ...], ...]
    detector: tuple[int, int]
    pixel_size: float | tuple[float, float, float] = 1.0
    beam: Literal["cone", "parallel"] = "cone"

    def _validate(self) -> None:
        store(self, "vectors", vector_rows)
        store(self, "detector", _rows_and_columns)
        wrong_beam = self.beam not in {"cone", "parallel"}
        if wrong_beam or len(self.detector) != 2 or min(self.detector) < 1:
            raise GeometryError(
                describe(
                    expected="a detector (rows, columns), and a beam 'cone' or 'parallel'",
                    found=f"detector = {self.detector}, beam = {self.beam!r}",
                    fix="give two counts of at least 1",
                )
            )
        rays = self.rays()
        edge = np.array(self.shape[::-1]) * self.pixel[::-1] / 2
        inside = (np.abs(rays.vectors[:, :3]) < edge).all(axis=1)
        if rays.cone and inside.any():
            view = int(np.flatnonzero(inside)[0])
            raise GeometryError(
                describe(
                    expected=f"sources outside the volume, |x, y, z| up to {edge.tolist()} mm",
                    found=f"{self.vectors[view][:3]} in view {view}",
                    fix="give positions in mm from the centre of the volume, x first",
                )
            )

    @property
    def data_shape(self) -> tuple[int, int, int]:
        return (len(self.vectors), *self.detector)

    @property
    def seen(self) -> float:
        """Always 1, because a single view of a general scan may see any part of the volume."""
        return 1.0

    def subset(self, rows: Rows) -> RayVectors3D:
        chosen = row_indices(rows, len(self.vectors))
        return replace(self, vectors=tuple(self.vectors[row] for row in chosen))

    def rays(self) -> RayGeometry3D:
        return RayGeometry3D(
            vectors=np.array(self.vectors),
            cone=self.beam == "cone",
            detectors=self.detector,
            shape=self.shape,
            pixel=self.pixel,
        )
