"""A whole training step of learned primal-dual, on our ray transform and on deepinv's.

    make peers
    .venv-peers/bin/python benchmarks/training_step.py            # about eight minutes
    .venv-peers/bin/python benchmarks/training_step.py --only 128

10 iterations, 32 channels, Adam; the same network with the same weights on both operators, at
128²/30 angles × 183 with batch 5 and at 362²/1000 angles × 513 with batch 1. Then what
channels-last, torch.compile and bfloat16 networks give, and where the time goes. Writes
benchmarks/results/training_step.json; --only and --quick write to runs/.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from against.deepinv_tomography import ALL_OPTIONS, NAME, Options, installed
from learnedrecon.files import write_text
from measuring.child import alone
from measuring.machine import busy, record
from measuring.timing import Budget, Timing
from training_steps.build import VARIANTS

RESULTS = Path(__file__).parent / "results" / "training_step.json"
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
        return alone("training_steps.alone:once_against_deepinv", arguments, gib=GIB)
    arguments["budget"] = asdict(QUICK if quick else BUDGETS[scan])
    return alone("training_steps.alone:against_deepinv", arguments, gib=GIB)


def _of_options(found: dict[str, Any]) -> dict[str, float]:
    ours, theirs = (Timing(tuple(found[who])).median for who in ("ours", "theirs"))
    return {"ours_s": ours, "theirs_s": theirs, "ratio": theirs / ours}


def tried(scan: str, threads: int, *, quick: bool = False) -> dict[str, Any]:
    """Seconds of our step in every variant, and the shares of some."""
    budget = QUICK if quick else BUDGETS[scan]
    names = list(VARIANTS)[:2] if quick else list(VARIANTS)
    arguments: dict[str, Any] = {"scan": scan, "names": names, "threads": threads}
    found = alone("training_steps.alone:variants", {**arguments, "budget": asdict(budget)}, gib=GIB)
    if "failed" in found:
        return found
    for one in found.values():
        if "samples" in one:
            one.update(Timing(tuple(one.pop("samples"))).to_plain())
    good = {name: one["median_s"] for name, one in found.items() if "median_s" in one}
    exact = {name: seconds for name, seconds in good.items() if not VARIANTS[name].bfloat16}
    arguments["names"] = list(dict.fromkeys(["as it is", min(exact, key=exact.__getitem__)]))
    return {"variants": found, "shares": alone("training_steps.alone:our_shares", arguments)}


def main(
    *,
    only: Annotated[list[str] | None, typer.Option(help="128 or 362.")] = None,
    quick: Annotated[bool, typer.Option(help="One round, few variants; 128² only.")] = False,
) -> None:
    """Measures, prints, writes."""
    console = Console(width=130)
    threads = torch.get_num_threads()
    if unknown := set(only or []) - set(WORK):
        raise typer.BadParameter(f"expected 128 or 362; found {sorted(unknown)}")
    content: dict[str, Any] = record("training_step.py")
    if warning := busy():
        console.print(warning, style="bold red")
    begun = time.perf_counter()
    content["scans"] = {}
    for scan in only or (["128"] if quick else list(WORK)):
        console.print(f"{WORK[scan]} ...", style="dim")
        content["scans"][scan] = {
            "work": WORK[scan],
            "deepinv": compare(scan, threads, quick=quick),
            "tried": tried(scan, threads, quick=quick),
        }
    content["seconds"] = time.perf_counter() - begun
    target = Path("runs") / RESULTS.name if only or quick else RESULTS
    write_text(target, json.dumps(content, indent=1) + "\n")
    for table in tables(content):
        console.print(table)
    for peer in content["missing_peers"]:
        console.print(f"missing: {peer} (make peers)", style="bold red")
    console.print(f"{target}, {content['seconds']:.0f} s")


def tables(content: dict[str, Any]) -> list[Table]:
    """The comparison, the variants, and the shares."""
    against = Table("training step", "ours", NAME, "ratio", "target", "met")
    variants = Table("training step", "variant", "seconds", "first step", "times faster")
    shares = Table("training step", "operator, variant", "T", "T*", "the rest", "all")
    for found in content["scans"].values():
        work, other = found["work"], found["deepinv"]
        if "failed" in other:
            against.add_row(work, "", other["failed"], "", "", "")
        else:
            times = [f"{other[who]['median_s']:.3g} s" for who in ("ours", "theirs")]
            met = "yes" if other["met"] else "no"
            for options, one in other["all_options"].items():
                if options != other["options"]:
                    pair = [f"{one[key]:.3g} s" for key in ("ours_s", "theirs_s")]
                    against.add_row(f"{work}; {options}", *pair, f"{one['ratio']:.3g}", "", "")
            work_and_options = f"{work}; {other['options']}"
            against.add_row(
                work_and_options, *times, f"{other['ratio']:.3g}", f"≥ {other['target']:g}", met
            )
            for who, one in other["shares"].items():
                shares.add_row(work, who, *_seconds(one))
        _add_variants(work, found["tried"], variants, shares)
    return [against, variants, shares]


def _add_variants(work: str, found: dict[str, Any], variants: Table, shares: Table) -> None:
    if "failed" in found:
        variants.add_row(work, found["failed"], "", "", "")
        return
    plain = found["variants"]["as it is"]["median_s"]
    for name, one in found["variants"].items():
        if "failed" in one:
            variants.add_row(work, name, one["failed"], "", "")
            continue
        seconds, first = one["median_s"], one["first_step_s"]
        variants.add_row(work, name, f"{seconds:.3g}", f"{first:.3g}", f"{plain / seconds:.2f}")
    for name, one in found["shares"].items():
        if name != "failed":
            shares.add_row(work, f"ours, {name}", *_seconds(one))


def _seconds(one: dict[str, Any]) -> list[str]:
    parts = [f"{one[key]:.3g} s ({one[key] / one['step']:.0%})" for key in ("T", "T*", "rest")]
    return [*parts, f"{one['step']:.3g} s"]


if __name__ == "__main__":
    typer.run(main)
