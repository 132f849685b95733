"""A claim, what measures it, and where its evidence is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.harness.machine import record
from benchmarks.harness.run import FIGURES, known
from benchmarks.harness.tables import Table, machine, on_page
from learnedrecon.files import write_text

RESULTS = Path(__file__).parents[1] / "results"
RUNS = Path("runs") / "studies"

Found = dict[str, Any]
Figure = tuple[str, Callable[[Path, Path], None]]


@dataclass(frozen=True)
class Job:
    """How a part is run.

    Attributes:
        quick: Whether a few steps are enough, to see that it runs.
        measure: Whether weights and scores of an earlier run are kept and the rest measured again.
        more: Whether the seeds of an earlier run are kept, and only the others are trained.
        say: Told what is done.
        budget: CPU seconds of a training that has a budget; None for that of its study.
        runs: The folder of the weights.
    """

    quick: bool = False
    measure: bool = False
    more: bool = False
    say: Callable[[str], None] = print
    budget: float | None = None
    runs: Path = RUNS

    @property
    def results(self) -> Path:
        """The folder of the JSON."""
        return Path("runs") if self.quick else RESULTS

    def folder(self, name: str) -> Path:
        """The folder of the weights of a part."""
        return self.runs / ("quick" if self.quick else "") / name


@dataclass(frozen=True)
class Study:
    """One claim of the lecture.

    Attributes:
        name: Of the module in studies/.
        claim: What is held, as a sentence.
        shows: What the evidence shows, in two sentences.
        parts: By name; each returns what studies/results/NAME.json keeps beside command, machine
            and seconds.
        page: What a page has of the results in a folder: tables and paragraphs.
        figure: Name of the figure in docs/figures/, and what draws it from the results in a folder.
        recorded: The files in studies/results/, where they are not those of the parts.
    """

    name: str
    claim: str
    shows: str
    parts: Mapping[str, Callable[[Job], Found]]
    page: Callable[[Path], list[Table | str]]
    figure: Figure | None = None
    recorded: str = ""

    def main(
        self,
        *,
        only: Annotated[list[str] | None, typer.Option(help="A part; all by default.")] = None,
        quick: Annotated[bool, typer.Option(help="A few steps; writes to runs/.")] = False,
        measure: Annotated[bool, typer.Option(help="Train nothing; needs earlier runs.")] = False,
        more: Annotated[
            bool, typer.Option(help="Keep seeds that are recorded; add others.")
        ] = False,
        draw: Annotated[bool, typer.Option(help="Only print and draw what is recorded.")] = False,
        budget: Annotated[float | None, typer.Option(help="CPU seconds of a training.")] = None,
        runs: Annotated[Path, typer.Option(help="Folder of the weights.")] = RUNS,
    ) -> None:
        """Trains, measures, writes, prints, draws."""
        console = Console(width=170)
        job = Job(quick, measure, more, console.print, budget, runs)
        for name in [] if draw else known(only, self.parts):
            content = record(f"studies.{self.name}")
            begun = time.perf_counter()
            found = self.parts[name](job)
            content = {"seconds": time.perf_counter() - begun, **content, **found}
            target = job.results / f"{name}.json"
            write_text(target, json.dumps(content, indent=1) + "\n")
            console.print(f"{name}: {target}")
        console.print(self.claim, style="bold")
        for part in self.page(job.results):
            console.print(part.rich() if isinstance(part, Table) else part)
        if self.figure is not None:
            name, draw_it = self.figure
            path = (Path("runs") if quick else FIGURES) / name
            draw_it(job.results, path)
            console.print(f"drawn: {path}")

    def text(self, results: Path = RESULTS) -> str:
        """What stands between the markers of a page."""
        return on_page(self.page(results))

    def where(self, results: Path = RESULTS) -> str:
        """Where and how the first part was measured."""
        found = read(results, next(iter(self.parts)))
        return machine(found) if found else not_measured(self.name, *self.parts)


def read(results: Path, name: str) -> Found | None:
    """What a part has written, or None."""
    path = results / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def not_measured(study: str, *parts: str) -> str:
    """What a page says of a result that is not there."""
    return (
        f"Not measured yet: `python -m studies.{study} {' '.join(f'--only {p}' for p in parts)}`."
    )
