"""One way to run a benchmark: parts, a JSON of what they found, tables on the terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import matplotlib.pyplot as plt
import torch
import typer
from rich.console import Console

from benchmarks.harness.machine import PEERS, busy, record
from benchmarks.harness.tables import Table
from benchmarks.harness.timing import QUICK, Budget
from learnedrecon.files import atomic_path, write_text
from learnedrecon.operators.ray.geometry2d import AngleRange, ParallelBeam

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.figure import Figure

    from benchmarks.harness.row import Row

FOLDER = Path(__file__).parents[1]
RESULTS = FOLDER / "results"
FIGURES = FOLDER.parent / "docs" / "figures"


@dataclass(frozen=True)
class Settings:
    """How long and how large.

    Attributes:
        threads: Of torch, where a row does not say otherwise.
        budget: Of every group of contestants.
        quick: Whether a tenth of the angles is enough where memory or minutes are at stake.
    """

    threads: int
    budget: Budget = Budget()  # noqa: RUF009 - it is frozen
    quick: bool = False

    def sized(self, geometry: ParallelBeam) -> ParallelBeam:
        """The scan to measure."""
        if not self.quick:
            return geometry
        return replace(geometry, angles=AngleRange(len(geometry.angle_values) // 10))


def as_rows(found: Mapping[str, Iterable[Row]]) -> dict[str, Any]:
    """The rows of all parts, as JSON holds them."""
    return {"rows": [row.to_plain() for rows in found.values() for row in rows]}


@dataclass(frozen=True)
class Benchmark:
    """What is measured, and how it is kept and shown.

    Attributes:
        name: Of the module, and of its JSON in benchmarks/results/.
        parts: By name; iterables are exhausted before the clock of the part stops.
        tables: What is printed of the JSON.
        collect: From what the parts found to the JSON, beside command, machine and seconds.
        peers: Packages whose versions are recorded, and named where they are missing.
        draw: The figure docs/figures/NAME.png of the JSON, or None.
    """

    name: str
    parts: Mapping[str, Callable[[Settings], Any]]
    tables: Callable[[dict[str, Any]], Sequence[Table]]
    collect: Callable[[Mapping[str, Any]], dict[str, Any]] = as_rows
    peers: Sequence[str] = PEERS
    draw: Callable[[dict[str, Any], Path], None] | None = None

    def main(
        self,
        *,
        only: Annotated[list[str] | None, typer.Option(help="A part; all by default.")] = None,
        quick: Annotated[bool, typer.Option(help="Few rounds; to see that it runs.")] = False,
        output: Annotated[Path | None, typer.Option(help="Where to write the JSON.")] = None,
    ) -> None:
        """Measures, prints, writes; --only and --quick write to runs/."""
        console = Console(width=170)
        chosen = known(only, self.parts)
        threads = torch.get_num_threads()
        settings = Settings(threads, QUICK if quick else Budget(), quick)
        content = record(f"benchmarks.{self.name}", self.peers)
        content |= {"quick": quick, "parts": chosen}
        if warning := busy():
            console.print(warning, style="bold red")
        begun, found = time.perf_counter(), {}
        for part in chosen:
            started = time.perf_counter()
            result = self.parts[part](settings)
            found[part] = result if isinstance(result, dict) else list(result)
            console.print(f"{part}: {time.perf_counter() - started:.0f} s", style="dim")
        content["seconds"] = time.perf_counter() - begun
        content |= self.collect(found)
        whole = not only and not quick
        target = output or (RESULTS if whole else Path("runs")) / f"{self.name}.json"
        write_text(target, json.dumps(content, indent=1) + "\n")
        if self.draw is not None:
            self.draw(content, (FIGURES if whole else Path("runs")) / f"{self.name}.png")
        console.print(*(table.rich() for table in self.tables(content)))
        for peer in content["missing_peers"]:
            console.print(f"missing: {peer} (make peers)", style="bold red")
        console.print(f"{target}, {content['seconds']:.0f} s{targets_met(content)}")


def save(figure: Figure, path: Path) -> None:
    """Writes a figure and frees it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)


def known(only: Sequence[str] | None, names: Iterable[str]) -> list[str]:
    """The parts that were asked for, all by default.

    Raises:
        typer.BadParameter: One of them does not exist.
    """
    if unknown := set(only or []) - set(names):
        raise typer.BadParameter(f"expected some of {', '.join(names)}; found {sorted(unknown)}")
    return list(only or names)


def targets_met(content: Mapping[str, Any]) -> str:
    """Such as '; 12 of 13 targets met'."""
    met = [row["met"] for row in content.get("rows", []) if row.get("met") is not None]
    return f"; {sum(met)} of {len(met)} targets met" if met else ""
