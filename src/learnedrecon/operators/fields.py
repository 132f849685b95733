"""What geometries ask of their fields: plain numbers, in millimetres and radians."""

from __future__ import annotations

import math
from operator import index
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar

import numpy as np

from learnedrecon.errors import GeometryError, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_RADIANS = 8 * math.pi

MOST_ALONG = 2**26
"""Pixels, angles or coils along one axis."""
MOST_ENTRIES = 2**36
"""Of one image or datum: 256 GiB in single precision, a volume of 4096³."""
MOST_ANGLES = 2**22

T = TypeVar("T")


def positive(*values: float) -> bool:
    """Whether every value is positive and finite."""
    return all(value > 0 and math.isfinite(value) for value in values)


def store(spec: object, name: str, convert: Callable[[Any], T]) -> T:
    """Replaces a field of a frozen dataclass by plain numbers, so that it hashes and is stored.

    Returns:
        What it holds now.
    """
    converted = convert(vars(spec)[name])
    object.__setattr__(spec, name, converted)
    return converted


def count(value: SupportsIndex) -> int:
    """A whole number of pixels or angles.

    Raises:
        GeometryError: anything else, or more than :data:`MOST_ALONG`.
    """
    try:
        found = index(value)
    except TypeError as error:
        raise GeometryError(
            describe(
                expected="a whole number of pixels or angles",
                found=repr(value),
                fix="give a count",
            )
        ) from error
    require_room((found,), "a single axis", MOST_ALONG)
    return found


def require_room(sizes: Sequence[int], what: str, most: int | None = None) -> None:
    """Refuses sizes that no memory holds, before any is taken.

    Args:
        sizes: of the axes.
        what: they are the sizes of, for the message.
        most: entries; :data:`MOST_ENTRIES` unless given.

    Raises:
        GeometryError: more entries, with the bytes that these would take.
    """
    most = MOST_ENTRIES if most is None else most
    entries = math.prod(sizes)
    if entries > most and min(sizes) > 0:
        shown = " x ".join(f"{size:.6g}" if size > 10**9 else str(size) for size in sizes)
        raise GeometryError(
            describe(
                expected=f"{what} of at most {most} entries, {_bytes(most)}",
                found=f"{shown}, which take {_bytes(entries)} in single precision",
                fix="look for a wrong unit or a zero too many; split what really is so large",
            )
        )


def _bytes(entries: int) -> str:
    return f"{4 * entries / 2**30:.3g} GiB"


def number(value: float) -> float:
    """A length or an angle as a plain number.

    Raises:
        GeometryError: anything else, such as a text.
    """
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise GeometryError(
            describe(
                expected="a number, in mm or in radians",
                found=f"{value!r:.80} of type {type(value).__name__}",
                fix="give one real number",
            )
        ) from error


def image_shape(shape: Sequence[SupportsIndex]) -> tuple[int, ...]:
    """The counts of a shape.

    Raises:
        GeometryError: not a sequence of whole numbers, or sizes that no memory holds.
    """
    sizes = tuple(map(count, _items(shape, "an image shape (ny, nx)", "for example (128, 128)")))
    require_room(sizes, "an image")
    return sizes


def angle_list(angles: Sequence[float]) -> tuple[float, ...]:
    """Angles in radians as plain numbers.

    Raises:
        GeometryError: not a sequence.
    """
    many = angles if isinstance(angles, int) else 30
    fix = f"for equally spaced angles over half a turn give AngleRange({many})"
    return tuple(map(number, _items(angles, "a list of angles in radians or an AngleRange", fix)))


def length_or_lengths(size: float | Sequence[float]) -> float | tuple[float, ...]:
    """One length, or one for each axis.

    Raises:
        GeometryError: something that is not a number.
    """
    given = np.asarray(size, dtype=object)
    sizes = tuple(map(number, given.reshape(-1).tolist()))
    return sizes if given.ndim else sizes[0]


def require_kind(value: object, kind: type, call: str) -> None:
    """Refuses a ``value`` that is not a ``kind``; ``call`` is the right one.

    Raises:
        GeometryError: another type.
    """
    if not isinstance(value, kind):
        raise GeometryError(
            describe(
                expected=f"a {kind.__name__}",
                found=f"{value!r:.80} of type {type(value).__name__}",
                fix=f"write {call}",
            )
        )


def require_radians(*angles: float) -> None:
    """Refuses angles that go beyond four turns, which are degrees far more often than radians.

    Raises:
        GeometryError: an angle, or the spread of all, is beyond 8π.
    """
    lowest, highest = min(angles), max(angles)
    if max(-lowest, highest, highest - lowest) > MOST_RADIANS:
        raise GeometryError(
            describe(
                expected="angles in radians, within four turns (8π = 25.13)",
                found=f"angles from {lowest:.6g} to {highest:.6g}",
                fix="convert degrees by math.radians, 180 degrees are arc: 3.14159; take the angles"
                " of a scan of more turns modulo 2π, which changes no ray",
            )
        )


def _items(values: Sequence[T], expected: str, fix: str) -> Sequence[T]:
    try:
        iter(values)
    except TypeError as error:
        found = f"{values!r:.80} of type {type(values).__name__}"
        raise GeometryError(describe(expected=expected, found=found, fix=fix)) from error
    return values
