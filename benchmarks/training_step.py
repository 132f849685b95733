"""A whole training step of learned primal-dual, on our ray transform and on deepinv's.

    make peers
    .venv-peers/bin/python -m benchmarks.training_step            # about eight minutes
    .venv-peers/bin/python -m benchmarks.training_step --only 128

10 iterations, 32 channels, Adam; the same network with the same weights on both operators, at
128²/30 angles × 183 with batch 5 and at 362²/1000 angles × 513 with batch 1. Then what
channels-last, torch.compile and bfloat16 networks give, and where the time goes. Writes
benchmarks/results/training_step.json; --only and --quick write to runs/.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from benchmarks.against.deepinv_tomography import ALL_OPTIONS, NAME, Options, installed
from benchmarks.harness.child import alone
from benchmarks.harness.run import Benchmark, Settings
from benchmarks.harness.tables import Cell, Table, bound, seconds, table
from benchmarks.harness.timing import Budget, Timing
from benchmarks.lpd_step import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGETS = {"128": 2.0, "362": 10.0}
WORK = {"128": "128², 30 × 183, batch 5", "362": "362², 1000 × 513, batch 1"}
BUDGETS = {
    "128": Budget(rounds=5, turn=0.0, seconds=30.0),
    "362": Budget(rounds=3, turn=0.0, seconds=60.0),
}
FAST = "bfloat16 networks, channels-last"
QUICK = Budget(rounds=1, turn=0.0, seconds=0.0)
OPTIONS = {"128": ALL_OPTIONS, "362": (ALL_OPTIONS[0], ALL_OPTIONS[3])}
GIB = 22.0


def compare(scan: str, threads: int, *, quick: bool = False) -> dict[str, Any]:
    """The step on both operators; the fastest of deepinv's options counts.

    With these, both run once more with the fastest networks.
    """
    if not installed():
        return {"failed": f"{NAME} (missing)"}
    results: dict[str, Any] = {}
    for options in OPTIONS[scan][:1] if quick else OPTIONS[scan]:
        results[str(options)] = _against(scan, threads, options, "as it is", quick=quick)
    good = {name: found for name, found in results.items() if "failed" not in found}
    reasons = {name: found["failed"] for name, found in results.items() if "failed" in found}
    if not good:
        return {"failed": "; ".join(f"{name}: {why}" for name, why in reasons.items())}
    best = min(good, key=lambda name: Timing(tuple(good[name]["theirs"])).median)
    ours, theirs = (Timing(tuple(good[best][who])) for who in ("ours", "theirs"))
    ratio = theirs.median / ours.median
    (chosen,) = (options for options in OPTIONS[scan] if str(options) == best)
    fast = _against(scan, threads, chosen, FAST, quick=quick)
    (reasons if "failed" in fast else good)[f"{best}; {FAST}, both"] = fast
    return {
        "options": best,
        "ours": ours.to_plain(),
        "theirs": theirs.to_plain(),
        "ratio": ratio,
        "target": TARGETS[scan],
        "met": ratio >= TARGETS[scan],
        "shares": good[best]["shares"],
        "peak_bytes": good[best]["peak"],
        "all_options": {n: _of_options(f) for n, f in good.items()},
        "failed_options": {n: f if isinstance(f, str) else f["failed"] for n, f in reasons.items()},
    }


def _against(
    scan: str, threads: int, options: Options, variant: str, *, quick: bool
) -> dict[str, Any]:
    arguments = {"scan": scan, "threads": threads, "options": asdict(options), "variant": variant}
    if scan == "362":
        return alone("benchmarks.lpd_step:once_against_deepinv", arguments, gib=GIB)
    arguments["budget"] = asdict(QUICK if quick else BUDGETS[scan])
    return alone("benchmarks.lpd_step:against_deepinv", arguments, gib=GIB)


def _of_options(found: dict[str, Any]) -> dict[str, float]:
    ours, theirs = (Timing(tuple(found[who])).median for who in ("ours", "theirs"))
    return {"ours_s": ours, "theirs_s": theirs, "ratio": theirs / ours}


def tried(scan: str, threads: int, *, quick: bool = False) -> dict[str, Any]:
    """Seconds of our step in every variant, and the shares of some."""
    budget = QUICK if quick else BUDGETS[scan]
    names = list(VARIANTS)[:2] if quick else list(VARIANTS)
    arguments: dict[str, Any] = {"scan": scan, "names": names, "threads": threads}
    found = alone(
        "benchmarks.lpd_step:all_variants", {**arguments, "budget": asdict(budget)}, gib=GIB
    )
    if "failed" in found:
        return found
    for one in found.values():
        if "samples" in one:
            one.update(Timing(tuple(one.pop("samples"))).to_plain())
    good = {name: one["median_s"] for name, one in found.items() if "median_s" in one}
    exact = {name: seconds for name, seconds in good.items() if not VARIANTS[name].bfloat16}
    arguments["names"] = list(dict.fromkeys(["as it is", min(exact, key=exact.__getitem__)]))
    return {"variants": found, "shares": alone("benchmarks.lpd_step:our_shares", arguments)}


def against_deepinv(content: dict[str, Any]) -> Table:
    """Whole training steps on both operators; deepinv's fastest options first."""
    rows = []
    for found in content["scans"].values():
        other = found["deepinv"]
        if "failed" in other:
            rows.append({"work": found["work"], "theirs": other["failed"]})
            continue
        pair = {who: seconds(other[who]["median_s"]) for who in ("ours", "theirs")}
        rows.append({**other, "work": found["work"], **pair})
        for options, one in other["all_options"].items():
            if options != other["options"]:
                pair = {who: seconds(one[f"{who}_s"]) for who in ("ours", "theirs")}
                rows.append({"work": found["work"], "options": options, **pair, **one})
    columns: dict[str, Cell] = {"training step": "work", "ours": "ours", "deepinv": "theirs"}
    more: dict[str, Cell] = {
        "deepinv's options": "options",
        "reached": "ratio",
        "target": bound,
        "met": "met",
    }
    return table(rows, {**columns, **more})


def variants(content: dict[str, Any]) -> Table:
    """What was tried where convolutions dominate, and what it gave."""
    rows = []
    for found in content["scans"].values():
        tried = found["tried"]
        if "failed" in tried:
            rows.append((found["work"], tried["failed"], "", "", ""))
            continue
        plain = tried["variants"]["as it is"]["median_s"]
        for name, one in tried["variants"].items():
            cells = (
                ("", one["failed"], "")
                if "failed" in one
                else (
                    seconds(one["median_s"]),
                    f"{plain / one['median_s']:.2f}",
                    seconds(one["first_step_s"]),
                )
            )
            rows.append((found["work"], name, *cells))
    return Table(("training step", "networks", "time", "times faster", "first step"), tuple(rows))


def shares(content: dict[str, Any]) -> Table:
    """Where the time of a step goes."""
    rows = []
    for found in content["scans"].values():
        names = {"ours": "ours", "theirs": "deepinv"}
        parts = {names[who]: one for who, one in found["deepinv"].get("shares", {}).items()}
        own = found["tried"].get("shares", {}).items()
        parts |= {f"ours, {name}": one for name, one in own if name != "failed"}
        for name, one in parts.items():
            cells = [f"{seconds(one[k])} ({one[k] / one['step']:.0%})" for k in ("T", "T*", "rest")]
            rows.append((found["work"], name, *cells, seconds(one["step"])))
    heads = ("training step", "operator, networks", "T", "T*", "the rest", "all")
    return Table(heads, tuple(rows))


def tables(content: dict[str, Any]) -> list[Table]:
    """The comparison, the variants, and the shares."""
    return [against_deepinv(content), variants(content), shares(content)]


def measured(scan: str, settings: Settings) -> dict[str, Any]:
    """One scan."""
    threads, quick = settings.threads, settings.quick
    found = {"deepinv": compare(scan, threads, quick=quick)}
    return {"work": WORK[scan], **found, "tried": tried(scan, threads, quick=quick)}


def collect(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the JSON has of the scans."""
    return {"scans": dict(found)}


PARTS = {scan: partial(measured, scan) for scan in WORK}
BENCHMARK = Benchmark("training_step", PARTS, tables, collect)

if __name__ == "__main__":
    typer.run(BENCHMARK.main)
