"""Checks of the fields of three-dimensional geometries."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.fields import count, positive, require_radians, require_room

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


def volume_shape(shape: Sequence[SupportsIndex]) -> tuple[int, ...]:
    """The shape of a volume as three ints (nz, ny, nx).

    Args:
        shape: Sizes of the axes.

    Raises:
        GeometryError: The shape is not three whole numbers of at least 1.
    """
    sizes = tuple(map(count, shape)) if np.iterable(shape) else ()
    if len(sizes) != 3 or min(sizes) < 1:
        raise GeometryError(
            describe(
                expected="a volume shape (nz, ny, nx) of three counts of at least 1",
                found=f"{shape!r:.80}",
                fix="give for example (64, 128, 128); slices come first",
            )
        )
    require_room(sizes, "a volume")
    return sizes


def require_lengths(sizes: tuple[float, ...], number: int, names: str) -> None:
    """Check for a given number of positive lengths.

    Args:
        sizes: Lengths in mm.
        number: Required number of lengths.
        names: Names of the lengths, for the message.

    Raises:
        GeometryError: Another number of them, or one that is not positive and finite.
    """
    if len(sizes) != number or not positive(*sizes):
        raise GeometryError(
            describe(
                expected=f"{names} > 0 mm",
                found=f"{sizes}",
                fix=f"give one length in mm, or {number}",
            )
        )


def require_angles(angles: Sequence[float]) -> None:
    """Check for a list of angles that is not empty, finite, and in radians.

    Args:
        angles: Angles in radians.

    Raises:
        GeometryError: The list is empty, not finite, or in degrees.
    """
    if not angles or not all(map(math.isfinite, angles)):
        raise GeometryError(
            describe(
                expected="at least one angle, all finite, in radians",
                found=f"{len(angles)} angles: {list(angles)[:4]}",
                fix="set 'angles' to a list of radians, or to an AngleRange",
            )
        )
    require_radians(*angles)


def require_slope(tilt: float) -> None:
    """Check for a tilt of less than π/2, at which rays run along the rotation axis.

    Args:
        tilt: Tilt in radians.

    Raises:
        GeometryError: The tilt is π/2 or more.
    """
    if not abs(tilt) < math.pi / 2:
        raise GeometryError(
            describe(
                expected="a tilt between -π/2 and π/2 radians",
                found=f"tilt = {tilt}",
                fix="give the angle between the central ray and the plane across the rotation"
                " axis, converted by math.radians",
            )
        )


_POSES = {
    6: ("six", "source or direction, p0 and step per pixel, each x, y"),
    12: ("twelve", "source or direction, p0, step per column and step per row, each x, y, z"),
}


def vector_rows(vectors: ArrayLike, numbers: int = 12) -> tuple[tuple[float, ...], ...]:
    """Pose vectors as plain numbers.

    Args:
        vectors: Table of numbers, one row per view.
        numbers: Columns of the table, 6 for a scan in a plane and 12 in space.

    Raises:
        GeometryError: The vectors are not a table of numbers.
    """
    word, fix = _POSES[numbers]
    try:
        table = np.asarray(vectors, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise GeometryError(
            describe(
                expected=f"a table of {word} numbers for each view",
                found=f"{vectors!r:.80} of type {type(vectors).__name__}",
                fix=f"give {fix}",
            )
        ) from error
    if table.ndim != 2 or table.shape[1] != numbers or not len(table):
        raise GeometryError(
            describe(
                expected=f"vectors of shape (views, {numbers}), of at least one view",
                found=f"{table.shape}",
                fix=f"give {fix}",
            )
        )
    return tuple(map(tuple, table.tolist()))


def each_of(size: float | tuple[float, ...], number: int) -> tuple[float, ...]:
    """One length per axis, where a single number stands for all.

    Args:
        size: One length, or one per axis.
        number: Number of axes.
    """
    return size if isinstance(size, tuple) else (float(size),) * number
