"""What every part of the benchmark of operators is told, and how it compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from measuring.row import Row
from measuring.timing import QUICK, Budget

if TYPE_CHECKING:
    from measuring.timing import Timing


@dataclass(frozen=True)
class Settings:
    """How long, and on how many threads.

    Attributes:
        threads: of torch.
        budget: of every group of contestants.
    """

    threads: int
    budget: Budget

    @staticmethod
    def of(threads: int, *, quick: bool) -> Settings:
        """The settings of a run."""
        return Settings(threads, QUICK if quick else Budget())


def compared(
    part: str,
    work: str,
    call: str,
    *,
    times: tuple[Timing, Timing],
    peer: str,
    target: float | None,
    at_most: bool = False,
) -> Row:
    """A row of two times.

    Args:
        part: see :class:`Row`.
        work: see :class:`Row`.
        call: see :class:`Row`.
        times: ours and theirs.
        peer: see :class:`Row`.
        target: we are at least so many times faster than the peer; with ``at_most``, we take at
            most so many times as long as the peer, which then is a limit.
        at_most: see ``target``.
    """
    ours, theirs = (timing.median for timing in times)
    return Row(
        part,
        work,
        call,
        ours=1e3 * ours,
        theirs=1e3 * theirs,
        unit="ms",
        peer=peer,
        value=ours / theirs if at_most else theirs / ours,
        target=target,
        at_most=at_most,
        details={"ours": times[0].to_plain(), "theirs": times[1].to_plain()},
    )


def missing(part: str, work: str, call: str, *, peer: str, target: float | None) -> Row:
    """A row of a peer that is not there."""
    return Row(part, work, call, None, None, "ms", f"{peer} (missing)", None, target)
