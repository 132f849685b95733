"""One line of a table: what was measured, against what, and whether it reaches its target."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from measuring.timing import Timing


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

    def to_plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        plain = dict(vars(self))
        return {**plain, "met": self.met}


def faster(
    part: str,
    work: str,
    call: str,
    *,
    times: tuple[Timing, Timing | None],
    peer: str,
    target: float | None,
    updates: int,
) -> Row:
    """A row of two times.

    Args:
        part: see :class:`Row`.
        work: see :class:`Row`.
        call: see :class:`Row`.
        times: ours and theirs.
        peer: see :class:`Row`.
        target: at least so many times faster.
        updates: samples of rays that a call takes.
    """
    ours, theirs = times
    mine = ours.median
    other = None if theirs is None else theirs.median
    details = {
        "ours": ours.to_plain(),
        "updates": updates,
        "giga_updates_per_s": updates / mine / 1e9,
    }
    if theirs is not None:
        details["theirs"] = theirs.to_plain()
    return Row(
        part,
        work,
        call,
        ours=1e3 * mine,
        theirs=None if other is None else 1e3 * other,
        unit="ms",
        peer=peer,
        value=None if other is None else other / mine,
        target=target,
        details=details,
    )
