"""How depth is trained and how iterations converge, on 64² images, from training to figures.

    python benchmarks/convergence.py --only classical
    python benchmarks/convergence.py --only equilibrium        # every name below, in turn
    python benchmarks/convergence.py --only figures

Without --only all parts run, about two hours on one core. Parts that train write the weights of
seed S to runs/convergence/NAME/S; each part writes benchmarks/results/convergence-NAME.json.
'solvers' and 'gradients' need the weights of 'equilibrium'; the peer of 'solvers' is deepinv, so
run it with .venv-peers/bin/python. --quick trains a few steps and writes everything to runs/.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from convergence_parts.certificates import certificate
from convergence_parts.classical import classical
from convergence_parts.fitting import all_seeds, best, summary
from convergence_parts.longer import curves
from convergence_parts.scans import TEXT, experiment
from convergence_parts.trainings import TRAININGS
from learnedrecon.files import write_text
from learnedrecon.models.equilibrium import EquilibriumSpec
from learnedrecon.specs import to_plain
from measuring.machine import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from convergence_parts.trainings import Training

RESULTS = Path(__file__).parent / "results"
FIGURES = Path(__file__).parents[1] / "docs" / "figures"
RUNS = Path("runs") / "convergence"
EXTRA = ("classical", *TRAININGS, "solvers", "gradients", "figures")


def trained(name: str, training: Training, say: Callable[[str], None]) -> dict[str, Any]:
    """All seeds of a training, and what is measured of the first one."""
    folder = RUNS / name
    runs = all_seeds(training, folder, say)
    found: dict[str, Any] = {
        "title": training.title,
        "scan": training.scan,
        "work": TEXT[training.scan],
        "config": to_plain(
            experiment(training.scan, training.model, training.spec(0), training.images).config
        ),
        **summary(runs),
        "runs": runs,
    }
    model, whole = best(folder / "0"), experiment(training.scan, training.model)
    if training.curves:
        found["curves"] = curves(model, whole)
    if isinstance(training.model, EquilibriumSpec):
        found["certificates"] = [
            certificate(best(folder / str(seed)), whole) for seed in range(training.seeds)
        ]
    return found


def part(name: str, say: Callable[[str], None], *, quick: bool) -> dict[str, Any]:
    """What one part measures."""
    if name == "classical":
        return {"work": TEXT, "scans": classical(say)}
    training = TRAININGS[name]
    if quick:
        training = replace(training, steps=20, seeds=1, fine_tune=min(training.fine_tune, 5))
    return trained(name, training, say)


def main(
    *,
    only: Annotated[list[str] | None, typer.Option(help=", ".join(EXTRA))] = None,
    quick: Annotated[bool, typer.Option(help="A few steps; to see that it runs.")] = False,
) -> None:
    """Trains, measures, writes, draws."""
    console = Console(width=150)
    if unknown := set(only or []) - set(EXTRA):
        raise typer.BadParameter(f"expected some of {', '.join(EXTRA)}; found {sorted(unknown)}")
    results = Path("runs") if quick else RESULTS
    for name in [name for name in only or EXTRA if name != "figures"]:
        content = record("convergence.py")
        begun = time.perf_counter()
        found = part(name, console.print, quick=quick)
        content["seconds"] = time.perf_counter() - begun
        target = results / f"convergence-{name}.json"
        write_text(target, json.dumps({**content, **found}, indent=1) + "\n")
        console.print(f"{name}: {target}")


if __name__ == "__main__":
    typer.run(main)
