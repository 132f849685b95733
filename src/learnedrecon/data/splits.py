"""Splits of samples into training, validation and test."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import TYPE_CHECKING, Final, get_args

from learnedrecon.data.seeds import Split
from learnedrecon.errors import ConfigError, DataError, describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from learnedrecon.data.layout import ArrayRef

FRACTIONS: Final = (0.8, 0.1, 0.1)
"""Of train, validation and test, unless others are asked for."""

NUMBERED: Final = r".*\D"
"""The group of numbered slices: the name without the number at its end."""

_SPLITS: Final[tuple[Split, ...]] = get_args(Split)


def split_ids(
    ids: Sequence[str],
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    groups: Mapping[str, str] | None = None,
) -> dict[Split, tuple[str, ...]]:
    """The split of samples by a hash of ``(seed, group)``.

    Each group is hashed to a number in [0, 1), and the fractions divide that interval: the split of
    a group does not depend on other groups, so that adding samples moves none from training to
    test. The parts have their fractions of the groups on average. There is one exception for few
    groups: a part that would be empty, although its fraction is not 0, takes a group from the part
    with most groups; where no part has two, train precedes validation and validation precedes test.

    Args:
        ids: Ids of the samples.
        fractions: Fractions for train, validation and test; their sum is 1.
        seed: Seed of the hash.
        groups: Group of each id; samples of one group share a split. With None, or for an id
            without an entry, each sample is its own group.

    Returns:
        Ids of each split in the given order; disjoint, and together all.
    """
    group = {name: (groups or {}).get(name, name) for name in ids}
    parts: list[list[str]] = [[], [], []]
    bounds = (fractions[0], fractions[0] + fractions[1])
    last = max(place for place in range(3) if fractions[place] > 0)
    for name in sorted(set(group.values()), key=lambda name: (_unit(seed, name), name)):
        place = sum(_unit(seed, name) >= bound for bound in bounds)
        parts[min(place, last)].append(name)
    for place, (part, fraction) in enumerate(zip(parts, fractions, strict=True)):
        largest = max(parts, key=len)
        givers = [largest] if len(largest) > 1 else [p for p in parts[place + 1 :] if p]
        if fraction > 0 and not part and givers:
            part.append(givers[-1].pop())
    chosen = [set(part) for part in parts]
    return {
        split: tuple(name for name in ids if group[name] in part)
        for split, part in zip(_SPLITS, chosen, strict=True)
    }


def compiled(pattern: str) -> re.Pattern[str]:
    """The compiled regular expression of a group.

    Args:
        pattern: Regular expression.

    Raises:
        ConfigError: The expression is not valid.
    """
    try:
        return re.compile(pattern)
    except (re.error, TypeError, OverflowError, RecursionError) as error:
        raise ConfigError(
            describe(
                expected="'group' to be a regular expression",
                found=f"{pattern!r}: {error}",
                fix=r"correct it, for example to '^patient\d+', or omit it",
            )
        ) from error


def groups_by_name(ids: Sequence[str], pattern: str) -> dict[str, str]:
    r"""The group of each sample: the first match of a regular expression in its id.

    The group is the part of the match in the first parentheses that took part in it, if there are
    any, otherwise the whole match: both ``^p\d+`` and ``^(p\d+)_slice`` put ``p07_slice012`` into
    ``p07``.

    Args:
        ids: Ids of the samples.
        pattern: Regular expression.

    Raises:
        ConfigError: The expression is not valid.
        DataError: An id has no match, or an empty one.
    """
    expression = compiled(pattern)
    found = {name: _matched(expression, name) or "" for name in ids}
    without = [name for name, group in found.items() if not group]
    if without:
        shown = ", ".join(f"'{name}'" for name in without[:5])
        raise DataError(
            describe(
                expected=f"a match of group = {pattern!r} in the name of every sample",
                found=f"none in {shown}" + (f" and {len(without) - 5} more" if without[5:] else ""),
                fix="change the regular expression, or rename these samples",
            )
        )
    return found


def groups_by_subject(truths: Mapping[str, ArrayRef]) -> dict[str, str]:
    """The patient or series of each sample that is a slice in DICOM and names it.

    It is the PatientID, or the SeriesInstanceUID where there is none.

    Args:
        truths: Locations of the true images by sample id.

    Raises:
        FileFormatError: A DICOM file cannot be read.
    """
    found = {name: truth.subject() for name, truth in truths.items()}
    return {name: subject for name, subject in found.items() if subject is not None}


def numbered_objects(ids: Sequence[str]) -> int:
    """The number of objects whose numbered slices the samples seem to be, or 0.

    Samples count as numbered slices if names are equal except for the number at their end, there
    are at least two different names, and at least half of the samples share theirs with others.

    Args:
        ids: Ids of the samples.
    """
    names = [match[0] for name in ids if (match := re.match(NUMBERED + r"(?=\d+$)", name))]
    counts = Counter(names)
    shared = sum(number for number in counts.values() if number > 1)
    return len(counts) if len(counts) > 1 and 2 * shared >= len(ids) else 0


def _matched(expression: re.Pattern[str], name: str) -> str | None:
    match = expression.search(name)
    if match is None:
        return None
    first = match[1] if expression.groups else None
    return match[0] if first is None else first


def _unit(seed: int, name: str) -> float:
    digest = hashlib.sha256(f"split/{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
