"""A training step of learned primal-dual with freed memory kept, and with glibc's own policy.

    python -m benchmarks.allocation

Fresh processes in turns, three of each. Writes benchmarks/results/allocation.json.
"""

from __future__ import annotations

import resource
import time
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

import typer

from benchmarks.harness import memory
from benchmarks.harness.cases import LARGE, LODOPAB
from benchmarks.harness.child import alone
from benchmarks.harness.run import Benchmark, Settings
from benchmarks.harness.tables import Cell, Table, bound, seconds, table
from benchmarks.harness.timing import running
from benchmarks.lpd_step import VARIANTS, Ours, training_step
from learnedrecon.allocation import kept_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

SCANS = {"362": LODOPAB, "512": LARGE}
WORK = {"362": "362², 1000 × 513, batch 1", "512": "512², 720 × 736, batch 1"}
TARGETS = {"362": 1.6, "512": 2.0}
POLICIES = {"kept": "keep", "given back": "default"}


@kept_memory()
def steps(scan: str, threads: int, number: int) -> dict[str, Any]:
    """Costs of training steps after a first one, and the last loss.

    Args:
        scan: Name in SCANS.
        threads: Number of threads.
        number: Number of steps that count.
    """
    running(threads)()
    step = training_step(Ours(SCANS[scan]), 1, VARIANTS["as it is"])
    step()
    costs, loss = [], 0.0
    for _ in range(number):
        before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        loss = step()
        whole, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
        system = (after.ru_stime - before.ru_stime) / threads
        faults = after.ru_minflt - before.ru_minflt
        costs.append({"seconds": whole, "system": system / whole, "faults": faults})
    return {"costs": costs, "loss": loss, "peak": memory.peak()}


def measured(scan: str, settings: Settings) -> dict[str, Any]:
    """Both policies in turns."""
    arguments = {"scan": scan, "threads": settings.threads, "number": 2}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in POLICIES}
    for _ in range(1 if settings.quick else 3):
        for name, value in POLICIES.items():
            environment = {"LEARNEDRECON_MALLOC": value}
            one = alone("benchmarks.allocation:steps", arguments, environment=environment)
            if "failed" in one:
                return {"work": WORK[scan], "failed": one["failed"]}
            found[name].append(one)
    rows = {name: _summary(runs) for name, runs in found.items()}
    ratio = rows["given back"]["seconds"] / rows["kept"]["seconds"]
    return {
        "work": WORK[scan],
        "policies": rows,
        "same_loss": len({one["loss"] for runs in found.values() for one in runs}) == 1,
        "ratio": ratio,
        "target": TARGETS[scan],
        "met": ratio >= TARGETS[scan],
    }


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    costs = [cost for one in runs for cost in one["costs"]]
    middle = {
        name: median(cost[name] for cost in costs) for name in ("seconds", "system", "faults")
    }
    return {**middle, "peak": max(one["peak"] for one in runs), "runs": runs}


def tables(content: dict[str, Any]) -> list[Table]:
    """One row for every scan and policy."""
    rows = []
    for found in content["scans"].values():
        if "failed" in found:
            rows.append({"work": found["work"], "policy": found["failed"]})
            continue
        for name, one in found["policies"].items():
            reached = found if name == "kept" else {}
            rows.append({**one, **reached, "work": found["work"], "policy": name})
    columns: dict[str, Cell] = {
        "training step": "work",
        "freed memory": "policy",
        "time": lambda row: seconds(row["seconds"]) if "seconds" in row else None,
        "of it in the system": lambda row: f"{row['system']:.1%}" if "system" in row else None,
        "pages fetched": lambda row: f"{row['faults']:.0f}" if "faults" in row else None,
        "peak": lambda row: f"{row['peak'] / 2**30:.2f} GiB" if "peak" in row else None,
        "times faster": "ratio",
        "target": bound,
        "met": "met",
        "same loss": "same_loss",
    }
    return [table(rows, columns)]


def collect(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the JSON has of the scans."""
    return {"scans": dict(found)}


PARTS = {scan: partial(measured, scan) for scan in SCANS}
BENCHMARK = Benchmark("allocation", PARTS, tables, collect, peers=())

if __name__ == "__main__":
    typer.run(BENCHMARK.main)
