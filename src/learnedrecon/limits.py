"""Upper bounds of sizes, checked before memory is allocated or time is spent.

Every number from a file, a configuration or an argument that determines memory or time is checked
here: in bytes by :func:`refuse_bytes`, as a count by :func:`refuse_count`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from learnedrecon.errors import ConfigError, describe, shown

if TYPE_CHECKING:
    from learnedrecon.errors import LearnedReconError

MAX_BYTES: Final = "LEARNEDRECON_MAX_BYTES"
"""Name of the variable of the environment that replaces the machine's memory as the bound."""

MOST_STEPS: Final = 10**9
"""Optimiser steps of a training: at 1 ms each they take 12 days."""

MOST_IMAGES: Final = 10**6
"""Images that one evaluation or validation reconstructs."""

MOST_SAMPLES: Final = 2**53
"""Samples of a dataset: the largest number that JSON carries exactly."""

MOST_DRAWS: Final = 10**6
"""Random integers that a batch brings."""

MOST_TENSORS: Final = 50_000
"""Weights of a model as tensors, of which an iteration has about a dozen."""

WORKER: Final = 1 << 28
"""Bytes that a process which loads samples takes at least."""

_LONGEST: Final = 997
"""Bits of an integer that a float can hold."""

_ADVICE: Final = "look for a zero too many or a wrong unit, or use a machine with more memory"


def byte_limit() -> int:
    """The largest allocation in bytes: LEARNEDRECON_MAX_BYTES, or else the machine's memory.

    Raises:
        ConfigError: LEARNEDRECON_MAX_BYTES is not a positive integer.
    """
    asked = os.environ.get(MAX_BYTES)
    if asked is None:
        return _memory()
    if not (asked.isascii() and asked.isdigit() and len(asked) < 20 and int(asked) > 0):
        raise ConfigError(
            describe(
                expected=f"a positive number of bytes in {MAX_BYTES}",
                found=f"'{asked}'",
                fix="correct or unset this environment variable",
            )
        )
    return int(asked)


def refuse_bytes(
    needed: int,
    what: str,
    *,
    of: str = "",
    most: int | None = None,
    kind: type[LearnedReconError] = ConfigError,
    fix: str = _ADVICE,
) -> None:
    """Check that an allocation does not exceed the available memory.

    Args:
        needed: Number of bytes to allocate, at least.
        what: Noun for the allocation in the message.
        of: Description of its size, such as "1000 x 1000", for the message.
        most: Largest number of bytes; :func:`byte_limit` unless given.
        kind: Class of the error.
        fix: Advice.

    Raises:
        LearnedReconError: The allocation is larger; the message has the number of bytes.
    """
    most = byte_limit() if most is None else most
    if needed > most:
        found = (
            f"{of}, which takes {in_bytes(needed)}"
            if of
            else f"{in_bytes(needed)}, which is too large"
        )
        raise kind(describe(expected=f"{what} of at most {in_bytes(most)}", found=found, fix=fix))


def refuse_count(
    number: int, most: int, what: str, *, kind: type[LearnedReconError] = ConfigError
) -> None:
    """Check of a number that determines time or memory.

    Args:
        number: Number to check.
        most: Largest accepted number.
        what: Noun for the counted things in the message.
        kind: Class of the error.

    Raises:
        LearnedReconError: The number is larger.
    """
    if number > most:
        raise kind(
            describe(
                expected=f"at most {most} {what}",
                found=shown(number),
                fix=f"correct the number of {what}, which takes memory or time for each",
            )
        )


def in_bytes(number: int) -> str:
    """A number of bytes as text, in the largest unit that it reaches.

    >>> in_bytes(360_000_000_000), in_bytes(12)
    ('335 GiB', '12 bytes')

    Args:
        number: Number of bytes.
    """
    if number.bit_length() > _LONGEST:
        return "more than 1e300 bytes"
    for exponent, unit in ((60, "EiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if number >> exponent:
            return f"{number / (1 << exponent):.3g} {unit}"
    return f"{number} bytes"


def in_counts(sizes: tuple[int, ...]) -> str:
    """Sizes of axes as text for a message.

    >>> in_counts((1000, 10**19))
    '1000 x 1e+19'

    Args:
        sizes: Sizes of the axes.
    """
    return " x ".join(map(_in_short, sizes))


def _in_short(size: int) -> str:
    if size.bit_length() > _LONGEST:
        return "more than 1e300"
    return f"{size:.6g}" if size > 10**9 else str(size)


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not every system says it
        return 1 << 36
