"""Base class of scans of an image, and the scan whose poses are given view by view."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np

from learnedrecon.errors import GeometryError, describe
from learnedrecon.kernels.geometry import RayGeometry2D
from learnedrecon.operators.fields import (
    count,
    image_shape,
    length_or_lengths,
    positive,
    require_room,
    store,
)
from learnedrecon.operators.ray.geometry3d_checks import vector_rows
from learnedrecon.operators.rows import row_indices

if TYPE_CHECKING:
    from learnedrecon.operators.rows import Rows


class Beam2D(ABC):
    """Base class of scans of an image.

    Attributes:
        shape: Shape of the image, (ny, nx).
        pixel_size: Size of a pixel in mm, one number or (dy, dx).
        variables: Sets of names of tensors that may replace numbers of the scan.

    Raises:
        GeometryError: The shape or the pixel size is not positive.
    """

    shape: tuple[int, int]
    pixel_size: float | tuple[float, float]
    variables: ClassVar[tuple[frozenset[str], ...]] = (frozenset({"vectors"}),)

    def __post_init__(self) -> None:
        """Turns lists and numpy numbers into tuples, so that geometries hash, and checks them."""
        store(self, "shape", image_shape)
        store(self, "pixel_size", length_or_lengths)
        sizes = self.pixel
        if len(self.shape) != 2 or min(self.shape) < 1 or len(sizes) != 2 or not positive(*sizes):
            raise GeometryError(
                describe(
                    expected="an image shape (ny, nx) and a pixel size > 0 mm",
                    found=f"shape {self.shape}, pixel_size {self.pixel_size}",
                    fix="give two counts of at least 1 and lengths in mm",
                )
            )
        self._validate()
        require_room((*self.data_shape,), "data (angles, detector pixels)")

    @abstractmethod
    def _validate(self) -> None:
        """Checks and converts the other fields."""

    @property
    def pixel(self) -> tuple[float, float]:
        """(dy, dx) in mm."""
        size = self.pixel_size
        return size if isinstance(size, tuple) else (float(size), float(size))

    @property
    def radius(self) -> float:
        """Half the diagonal of the image in mm."""
        dy, dx = self.pixel
        return math.hypot(self.shape[0] * dy, self.shape[1] * dx) / 2

    @property
    @abstractmethod
    def data_shape(self) -> tuple[int, int]:
        """(angles, detector pixels)."""

    @property
    @abstractmethod
    def seen(self) -> float:
        """The share of the diameter 2·``radius`` that the detector covers."""

    @abstractmethod
    def subset(self, rows: Rows) -> Self:
        """The same scan with the angles ``rows`` only.

        Raises:
            GeometryError: No rows, or a row out of range.
        """

    @abstractmethod
    def rays(self) -> RayGeometry2D:
        """The same scan as vectors, for the kernels.

        One row for each angle, or for each ray where these are given one by one.
        """


@dataclass(frozen=True)
class RayVectors2D(Beam2D):
    """A scan of an image whose source and detector poses are given view by view.

    For calibrated scanners, axes that are not at the centre of the image, and vectors of other
    libraries: detector pixel d of a view is at ``p0 + d·step``, and its ray runs through it and the
    source, or along the direction.

    Attributes:
        shape: Shape of the image, (ny, nx).
        vectors: Six numbers for each view, in mm: the source (fan) or the direction of the rays
            (parallel), p0 = the centre of detector pixel 0, the step to the next pixel; each as
            x, y. An array (views, 6) is taken.
        detector: Number of detector pixels.
        pixel_size: Size of a pixel of the image in mm, one number or (dy, dx).
        beam: "fan" or "parallel".

    Raises:
        GeometryError: Vectors that are not (views, 6), a source inside the image, a ray without a
            direction, or a size that is not positive.
        DataError: A number is not finite.
    """

    shape: tuple[int, int]
    vectors: tuple[tuple[float, ...], ...]
    detector: int
    pixel_size: float | tuple[float, float] = 1.0
    beam: Literal["fan", "parallel"] = "fan"

    def _validate(self) -> None:
        store(self, "vectors", lambda rows: vector_rows(rows, 6))
        store(self, "detector", count)
        if self.beam not in {"fan", "parallel"} or self.detector < 1:
            raise GeometryError(
                describe(
                    expected="at least one detector pixel, and a beam 'fan' or 'parallel'",
                    found=f"detector = {self.detector}, beam = {self.beam!r}",
                    fix="give the number of detector pixels and one of the two",
                )
            )
        rays = self.rays()
        edge = np.array(self.shape[::-1]) * self.pixel[::-1] / 2
        inside = (np.abs(rays.vectors[:, :2]) < edge).all(axis=1)
        if rays.fan and inside.any():
            view = int(np.flatnonzero(inside)[0])
            raise GeometryError(
                describe(
                    expected=f"sources outside the image, |x, y| up to {edge.tolist()} mm",
                    found=f"{self.vectors[view][:2]} in view {view}",
                    fix="give positions in mm from the centre of the image, x first",
                )
            )

    @property
    def data_shape(self) -> tuple[int, int]:
        return len(self.vectors), self.detector

    @property
    def seen(self) -> float:
        """1, because a single view of a general scan may see any part of the image."""
        return 1.0

    def subset(self, rows: Rows) -> RayVectors2D:
        chosen = row_indices(rows, len(self.vectors))
        return replace(self, vectors=tuple(self.vectors[row] for row in chosen))

    def rays(self) -> RayGeometry2D:
        return RayGeometry2D(
            vectors=np.array(self.vectors),
            fan=self.beam == "fan",
            detectors=self.detector,
            shape=self.shape,
            pixel=self.pixel,
        )
