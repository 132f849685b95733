"""Against the stored matrix, in a process of its own: it takes gigabytes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from against.stored_matrix import NAME
from measuring.cases import LODOPAB, describe_scan, threads_text, updates
from measuring.child import alone
from measuring.row import Row, faster
from measuring.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ray_rows.settings import Settings

FASTER, SMALLER = 5.0, 100.0


def matrix_rows(settings: Settings) -> Iterator[Row]:
    """Time of T and T*, and memory."""
    geometry = settings.sized(LODOPAB)
    angles = len(geometry.angle_values)
    found = alone(
        "ray_rows.alone:matrix_times",
        {"angles": angles, "budget": asdict(settings.budget), "threads": settings.threads},
    )
    work = f"{describe_scan(geometry)}, batch 1, {threads_text(settings.threads)}"
    if "failed" in found:
        peer = f"{NAME} ({found['failed']})"
        yield Row("matrix", work, "both", None, None, "ms", peer, None, FASTER)
        return
    for call, difference in zip(("forward", "adjoint"), found["difference"], strict=True):
        row = faster(
            "matrix",
            work,
            call,
            times=pair(found[call]),
            peer=NAME,
            target=FASTER,
            updates=updates(geometry.rays()),
        )
        row.details["relative_difference"] = difference
        yield row
    yield memory_row(
        "matrix",
        describe_scan(geometry),
        ours=alone("ray_rows.alone:our_memory", {"angles": angles}),
        theirs=found["bytes"],
        peer=f"{NAME}, both matrices as stored",
        target=SMALLER,
    )


def pair(found: dict[str, list[float]]) -> tuple[Timing, Timing]:
    """Ours and theirs, from the samples of a child process."""
    return Timing(tuple(found["ours"])), Timing(tuple(found["theirs"]))


def memory_row(
    part: str, work: str, *, ours: dict[str, Any], theirs: float, peer: str, target: float
) -> Row:
    """How many times less memory than the peer's: what the operator holds, and its calls.

    Building either takes more for a while; that peak is in the details.
    """
    mine = ours["calls_and_held"]
    return Row(
        part,
        work,
        "memory, T and T*",
        ours=mine / 1e6,
        theirs=theirs / 1e6,
        unit="MB",
        peer=peer,
        value=theirs / max(mine, 1),
        target=target,
        details={"ours": ours},
    )
