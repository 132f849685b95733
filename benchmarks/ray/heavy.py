"""Against peers in processes of their own, as they take gigabytes: deepinv and a stored matrix.

deepinv's `Tomography` is measured with every combination of its options that bear on speed.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.against import stored_matrix
from benchmarks.against.deepinv_tomography import ALL_OPTIONS, NAME, Options, installed
from benchmarks.harness.cases import LODOPAB, describe_scan, threads_text, updates
from benchmarks.harness.child import alone
from benchmarks.harness.row import Row, absent, timed
from benchmarks.harness.timing import Budget, Timing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.harness.run import Settings

FORWARD, ADJOINT, SMALLER = 50.0, 100.0, 20.0
MATRIX_FASTER, MATRIX_SMALLER = 5.0, 100.0
BUDGET = Budget(rounds=5, turn=0.1, seconds=10.0)


def deepinv_rows(settings: Settings) -> Iterator[Row]:
    """Time and memory against the options that are best for each."""
    geometry = settings.sized(LODOPAB)
    angles = len(geometry.angle_values)
    work = describe_scan(geometry)
    if not installed():
        yield absent("deepinv", work, "both", f"{NAME} (missing)", FORWARD)
        return
    timed = {options: _times(options, angles, settings) for options in ALL_OPTIONS}
    for options, found in timed.items():
        if "failed" in found:
            peer = f"{NAME}, {options} ({found['failed']})"
            yield absent("deepinv", work, "both", peer, None)
    good = {options: found for options, found in timed.items() if "failed" not in found}
    if good:
        yield from _fastest(work, good, settings, updates(geometry.rays()))
    yield from _memory(work, angles)


def _fastest(
    work: str, good: dict[Options, dict[str, Any]], settings: Settings, count: int
) -> Iterator[Row]:
    """The fastest forward, exact adjoint, and adjoint of any kind; the others in the details."""
    exact = {o: found for o, found in good.items() if o.adjoint_via_backprop}
    kinds = (
        ("forward", "forward", good, FORWARD),
        ("adjoint, exact", "adjoint", exact, ADJOINT),
        ("adjoint, fastest", "adjoint", good, ADJOINT),
    )
    for name, call, among, target in kinds:
        if not among:
            continue
        times = {options: pair(found[call]) for options, found in among.items()}
        best = min(times, key=lambda options: times[options][1].median)
        row = timed(
            "deepinv",
            f"{work}, batch 1, {threads_text(settings.threads)}",
            name,
            times=times[best],
            peer=f"{NAME}, {best}",
            target=target,
        ).updating(count)
        row.details["all_options_median_s"] = {str(o): times[o][1].median for o in times}
        yield row


def _memory(work: str, angles: int) -> Iterator[Row]:
    """Peak memory of operator and calls; against the thriftiest options, and the default ones."""
    ours = alone("benchmarks.ray.alone:our_memory", {"angles": angles})
    found = {
        o: alone("benchmarks.ray.alone:deepinv_memory", {"angles": angles, "options": asdict(o)})
        for o in ALL_OPTIONS
    }
    for options, result in found.items():
        if "failed" in result:
            peer = f"{NAME}, {options} ({result['failed']})"
            yield Row("deepinv", work, "memory, T and T*", None, None, "MB", peer, None, None)
    good = {options: result for options, result in found.items() if "failed" not in result}
    if not good:
        return
    best = min(good, key=lambda options: good[options]["calls_and_held"])
    default = Options(parallel_computation=True, adjoint_via_backprop=True)
    for options in {best: None, default: None}:
        if options in good:
            row = memory_row(
                "deepinv",
                work,
                ours=ours,
                theirs=good[options]["calls_and_held"],
                peer=f"{NAME}, {options}",
                target=SMALLER,
            )
            row.details["theirs"] = {str(o): result for o, result in good.items()}
            yield row


def _times(options: Options, angles: int, settings: Settings) -> dict[str, Any]:
    budget = settings.budget if settings.quick else BUDGET
    return alone(
        "benchmarks.ray.alone:deepinv_times",
        {
            "angles": angles,
            "options": asdict(options),
            "budget": asdict(budget),
            "threads": settings.threads,
        },
    )


def matrix_rows(settings: Settings) -> Iterator[Row]:
    """Time of T and T*, and memory."""
    geometry = settings.sized(LODOPAB)
    angles = len(geometry.angle_values)
    found = alone(
        "benchmarks.ray.alone:matrix_times",
        {"angles": angles, "budget": asdict(settings.budget), "threads": settings.threads},
    )
    work = f"{describe_scan(geometry)}, batch 1, {threads_text(settings.threads)}"
    if "failed" in found:
        peer = f"{stored_matrix.NAME} ({found['failed']})"
        yield absent("matrix", work, "both", peer, MATRIX_FASTER)
        return
    for call, difference in zip(("forward", "adjoint"), found["difference"], strict=True):
        row = timed(
            "matrix",
            work,
            call,
            times=pair(found[call]),
            peer=stored_matrix.NAME,
            target=MATRIX_FASTER,
        ).updating(updates(geometry.rays()))
        row.details["relative_difference"] = difference
        yield row
    yield memory_row(
        "matrix",
        describe_scan(geometry),
        ours=alone("benchmarks.ray.alone:our_memory", {"angles": angles}),
        theirs=found["bytes"],
        peer=f"{stored_matrix.NAME}, both matrices as stored",
        target=MATRIX_SMALLER,
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
        part, work, "memory, T and T*", ours=mine / 1e6, theirs=theirs / 1e6, unit="MB",
        peer=peer, value=theirs / max(mine, 1), target=target, details={"ours": ours}
    )  # fmt: skip
