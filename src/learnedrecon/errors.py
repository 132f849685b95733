"""Exceptions of the library, and messages of three parts: expected, found, what to do."""

from __future__ import annotations

import reprlib
from importlib import import_module
from typing import Any, Final, TypeAlias

Library: TypeAlias = Any  # an optional library, whose types are not there without it
_LONGEST_VALUE: Final = 80
_LONGEST_PART: Final = 2000


class LearnedReconError(Exception):
    """Base class of all errors that this package raises itself."""


class ShapeError(LearnedReconError, ValueError):
    """Error for a tensor or array of the wrong shape."""


class DtypeError(LearnedReconError, TypeError):
    """Error for a tensor or array of the wrong dtype."""


class DataError(LearnedReconError, ValueError):
    """Error for invalid values: NaN, a negative count, an empty image."""


class FileFormatError(LearnedReconError, ValueError):
    """Error for a file that is missing, truncated, corrupt, or of another format than named."""


class GeometryError(LearnedReconError, ValueError):
    """Error for a scan geometry that is invalid or does not fit the data."""


class ConfigError(LearnedReconError, ValueError):
    """Error for an unknown key of a configuration, or a value out of range."""


class DifferentiationError(LearnedReconError, RuntimeError):
    """Error for a step that cannot be differentiated in the chosen way, or unequal gradients."""


class PropertyError(LearnedReconError, AssertionError):
    """Error for a mathematical property that was checked and does not hold."""


class MissingExtraError(LearnedReconError, ImportError):
    """Error for an optional package that is needed and not installed."""


def load_extra(module: str, extra: str) -> Library:
    """Import of a module of an optional library.

    Args:
        module: Full name of the module.
        extra: Extra of this package that installs it.

    Raises:
        MissingExtraError: It cannot be imported.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            describe(
                expected=f"{module.partition('.')[0]} to be installed",
                found=str(error),
                fix=f"run: pip install 'learnedrecon[{extra}]'",
            )
        ) from error


def encodable(text: str) -> str:
    """A text that UTF-8 can encode, with escapes for the bytes of file names that are not UTF-8.

    Args:
        text: Text, such as a path.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def describe(*, expected: str, found: str, fix: str) -> str:
    """The message of an error from its three parts, each shortened to some thousand characters.

    >>> describe(expected="2 axes", found="3 axes", fix="drop the last")
    'Expected 2 axes. Found 3 axes. What to do: drop the last.'

    Args:
        expected: Noun phrase for what was required.
        found: Noun phrase for what was given.
        fix: Imperative phrase for what the user should do.
    """
    expected, found, fix = (_cut(part, _LONGEST_PART) for part in (expected, found, fix))
    return f"Expected {expected}. Found {found}. What to do: {fix}."


def require(
    holds: object, kind: type[LearnedReconError], *, expected: str, found: str, fix: str
) -> None:
    """Raises an error of three parts unless a condition holds.

    Args:
        holds: The condition.
        kind: Class of the error.
        expected: First part of the message.
        found: Second part.
        fix: Third part.
    """
    if not holds:
        raise kind(describe(expected=expected, found=found, fix=fix))


def shown(value: object) -> str:
    """A value as text for a message: its ``repr``, shortened to some 80 characters.

    Values of any size and depth take little time and memory.

    >>> shown("four"), shown([1.0, None])
    ("'four'", '[1.0, None]')

    Args:
        value: Value of any type.
    """
    short = reprlib.Repr()
    short.maxlevel = 4
    short.maxlist = short.maxtuple = short.maxset = short.maxdict = 12
    short.maxstring = short.maxlong = short.maxother = _LONGEST_VALUE
    try:
        return _cut(short.repr(value), _LONGEST_VALUE)
    except ValueError:  # Python refuses to print integers of more than some thousands of digits
        return f"{type(value).__name__} with an integer of thousands of digits"


def placed(error: LearnedReconError, place: str) -> LearnedReconError:
    """An error of the same class that names the argument or the key it is about.

    >>> str(placed(ConfigError("Expected a number. Found 'x'. What to do: give one."), "rate"))
    "In 'rate': Expected a number. Found 'x'. What to do: give one."

    Args:
        error: Error of the value alone.
        place: Name of the argument, or path of keys.
    """
    return type(error)(f"In '{place}': {error}")


def percent(share: float, digits: int = 2) -> str:
    """A share as percent for a message, never with a power of ten for a whole number.

    >>> percent(0.996), percent(1 / 3, 3), percent(0.0004)
    ('100 %', '33.3 %', '0.04 %')

    Args:
        share: Share, 1 for all.
        digits: Number of significant digits.
    """
    return f"{float(f'{100 * share:.{digits}g}'):g} %"


def _cut(text: str, length: int) -> str:
    """The text, or its beginning and its end around an ellipsis; in characters of UTF-8."""
    text = encodable(text)
    if len(text) <= length:
        return text
    tail = length // 3
    return f"{text[: length - tail - 3]}...{text[-tail:]}"
