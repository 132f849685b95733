"""How depth is trained and how iterations converge, on 64² images, from training to figures.

    python benchmarks/convergence.py --only classical
    python benchmarks/convergence.py --only equilibrium        # every name below, in turn
    python benchmarks/convergence.py --only figures

Without --only all parts run, about three hours on one core. Parts that train write the weights of
seed S to runs/convergence/NAME/S; each part writes benchmarks/results/convergence-NAME.json.
'solvers' needs the weights of 'equilibrium', and .venv-peers/bin/python for its peer, deepinv;
'gradients' those of 'equilibrium-0.9'. --quick trains a few steps and writes everything to runs/;
--measure keeps the weights and scores that are there and measures the rest again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from convergence_parts.certificates import certificate
from convergence_parts.classical import classical
from convergence_parts.figure_gradients import draw
from convergence_parts.figures import draw_all
from convergence_parts.fitting import all_seeds, best, summary
from convergence_parts.gradients import gradient_errors
from convergence_parts.longer import curves
from convergence_parts.maps import part_of
from convergence_parts.scans import SPARSE, TEXT, experiment
from convergence_parts.solvers import solvers
from convergence_parts.trainings import TRAININGS
from learnedrecon.files import write_text
from learnedrecon.models.equilibrium import EquilibriumSpec
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.specs import to_plain
from measuring.machine import record
from measuring.markdown_trainings import read

if TYPE_CHECKING:
    from convergence_parts.trainings import Training

RESULTS = Path(__file__).parent / "results"
FIGURES = Path(__file__).parents[1] / "docs" / "figures"
RUNS = Path("runs") / "convergence"
EXTRA = ("classical", *TRAININGS, "solvers", "gradients", "figures")
TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6)
BATCH = 8


def trained(training: Training, runs: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """What is measured of the trainings of all seeds.

    Curves are those of the first one.
    """
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
    whole = experiment(training.scan, training.model)
    if training.curves:
        found["curves"] = curves(best(folder / "0"), whole)
    if isinstance(training.model, EquilibriumSpec):
        found["certificates"] = [
            certificate(best(folder / str(run["seed"])), whole) for run in runs
        ]
    return found


def equilibrium(name: str) -> dict[str, Any]:
    """Solvers, or gradients, on a trained equilibrium.

    Gradients on one that contracts fast enough for residuals at the level of rounding.
    """
    chosen = "equilibrium" if name == "solvers" else "equilibrium-0.9"
    whole = experiment(SPARSE, TRAININGS[chosen].model)
    model = best(RUNS / chosen / "0")
    assert isinstance(model, Iterative)
    batch = next(whole.batches("test", BATCH, BATCH))
    assert isinstance(batch.problem, InverseProblem)
    assert batch.truth is not None
    if name == "solvers":
        return solvers(model, batch.problem, TOLERANCES)
    return gradient_errors(model, part_of(batch.problem, 0, 1), batch.truth[:1])


@dataclass(frozen=True)
class Job:
    """One part.

    Attributes:
        name: of the part.
        results: the folder of its JSON.
        quick: whether a few steps are enough.
        measure: whether weights and scores of an earlier run are kept.
        say: told what is done.
    """

    name: str
    results: Path
    quick: bool
    measure: bool
    say: Callable[[str], None]

    def run(self) -> dict[str, Any]:
        """Everything for the JSON."""
        content = record("convergence.py")
        begun = time.perf_counter()
        if self.name == "classical":
            found = {"scans": classical(self.say)}
        elif self.name in {"solvers", "gradients"}:
            found = equilibrium(self.name)
        else:
            found = self._trained(content)
        seconds = time.perf_counter() - begun
        return {"seconds": seconds, **content, **found}

    def _trained(self, content: dict[str, Any]) -> dict[str, Any]:
        training = TRAININGS[self.name]
        if self.quick:
            fine = min(training.fine_tune, 5)
            training = replace(training, steps=20, seeds=1, fine_tune=fine)
        folder = RUNS / ("quick" if self.quick else "") / self.name
        if not self.measure:
            return trained(training, all_seeds(training, folder, self.say), folder)
        known = read(self.results, self.name)
        if known is None:
            raise typer.BadParameter(f"--measure needs a training: run --only {self.name} first")
        again = {"measured_again": dict(content)}
        content.clear()
        return {**known, **again, **trained(training, known["runs"], folder)}


def main(
    *,
    only: Annotated[list[str] | None, typer.Option(help=", ".join(EXTRA))] = None,
    quick: Annotated[bool, typer.Option(help="A few steps; to see that it runs.")] = False,
    measure: Annotated[bool, typer.Option(help="Train nothing; needs earlier runs.")] = False,
) -> None:
    """Trains, measures, writes, draws."""
    console = Console(width=150)
    if unknown := set(only or []) - set(EXTRA):
        raise typer.BadParameter(f"expected some of {', '.join(EXTRA)}; found {sorted(unknown)}")
    results = Path("runs") if quick else RESULTS
    for name in [name for name in only or EXTRA if name != "figures"]:
        content = Job(name, results, quick, measure, console.print).run()
        target = results / f"convergence-{name}.json"
        write_text(target, json.dumps(content, indent=1) + "\n")
        console.print(f"{name}: {target}")
    if only is None or "figures" in only:
        folder = Path("runs") if quick else FIGURES
        parts = {name: read(results, name) for name in ("gradients", "solvers")}
        drawn = draw_all(results, folder)
        if all(parts.values()):
            drawn.append(folder / "gradients.png")
            draw(parts, drawn[-1])
        for path in drawn:
            console.print(f"drawn: {path}")


if __name__ == "__main__":
    typer.run(main)
