"""The demo at several lengths of training.

    python benchmarks/demo.py 5 20        # minutes
    python benchmarks/demo.py             # only prints the table of what was recorded

Runs ``learnedrecon demo`` for every number of minutes, keeps its results with command, machine and
commit in benchmarks/results/demo-<minutes>.json, and prints them all.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from learnedrecon.cli.demo_job import DemoJob
from learnedrecon.files import write_text
from learnedrecon.training.environment import environment

RESULTS = Path(__file__).parent / "results"


def record(minutes: float) -> None:
    """Runs the demo and keeps what it found."""
    job = DemoJob(
        output=Path("runs") / f"demo-{minutes:g}", minutes=minutes, steps=None, images=100
    )
    results = job.run(Console())
    results["command"] = f"learnedrecon demo --minutes {minutes:g}"
    results["environment"] = environment()
    target = RESULTS / f"demo-{minutes:g}.json"
    write_text(target, json.dumps(results, indent=2) + "\n")


def table() -> Table:
    """Every recorded run."""
    found = Table(
        "minutes", "steps", "in all (s)", "FBP", "TV", "LPD", "LPD - TV (95 %)", "CT slice"
    )
    for path in sorted(RESULTS.glob("demo-*.json"), key=lambda path: float(path.stem[5:])):
        result = json.loads(path.read_text())
        low, high = result["lpd_minus_tv"]["ci95"]
        found.add_row(
            path.stem[5:],
            str(result["training"]["steps"]),
            f"{result['seconds']:.0f}",
            *(f"{result['methods'][name]['psnr']:.2f}" for name in ("fbp", "tv", "lpd")),
            f"{result['lpd_minus_tv']['mean']:+.2f} ({low:+.2f} to {high:+.2f})",
            " / ".join(f"{result['real'][name]['psnr']:.2f}" for name in ("fbp", "tv", "lpd")),
        )
    return found


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        record(float(argument))
    Console().print(table())
