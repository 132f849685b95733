"""Errors that say what was expected, what came, and what to do."""

from __future__ import annotations

import reprlib
from typing import Final

_LONGEST_VALUE: Final = 80
_LONGEST_PART: Final = 2000


class LearnedReconError(Exception):
    """The base of every error that this package raises on purpose."""


class ShapeError(LearnedReconError, ValueError):
    """A tensor or array has the wrong shape."""


class DtypeError(LearnedReconError, TypeError):
    """A tensor or array has the wrong type of number."""


class DataError(LearnedReconError, ValueError):
    """The numbers themselves are wrong: NaN, a negative count, an empty image."""


class FileFormatError(LearnedReconError, ValueError):
    """A file is missing, truncated, corrupt, or not what its name says."""


class GeometryError(LearnedReconError, ValueError):
    """A scan geometry makes no sense, or does not fit the data."""


class ConfigError(LearnedReconError, ValueError):
    """A configuration has an unknown key or a value out of range."""


class DifferentiationError(LearnedReconError, RuntimeError):
    """A way of differentiating cannot be applied to this step, or found unequal gradients."""


class PropertyError(LearnedReconError, AssertionError):
    """A mathematical property that was checked does not hold."""


class MissingExtraError(LearnedReconError, ImportError):
    """An optional package is needed and not installed."""


def describe(*, expected: str, found: str, fix: str) -> str:
    """Puts the three parts of a message into one text; a part of thousands of characters is cut.

    >>> describe(expected="2 axes", found="3 axes", fix="drop the last")
    'Expected 2 axes. Found 3 axes. What to do: drop the last.'
    """
    expected, found, fix = (_cut(part, _LONGEST_PART) for part in (expected, found, fix))
    return f"Expected {expected}. Found {found}. What to do: {fix}."


def shown(value: object) -> str:
    """A value as a message shows it: what ``repr`` says, cut to some 80 characters.

    Values of any size and depth take little time and memory.

    >>> shown("four"), shown([1.0, None])
    ("'four'", '[1.0, None]')
    """
    short = reprlib.Repr()
    short.maxlevel = 4
    short.maxlist = short.maxtuple = short.maxset = short.maxdict = 12
    short.maxstring = short.maxlong = short.maxother = _LONGEST_VALUE
    try:
        return _cut(short.repr(value), _LONGEST_VALUE)
    except ValueError:  # Python refuses to print integers of more than some thousands of digits
        return f"{type(value).__name__} with an integer of thousands of digits"


def _cut(text: str, length: int) -> str:
    """The text, or its beginning and its end around an ellipsis; in characters of UTF-8."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")  # names of files need not be
    if len(text) <= length:
        return text
    tail = length // 3
    return f"{text[: length - tail - 3]}...{text[-tail:]}"
