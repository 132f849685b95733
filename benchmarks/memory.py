"""Memory of a training step against depth, for every way to differentiate, and what it costs.

    make peers
    .venv-peers/bin/python -m benchmarks.memory                # ten minutes on a quiet machine
    .venv-peers/bin/python -m benchmarks.memory --only time    # one part again; also depth, largest
    .venv-peers/bin/python -m benchmarks.memory --quick

Options beside --only: --case NAME measures these rows again and keeps the others, --confirm N.
Every step runs in a fresh process with one thread, after a step on a tiny image, and with a malloc
that gives back what is free. Writes benchmarks/results/memory.json, where --only replaces its
parts, and draws docs/figures/memory.png; --quick writes both to runs/.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from benchmarks.depth.figure import draw
from benchmarks.depth.judge import growth, largest_depth, time_ratios
from benchmarks.depth.schemes import CASES, every_of
from benchmarks.harness.child import alone
from benchmarks.harness.machine import busy, record
from benchmarks.harness.run import FIGURES, RESULTS, known
from benchmarks.harness.tables import Cell, Table, bound, table
from learnedrecon.files import write_text

if TYPE_CHECKING:
    from collections.abc import Callable

DEPTHS = (5, 10, 20, 40, 80)
PROBES = (2, 4)
SETTLED = (6, 10)  # where Anderson's window is full and both halves have changed
LIMIT, MIB = 4 * 2**30, 2**20
ROUNDS = 5
GIB = 12.0
# glibc then takes what is large from the system and gives it back, so that resident memory is
# what is in use.
FRUGAL = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "MALLOC_TOP_PAD_": "0",
    "OMP_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Settings:
    """What is left out.

    Attributes:
        quick: all that can be.
        cases: those that are measured.
        confirm: the largest depth at 512² that is run rather than extrapolated.
    """

    quick: bool
    cases: list[str]
    confirm: int


def step(case: str, depth: int, scan: str) -> dict[str, Any]:
    """One training step in a fresh process."""
    arguments = {"case": case, "depth": depth, "scan": scan}
    return alone(
        "benchmarks.depth.alone:one_step", arguments, gib=GIB, seconds=3600, environment=FRUGAL
    )


def by_depth(say: Callable[[str], None], settings: Settings) -> dict[str, Any]:
    """Every case at every depth, and whether it grows as it should."""
    rows: dict[str, Any] = {}
    chosen = DEPTHS[:2] if settings.quick else DEPTHS
    for name in settings.cases:
        case, steps = CASES[name], {}
        for depth in chosen:
            steps[depth] = step(name, depth, "256")
            say(f"{name}, N = {depth}: {_summary(steps[depth])}")
        every = {depth: every_of(name, depth) for depth in chosen}
        found = growth(case.growth, steps, every)
        rows[name] = {"scheme": case.scheme, "backward": case.backward, "steps": steps, **found}
    return {"work": "256², 180 × 363, batch 1", "rows": rows}


def by_limit(say: Callable[[str], None], settings: Settings) -> dict[str, Any]:
    """The largest depth whose process stays below the limit."""
    rows: dict[str, Any] = {}
    for name in settings.cases[:1] if settings.quick else settings.cases:
        case = CASES[name]
        probes = SETTLED if case.growth == "constant" else PROBES
        steps = {depth: step(name, depth, "512") for depth in probes}
        found = largest_depth(steps, LIMIT, partial(every_of, name))
        depth = found.get("depth")
        if depth is not None and depth <= settings.confirm and not settings.quick:
            found["at_depth"], found["beyond"] = (step(name, n, "512") for n in (depth, depth + 1))
        say(f"{name}: {found}")
        rows[name] = {"scheme": case.scheme, "backward": case.backward, "steps": steps, **found}
    return {"work": "512², 720 × 725, batch 1", "limit_bytes": LIMIT, "rows": rows}


def by_turns(say: Callable[[str], None], settings: Settings) -> dict[str, Any]:
    """What going back costs."""
    arguments = {"depth": 2 if settings.quick else 10, "rounds": 1 if settings.quick else ROUNDS}
    samples = alone("benchmarks.depth.alone:in_turns", arguments, gib=GIB, seconds=3600)
    found = samples if "failed" in samples else time_ratios(samples)
    say(f"{found}")
    return {"work": "256², 180 × 363, batch 1, N = 10", **found}


PARTS = {"depth": by_depth, "largest": by_limit, "time": by_turns}


def depths(part: dict[str, Any]) -> Table:
    """Memory of every case at every depth: held, and at the peak."""

    def at(depth: str) -> Cell:
        return lambda row: _pair(row["steps"][depth]) if depth in row["steps"] else ""

    def kept(row: dict[str, Any]) -> str:
        found = [one["kept_bytes"] for one in row["steps"].values() if "kept_bytes" in one]
        return f"{found[0] / MIB:.1f} → {found[-1] / MIB:.1f}" if found else ""

    depths_of = next(iter(part["rows"].values()))["steps"]
    columns: dict[str, Cell] = {
        "scheme": "scheme",
        "backward": "backward",
        **{f"N = {n}": at(n) for n in depths_of},
        "weights etc.": kept,
        "reached": _reached,
        "met": "met",
    }
    return table(part["rows"].values(), columns)


def largest(part: dict[str, Any]) -> Table:
    """The largest depth within the limit."""
    heads = ("scheme", "backward", "per step", "largest N", "how")
    rows = [
        (row["scheme"], row["backward"], *_largest(row, part["limit_bytes"]))
        for row in part["rows"].values()
    ]
    return Table(heads, tuple(rows))


def overhead(part: dict[str, Any]) -> Table:
    """Seconds of a training step, taken in turns."""
    rows = [
        {"name": name, "step": f"{median:.3g} s", **part["ratios"].get(name, {})}
        for name, median in part["median_s"].items()
    ]

    def ratio(row: dict[str, Any]) -> str:
        return f"{row['ratio']:.2f}" if "ratio" in row else ""

    columns: dict[str, Cell] = {"scheme, backward": "name", "step": "step", "over Backprop": ratio}
    return table(rows, {**columns, "target": lambda r: bound({**r, "at_most": True}), "met": "met"})


TABLES = {"depth": depths, "largest": largest, "time": overhead}


def main(
    *,
    only: Annotated[list[str] | None, typer.Option(help=", ".join(PARTS))] = None,
    quick: Annotated[bool, typer.Option(help="Two depths, one row of 512², one round.")] = False,
    case: Annotated[list[str] | None, typer.Option(help=f"Some of {', '.join(CASES)}.")] = None,
    confirm: Annotated[int, typer.Option(help="Run largest depths up to this one.")] = 40,
) -> None:
    """Measures, prints, writes after every part."""
    console = Console(width=170)
    if warning := busy():
        console.print(warning, style="bold red")
    target = (Path("runs") if quick else RESULTS) / "memory.json"
    figure = (Path("runs") if quick else FIGURES) / "memory.png"
    settings = Settings(quick, known(case, CASES), confirm)
    for name in known(only, PARTS):
        content = record("benchmarks.memory")
        begun = time.perf_counter()
        found = PARTS[name](console.print, settings)
        content["seconds"] = time.perf_counter() - begun
        parts = json.loads(target.read_text(encoding="utf-8"))["parts"] if target.exists() else {}
        if case and "rows" in found and name in parts:
            found["rows"] = {**parts[name]["rows"], **found["rows"]}
            content["seconds"] += parts[name]["seconds"]
        parts[name] = {**content, **found}
        whole = {**content, "seconds": sum(p["seconds"] for p in parts.values()), "parts": parts}
        write_text(target, json.dumps(whole, indent=1) + "\n")
    parts = json.loads(target.read_text(encoding="utf-8"))["parts"]
    console.print(*(TABLES[name](part).rich() for name, part in parts.items()))
    if "depth" in parts:
        draw(parts["depth"], figure)


def _summary(found: dict[str, Any]) -> str:
    if "failed" in found:
        return found["failed"]
    held, peak = (found[key] / 2**20 for key in ("held_bytes", "step_bytes"))
    return f"{held:.4g} MiB held, {peak:.4g} MiB at the peak, {found['step_s']:.3g} s"


def _pair(one: dict[str, Any]) -> str:
    if "failed" in one:
        return one["failed"]
    return " / ".join(_mib(one[key]) for key in ("held_bytes", "step_bytes"))


def _mib(size: float) -> str:
    found = size / MIB
    return f"{found:.0f}" if found >= 100 else f"{found:.3g}"


def _reached(row: dict[str, Any]) -> str:
    if "step_bytes" not in row:
        return ""
    held, peak = row["held_bytes"], row["step_bytes"]
    slopes = f"{held['line']['slope'] / MIB:.3g} / {peak['line']['slope'] / MIB:.3g} MiB per step"
    match row["target"]:
        case "constant":
            return f"{held['ratio']:.2f} / {peak['ratio']:.2f} times, to be ≤ 1.25"
        case "states":
            return f"held is the states to {row['worst_gap']:.0%}"
        case _:
            return f"{slopes}, R² {held['line']['r2']:.4f} / {peak['line']['r2']:.4f}"


def _largest(row: dict[str, Any], limit: int) -> tuple[str, str, str]:
    if "failed" in row:
        return "", "", row["failed"]
    if row["depth"] is None:
        grows = f"{row['bytes_per_step'] / MIB:.2g} MiB"
        weights = f"{row['kept_per_step'] / MIB:.2g} MiB of it weights, gradients and moments"
        return grows, "any", weights
    per_step = row.get("bytes_per_step")
    text = "" if per_step is None else f"{per_step / MIB:.3g} MiB"
    if "at_depth" not in row:
        return text, f"{row['depth']}", "extrapolated"
    there, beyond = row["at_depth"], row["beyond"]
    fits = "peak_bytes" in there and there["peak_bytes"] <= limit
    return (
        text,
        f"{row['depth']}",
        f"run: {_gib(there)}, with one more {_gib(beyond)}" + ("" if fits else " (does not fit)"),
    )


def _gib(one: dict[str, Any]) -> str:
    return one["failed"] if "failed" in one else f"{one['peak_bytes'] / 2**30:.2f} GiB"


if __name__ == "__main__":
    typer.run(main)
