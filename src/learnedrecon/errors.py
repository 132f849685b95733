"""Errors that say what was expected, what came, and what to do."""

from __future__ import annotations


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
    """Puts the three parts of a message into one text.

    >>> describe(expected="2 axes", found="3 axes", fix="drop the last")
    'Expected 2 axes. Found 3 axes. What to do: drop the last.'
    """
    return f"Expected {expected}. Found {found}. What to do: {fix}."
