"""Memory of a training step against depth, for every way to differentiate, and what it costs.

    make peers
    .venv-peers/bin/python benchmarks/memory.py                # ten minutes on a quiet machine
    .venv-peers/bin/python benchmarks/memory.py --only time    # one part again; also depth, largest
    .venv-peers/bin/python benchmarks/memory.py --quick

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

from learnedrecon.files import write_text
from measuring.child import alone
from measuring.machine import busy, record
from measuring.markdown_memory import depths, largest, overhead
from memory_figure import draw
from memory_steps.build import CASES, every_of
from memory_steps.judge import growth, largest_depth, time_ratios

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent / "results" / "memory.json"
FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "memory.png"
DEPTHS = (5, 10, 20, 40, 80)
PROBES = (2, 4)
SETTLED = (6, 10)  # where Anderson's window is full and both halves have changed
LIMIT = 4 * 2**30
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
        "memory_steps.alone:one_step", arguments, gib=GIB, seconds=3600, environment=FRUGAL
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
    samples = alone("memory_steps.alone:in_turns", arguments, gib=GIB, seconds=3600)
    found = samples if "failed" in samples else time_ratios(samples)
    say(f"{found}")
    return {"work": "256², 180 × 363, batch 1, N = 10", **found}


PARTS = {"depth": by_depth, "largest": by_limit, "time": by_turns}


def main(
    *,
    only: Annotated[list[str] | None, typer.Option(help=", ".join(PARTS))] = None,
    quick: Annotated[bool, typer.Option(help="Two depths, one row of 512², one round.")] = False,
    case: Annotated[list[str] | None, typer.Option(help=f"Some of {', '.join(CASES)}.")] = None,
    confirm: Annotated[int, typer.Option(help="Run largest depths up to this one.")] = 40,
) -> None:
    """Measures, prints, writes after every part."""
    console = Console(width=150)
    if unknown := set(only or []) - set(PARTS):
        raise typer.BadParameter(f"expected some of {', '.join(PARTS)}; found {sorted(unknown)}")
    if unknown := set(case or []) - set(CASES):
        raise typer.BadParameter(f"expected some of {', '.join(CASES)}; found {sorted(unknown)}")
    if warning := busy():
        console.print(warning, style="bold red")
    target = Path("runs") / RESULTS.name if quick else RESULTS
    figure = Path("runs") / FIGURE.name if quick else FIGURE
    settings = Settings(quick, case or list(CASES), confirm)
    for name in only or list(PARTS):
        content = record("memory.py")
        begun = time.perf_counter()
        found = PARTS[name](console.print, settings)
        content["seconds"] = time.perf_counter() - begun
        known = json.loads(target.read_text(encoding="utf-8"))["parts"] if target.exists() else {}
        if case and "rows" in found and name in known:
            found["rows"] = {**known[name]["rows"], **found["rows"]}
            content["seconds"] += known[name]["seconds"]
        known[name] = {**content, **found}
        whole = {**content, "seconds": sum(p["seconds"] for p in known.values()), "parts": known}
        write_text(target, json.dumps(whole, indent=1) + "\n")
    read = json.loads(target.read_text(encoding="utf-8"))
    for render in (depths, largest, overhead):
        console.print(render(read), markup=False)
    if "depth" in read["parts"]:
        figure.parent.mkdir(parents=True, exist_ok=True)
        draw(read["parts"]["depth"], figure)


def _summary(found: dict[str, Any]) -> str:
    if "failed" in found:
        return found["failed"]
    held, peak = (found[key] / 2**20 for key in ("held_bytes", "step_bytes"))
    return f"{held:.4g} MiB held, {peak:.4g} MiB at the peak, {found['step_s']:.3g} s"


if __name__ == "__main__":
    typer.run(main)
