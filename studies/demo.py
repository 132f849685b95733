"""Claim: minutes of training on two cores are enough to beat tuned total variation on phantoms.

    python -m studies.demo 4           # minutes; writes studies/results/demo-<minutes>.json
    python -m studies.demo             # only prints the table of what was recorded

The confidence interval is over the 100 phantoms of one training, not over seeds.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from benchmarks.harness.tables import Cell, Table, table
from learnedrecon.experiments.demonstration import demo
from learnedrecon.files import write_text
from learnedrecon.training.environment import environment
from studies.common.study import RESULTS, RUNS, Study

if TYPE_CHECKING:
    from pathlib import Path

METHODS = ("fbp", "tv", "lpd")


def record(minutes: float) -> None:
    """Runs the demo and keeps what it found."""
    results = demo(RUNS / f"demo-{minutes:g}", minutes=minutes).results
    results["command"] = f"learnedrecon demo --minutes {minutes:g}"
    results["environment"] = environment()
    write_text(RESULTS / f"demo-{minutes:g}.json", json.dumps(results, indent=2) + "\n")


def page(results: Path) -> list[Table | str]:
    """Every recorded run, as the README has it."""
    runs = {float(path.stem[5:]): path for path in results.glob("demo-*.json")}
    rows = [
        {"minutes": f"{minutes:g}", **json.loads(path.read_text(encoding="utf-8"))}
        for minutes, path in sorted(runs.items())
    ]

    def psnr(name: str) -> Cell:
        return lambda row: f"{row['methods'][name]['psnr']:.2f}"

    def lead(row: dict[str, Any]) -> str:
        low, high = row["lpd_minus_tv"]["ci95"]
        return f"{row['lpd_minus_tv']['mean']:+.2f} ({low:+.2f} to {high:+.2f})"

    columns: dict[str, Cell] = {
        "minutes": "minutes",
        "steps": lambda row: row["training"]["steps"],
        "in all (s)": lambda row: f"{row['seconds']:.0f}",
        **dict(zip(("FBP", "TV", "learned"), map(psnr, METHODS), strict=True)),
        "learned - TV (95 % over phantoms)": lead,
        "CT slice: FBP / TV / learned": lambda row: " / ".join(
            f"{row['real'][name]['psnr']:.2f}" for name in METHODS
        ),
    }
    return [table(rows, columns)]


STUDY = Study(
    "demo",
    "A network trained for minutes on two cores is better on phantoms than tuned total variation.",
    "It leads on phantoms that no choice has seen, by more the more steps the machine makes in the "
    "time; the interval is over phantoms of one seed. On the CT slice total variation, whose "
    "weight follows the noise, is better: the network has seen ellipses only.",
    {},
    page,
    recorded="demo-*.json",
)


def main(minutes: Annotated[list[float] | None, typer.Argument()] = None) -> None:
    """Runs the demo for so many minutes each, and prints all recorded runs."""
    for number in minutes or []:
        record(number)
    Console(width=170).print(*(part.rich() for part in page(RESULTS) if isinstance(part, Table)))


if __name__ == "__main__":
    typer.run(main)
