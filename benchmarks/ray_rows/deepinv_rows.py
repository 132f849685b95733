"""Against deepinv's `Tomography`, with every combination of its options that bear on speed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from against.deepinv_tomography import ALL_OPTIONS, NAME, Options, installed
from measuring.cases import LODOPAB, describe_scan, threads_text, updates
from measuring.child import alone
from measuring.row import Row, faster
from measuring.timing import Budget
from ray_rows.matrix import memory_row, pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ray_rows.settings import Settings

FORWARD, ADJOINT, SMALLER = 50.0, 100.0, 20.0
BUDGET = Budget(rounds=5, turn=0.1, seconds=10.0)


def deepinv_rows(settings: Settings) -> Iterator[Row]:
    """Time and memory against the options that are best for each."""
    geometry = settings.sized(LODOPAB)
    angles = len(geometry.angle_values)
    work = describe_scan(geometry)
    if not installed():
        yield Row("deepinv", work, "both", None, None, "ms", f"{NAME} (missing)", None, FORWARD)
        return
    timed = {options: _times(options, angles, settings) for options in ALL_OPTIONS}
    for options, found in timed.items():
        if "failed" in found:
            peer = f"{NAME}, {options} ({found['failed']})"
            yield Row("deepinv", work, "both", None, None, "ms", peer, None, None)
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
        row = faster(
            "deepinv",
            f"{work}, batch 1, {threads_text(settings.threads)}",
            name,
            times=times[best],
            peer=f"{NAME}, {best}",
            target=target,
            updates=count,
        )
        row.details["all_options_median_s"] = {str(o): times[o][1].median for o in times}
        yield row


def _memory(work: str, angles: int) -> Iterator[Row]:
    """Peak memory of operator and calls; against the thriftiest options, and the default ones."""
    ours = alone("ray_rows.alone:our_memory", {"angles": angles})
    found = {
        o: alone("ray_rows.alone:deepinv_memory", {"angles": angles, "options": asdict(o)})
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
        "ray_rows.alone:deepinv_times",
        {
            "angles": angles,
            "options": asdict(options),
            "budget": asdict(budget),
            "threads": settings.threads,
        },
    )
