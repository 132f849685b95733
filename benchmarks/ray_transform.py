"""The ray transform against its peers, all in one run.

    make peers
    .venv-peers/bin/python benchmarks/ray_transform.py            # about ten minutes
    .venv-peers/bin/python benchmarks/ray_transform.py --only fan --only sweep
    .venv-peers/bin/python benchmarks/ray_transform.py --quick

Prints a table of medians and writes benchmarks/results/ray_transform.json with command, machine,
versions and commit; --only and --quick write to runs/ instead. A peer that is not installed is
named as missing and leaves its rows without a ratio. An 'update' is one sample of one ray.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from learnedrecon.files import write_text
from measuring.machine import busy, record
from ray_rows.agreement import agreement_rows
from ray_rows.astra_rows import fan_rows, main_rows, small_rows
from ray_rows.cone import cone_rows
from ray_rows.deepinv_rows import deepinv_rows
from ray_rows.matrix import matrix_rows
from ray_rows.settings import Settings
from ray_rows.sweep import sweep_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from measuring.row import Row

RESULTS = Path(__file__).parent / "results" / "ray_transform.json"
PARTS: dict[str, Callable[[Settings], Iterator[Row]]] = {
    "parallel": main_rows,
    "small": small_rows,
    "fan": fan_rows,
    "matrix": matrix_rows,
    "deepinv": deepinv_rows,
    "cone": cone_rows,
    "agreement": agreement_rows,
    "sweep": sweep_rows,
}


def main(
    *,
    only: Annotated[list[str] | None, typer.Option(help=", ".join(PARTS))] = None,
    quick: Annotated[bool, typer.Option(help="Few rounds, smaller deepinv and matrix.")] = False,
    output: Annotated[Path | None, typer.Option(help="Where to write the JSON.")] = None,
) -> None:
    """Measures, prints, writes."""
    console = Console(width=170)
    chosen = only or list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        raise typer.BadParameter(f"expected some of {', '.join(PARTS)}; found {sorted(unknown)}")
    settings = Settings.of(torch.get_num_threads(), quick=quick)
    content: dict[str, Any] = {**record("ray_transform.py"), "quick": quick, "parts": chosen}
    if warning := busy():
        console.print(warning, style="bold red")
    begun = time.perf_counter()
    rows: list[Row] = []
    for name in chosen:
        started = time.perf_counter()
        rows += PARTS[name](settings)
        console.print(f"{name}: {time.perf_counter() - started:.0f} s", style="dim")
    content["seconds"] = time.perf_counter() - begun
    content["rows"] = [row.to_plain() for row in rows]
    whole = not only and not quick
    target = output or (RESULTS if whole else Path("runs") / RESULTS.name)
    write_text(target, json.dumps(content, indent=1) + "\n")
    console.print(table(rows))
    for peer in content["missing_peers"]:
        console.print(f"missing: {peer} (make peers)", style="bold red")
    met = [row.met for row in rows if row.met is not None]
    console.print(f"{sum(met)} of {len(met)} targets met; {target}, {content['seconds']:.0f} s")


def table(rows: list[Row]) -> Table:
    """All rows."""
    found = Table("work", "call", "ours", "peer", "theirs", "G/s", "reached", "target", "met")
    part = None
    for row in rows:
        name = row.part.partition(",")[0]
        if name != part:
            found.add_section()
        part = name
        found.add_row(
            row.work,
            row.call,
            _quantity(row.ours, row.unit),
            row.peer,
            _quantity(row.theirs, row.unit),
            f"{row.details['giga_updates_per_s']:.2f}" if "updates" in row.details else "",
            "" if row.value is None else f"{row.value:.3g}",
            "" if row.target is None else f"{'≤' if row.at_most else '≥'} {row.target:g}",
            "" if row.met is None else ("yes" if row.met else "no"),
        )
    return found


def _quantity(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.3g} {unit}"


if __name__ == "__main__":
    typer.run(main)
