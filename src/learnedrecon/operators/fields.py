"""Checks and conversions of the fields of geometries and other specs, in mm and radians."""

from __future__ import annotations

import math
from collections.abc import Mapping
from operator import index
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar

import numpy as np

from learnedrecon.errors import GeometryError, LearnedReconError, describe, placed
from learnedrecon.limits import in_counts, refuse_bytes

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
    """True where every value is positive and finite.

    Args:
        values: Numbers to check.
    """
    return all(value > 0 and math.isfinite(value) for value in values)


def store(spec: object, name: str, convert: Callable[[Any], T]) -> T:
    """Replacement of a field of a frozen dataclass by plain numbers, for hashing and saving.

    Args:
        spec: Frozen dataclass, changed in place.
        name: Name of the field.
        convert: Conversion of the field's value.

    Returns:
        Converted value.

    Raises:
        LearnedReconError: The conversion refuses the value; the message names the field.
    """
    try:
        converted = convert(vars(spec)[name])
    except LearnedReconError as error:
        raise placed(error, f"{type(spec).__name__}.{name}") from None
    object.__setattr__(spec, name, converted)
    return converted


def count(value: SupportsIndex) -> int:
    """A whole number of pixels or angles.

    Args:
        value: Number to convert.

    Raises:
        GeometryError: The value is not a whole number, or is larger than :data:`MOST_ALONG`.
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
    """Check that an array of these sizes fits into memory, before it is allocated.

    Args:
        sizes: Sizes of the axes.
        what: Noun for the array in the message.
        most: Largest number of entries; :data:`MOST_ENTRIES` unless given.

    Raises:
        GeometryError: The array has more entries; the message gives its size in bytes.
    """
    most = MOST_ENTRIES if most is None else most
    if min(sizes) > 0:
        refuse_bytes(
            4 * math.prod(sizes),
            f"{what} of at most {most} entries in single precision,",
            of=in_counts(tuple(sizes)),
            most=4 * most,
            kind=GeometryError,
            fix="look for a wrong unit or a zero too many; split what really is so large",
        )


def number(value: float) -> float:
    """A length or an angle as a plain float.

    Args:
        value: Number to convert.

    Raises:
        GeometryError: The value is not a real number, such as a text.
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
    """The shape of an image as a tuple of ints.

    Args:
        shape: Sizes of the axes.

    Raises:
        GeometryError: The shape is not a sequence of whole numbers, or too large for memory.
    """
    sizes = tuple(map(count, _items(shape, "an image shape (ny, nx)", "for example (128, 128)")))
    require_room(sizes, "an image")
    return sizes


def angle_list(angles: Sequence[float]) -> tuple[float, ...]:
    """Angles in radians as plain floats.

    Args:
        angles: Angles in radians.

    Raises:
        GeometryError: The angles are not a sequence of numbers.
    """
    many = angles if isinstance(angles, int) else 30
    fix = f"for equally spaced angles over half a turn give AngleRange({many})"
    return tuple(map(number, _items(angles, "a list of angles in radians or an AngleRange", fix)))


def length_or_lengths(size: float | Sequence[float]) -> float | tuple[float, ...]:
    """One length, or a tuple with one length per axis, as plain floats.

    Args:
        size: Length or lengths in mm.

    Raises:
        GeometryError: The value is not a number or a sequence of numbers.
    """
    given = np.asarray(size, dtype=object)
    sizes = tuple(map(number, given.reshape(-1).tolist()))
    return sizes if given.ndim else sizes[0]


def require_kind(value: object, kind: type, call: str) -> None:
    """Check of the type of a constructor argument.

    Args:
        value: Argument to check.
        kind: Required type.
        call: Example of the right call, for the message.

    Raises:
        GeometryError: The value has another type.
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
    """Check that angles are within four turns; larger ones are usually degrees.

    Args:
        angles: Angles in radians.

    Raises:
        GeometryError: An angle, or the spread of all, is beyond 8π.
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
        listed = not isinstance(values, Mapping | str) and iter(values) is not None
    except TypeError:
        listed = False
    if not listed:
        found = f"{values!r:.80} of type {type(values).__name__}"
        raise GeometryError(describe(expected=expected, found=found, fix=fix))
    return values
