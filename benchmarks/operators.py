"""Operators beyond tomography against their peers, all in one run.

    make peers
    .venv-peers/bin/python benchmarks/operators.py            # a minute or two
    .venv-peers/bin/python benchmarks/operators.py --only mri --quick

Prints a table of medians and ratios and writes benchmarks/results/operators.json with command,
seconds, machine, versions and commit; --only and --quick write to runs/ instead. A part is a
function of `Settings` in operator_rows/; a peer that is not installed is named as missing.
"""

from __future__ import annotations

import json
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from learnedrecon.files import write_text
from measuring.heap import keep_freed_memory
from measuring.machine import busy, record
from operator_rows.settings import Settings

if TYPE_CHECKING:
    from measuring.row import Row

RESULTS = Path(__file__).parent / "results" / "operators.json"
PEERS = ("deepinv", "sigpy")
PARTS = {"mri": "mri_rows", "imaging": "imaging_rows", "non_cartesian": "rows"}
"""The modules of operator_rows/ and the function of each."""


def main(
    *,
    only: Annotated[list[str] | None, typer.Option(help=", ".join(PARTS))] = None,
    quick: Annotated[bool, typer.Option(help="Few rounds.")] = False,
    threads: Annotated[int, typer.Option(help="Of torch.")] = 2,
) -> None:
    """Measures, prints, writes."""
    console = Console(width=170)
    here = [name for name in PARTS if find_spec(f"operator_rows.{name}")]
    chosen = only or here
    if unknown := set(chosen) - set(here):
        raise typer.BadParameter(f"expected some of {', '.join(here)}; found {sorted(unknown)}")
    keep_freed_memory()
    settings = Settings.of(threads, quick=quick)
    content: dict[str, Any] = {**record("operators.py", PEERS), "quick": quick, "parts": chosen}
    content["threads"] = threads
    if warning := busy():
        console.print(warning, style="bold red")
    begun = time.perf_counter()
    rows: list[Row] = []
    for name in chosen:
        started = time.perf_counter()
        rows += getattr(import_module(f"operator_rows.{name}"), PARTS[name])(settings)
        console.print(f"{name}: {time.perf_counter() - started:.0f} s", style="dim")
    content["seconds"] = time.perf_counter() - begun
    content["rows"] = [row.to_plain() for row in rows]
    target = Path("runs") / RESULTS.name if only or quick else RESULTS
    write_text(target, json.dumps(content, indent=1) + "\n")
    console.print(table(rows))
    for peer in content["missing_peers"]:
        console.print(f"missing: {peer} (make peers)", style="bold red")
    met = [row.met for row in rows if row.met is not None]
    console.print(f"{sum(met)} of {len(met)} targets met; {target}, {content['seconds']:.0f} s")


def table(rows: list[Row]) -> Table:
    """All rows."""
    found = Table("work", "call", "ours", "peer", "theirs", "ratio", "target", "met")
    before = None
    for row in rows:
        if (row.work, row.call) != before:
            found.add_section()
        before = (row.work, row.call)
        found.add_row(
            row.work,
            row.call,
            _quantity(row.ours, row.unit),
            row.peer,
            _quantity(row.theirs, row.unit),
            "" if row.value is None else f"{row.value:.3g} {_ratio(row)}",
            "" if row.target is None else f"{'≤' if row.at_most else '≥'} {row.target:g}",
            "" if row.met is None else ("yes" if row.met else "no"),
        )
    return found


def _ratio(row: Row) -> str:
    return "ours/limit" if row.at_most else "theirs/ours"


def _quantity(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.3g} {unit}"


if __name__ == "__main__":
    typer.run(main)
