"""Writes the tables of the pages below from benchmarks/results/, between their markers.

    python benchmarks/report.py
    python benchmarks/report.py --check      # fails if a page is not what it would write

A table named NAME stands between `<!-- begin NAME -->` and `<!-- end NAME -->` and is never typed
by hand. A result that is not there is said with the command that measures it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from learnedrecon.files import write_text
from measuring.markdown import (
    lines_of_scaling,
    machine,
    rows_of_parts,
    step_shares,
    step_variants,
    steps,
)
from measuring.markdown_convergence import gradients_table, solvers_table
from measuring.markdown_memory import depths, largest, machine_of, overhead
from measuring.markdown_trainings import (
    CERTIFIED,
    GREEDY,
    INVERTIBLE,
    LONGER,
    SUBSETS,
    certificates,
    iterations,
    machines,
    scores,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "docs" / "ray-transform.md", ROOT / "docs" / "depth.md")
RESULTS = Path(__file__).parent / "results"
MARKED = re.compile(r"(<!-- begin (?P<name>[\w-]+) -->\n).*?(<!-- end (?P=name) -->)", re.DOTALL)

RAY, SCALING, STEP, MEMORY = "ray_transform", "scaling", "training_step", "memory"
TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "machine": (RAY, machine),
    "parallel": (RAY, rows_of_parts("parallel")),
    "small": (RAY, rows_of_parts("small")),
    "fan": (RAY, rows_of_parts("fan")),
    "matrix": (RAY, rows_of_parts("matrix")),
    "deepinv": (RAY, rows_of_parts("deepinv")),
    "cone": (RAY, rows_of_parts("cone")),
    "agreement": (RAY, rows_of_parts("agreement")),
    "sweep": (RAY, rows_of_parts("sweep")),
    "scaling-machine": (SCALING, machine),
    "scaling": (SCALING, lines_of_scaling),
    "step-machine": (STEP, machine),
    "step": (STEP, steps),
    "step-variants": (STEP, step_variants),
    "step-shares": (STEP, step_shares),
    "memory-depth-machine": (MEMORY, machine_of("depth")),
    "memory-depth": (MEMORY, depths),
    "memory-largest-machine": (MEMORY, machine_of("largest")),
    "memory-largest": (MEMORY, largest),
    "memory-time-machine": (MEMORY, machine_of("time")),
    "memory-time": (MEMORY, overhead),
    "solvers-machine": ("convergence-solvers", machine),
    "solvers": ("convergence-solvers", solvers_table),
    "gradients-machine": ("convergence-gradients", machine),
    "gradients": ("convergence-gradients", gradients_table),
}

JOINT: dict[str, Callable[[Path], str]] = {
    "iterations-machine": machines(LONGER),
    "iterations": iterations,
    "certified-machine": machines([name for name in CERTIFIED if name not in LONGER]),
    "certified": certificates,
    "invertible-machine": machines(INVERTIBLE),
    "invertible": scores(INVERTIBLE),
    "greedy-machine": machines(GREEDY),
    "greedy": scores(GREEDY),
    "subsets-machine": machines(SUBSETS),
    "subsets": scores(SUBSETS),
}
"""Tables of several results."""


def filled(page: str) -> str:
    """The page with every marked part written anew.

    Raises:
        KeyError: a marker names no table.
    """

    def write(match: re.Match[str]) -> str:
        if match["name"] in JOINT:
            return f"{match[1]}{JOINT[match['name']](RESULTS)}{match[3]}"
        result, render = TABLES[match["name"]]
        path = RESULTS / f"{result}.json"
        if not path.exists():
            script, _, part = result.partition("-")
            only = f" --only {part}" if part else ""
            text = f"Not measured yet: `python benchmarks/{script}.py{only}`.\n"
        else:
            text = render(json.loads(path.read_text(encoding="utf-8")))
        return f"{match[1]}{text}{match[3]}"

    return MARKED.sub(write, page)


def main(
    *, check: Annotated[bool, typer.Option(help="Change nothing; fail if it would.")] = False
) -> None:
    """Fills the pages."""
    for path in PAGES:
        page = path.read_text(encoding="utf-8")
        new = filled(page)
        if check and new != page:
            raise SystemExit(f"{path.name} is not what benchmarks/report.py writes; run it")
        if not check:
            write_text(path, new)


if __name__ == "__main__":
    typer.run(main)
