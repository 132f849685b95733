"""One line of a table: what was measured, against what, and whether it reaches its target."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchmarks.harness.tables import Table, bound, shown, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.harness.timing import Timing


@dataclass(frozen=True)
class Row:
    """A comparison.

    Attributes:
        part: which part of the benchmark.
        work: geometry and conditions.
        call: forward, adjoint, ...
        ours: in ``unit``, None if it was not measured.
        theirs: in ``unit``, None if there is no peer or it is missing.
        unit: ms, MB, G/s, ...
        peer: the name of what ``theirs`` is, with '(missing)' or a reason if it is not there.
        value: what is held to the target: a ratio theirs/ours, or ``ours`` where there is no peer.
        target: that ``value`` must reach, or stay under.
        at_most: whether the target is an upper bound.
        details: anything else worth keeping.
    """

    part: str
    work: str
    call: str
    ours: float | None
    theirs: float | None
    unit: str
    peer: str
    value: float | None
    target: float | None
    at_most: bool = False
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without a value or a target."""
        if self.value is None or self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target

    def updating(self, updates: int) -> Row:
        """The row of a time, with the samples of rays that a call takes, and those per second."""
        assert self.ours is not None
        speed = {"updates": updates, "giga_updates_per_s": updates / self.ours / 1e6}
        return replace(self, details={**self.details, **speed})

    def to_plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**vars(self), "met": self.met}


def timed(
    part: str,
    work: str,
    call: str,
    *,
    times: tuple[Timing, Timing | None],
    peer: str,
    target: float | None,
    at_most: bool = False,
) -> Row:
    """A row of two times, ours and theirs.

    We are to be at least ``target`` times faster than the peer; with ``at_most``, we take at most
    so many times as long as the peer, which then is a limit.
    """
    ours, theirs = times
    details: dict[str, Any] = {"ours": ours.to_plain()}
    row = Row(part, work, call, 1e3 * ours.median, None, "ms", peer, None, target, at_most, details)
    if theirs is None:
        return row
    details["theirs"] = theirs.to_plain()
    ratio = theirs.median / ours.median
    return replace(row, theirs=1e3 * theirs.median, value=1 / ratio if at_most else ratio)


def absent(part: str, work: str, call: str, peer: str, target: float | None = None) -> Row:
    """A row of a peer that is not there, or that failed."""
    return Row(part, work, call, None, None, "ms", peer, None, target)


def table_of_rows(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Rows as JSON holds them."""

    def quantity(key: str, row: Mapping[str, Any]) -> str:
        return f"{shown(row[key])} {row['unit']}".strip() if row[key] is not None else ""

    def speed(row: Mapping[str, Any]) -> str:
        found = row["details"].get("giga_updates_per_s")
        return "" if found is None else f"{found:.2f}"

    return table(
        rows,
        {
            "work": "work",
            "call": "call",
            "ours": lambda row: quantity("ours", row),
            "G/s": speed,
            "peer": "peer",
            "theirs": lambda row: quantity("theirs", row),
            "reached": "value",
            "target": bound,
            "met": "met",
        },
    )
