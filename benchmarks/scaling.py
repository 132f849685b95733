"""Time of the ray transform against angles, detector pixels, image size, batch and threads.

    python benchmarks/scaling.py            # about three minutes
    python benchmarks/scaling.py --quick

Writes benchmarks/results/scaling.json with a straight line through every sweep and draws
docs/figures/scaling.png; --quick writes both to runs/. An 'update' is one sample of one ray.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from learnedrecon.files import write_text
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, Geometry, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from measuring.cases import data_for, image_for, updates
from measuring.fit import straight_line
from measuring.machine import busy, record
from measuring.timing import QUICK, Budget, Contestant, interleaved, running
from scaling_figure import draw

RESULTS = Path(__file__).parent / "results" / "scaling.json"
FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "scaling.png"
CALLS = ("forward", "adjoint")
CONSTANT_WITHIN = 0.3


@dataclass(frozen=True)
class Point:
    """One measurement of a sweep: where it stands on the axis, and what is measured."""

    x: float
    geometry: Geometry
    batch: int = 1
    threads: int | None = None


@dataclass(frozen=True)
class Sweep:
    """One quantity varies and the others stay.

    Attributes:
        name: of the quantity.
        axis: what x is.
        fixed: what stays.
        points: in order.
    """

    name: str
    axis: str
    fixed: str
    points: tuple[Point, ...]


def scan(size: int, angles: int, detectors: int | None = None) -> ParallelBeam:
    """A parallel scan of size² pixels; the detector covers the diagonal unless told otherwise."""
    pixels = detectors or int(1.4143 * size) + 1
    return ParallelBeam((size, size), AngleRange(angles), FlatDetector(pixels))


def sweeps() -> list[Sweep]:
    """All of them."""
    base, cores = scan(256, 360), range(1, (os.cpu_count() or 1) + 1)
    return [
        Sweep(
            "angles",
            "angles",
            "256², 363 detector pixels",
            tuple(Point(n, scan(256, n)) for n in (90, 180, 360, 720, 1080, 1440)),
        ),
        Sweep(
            "detectors",
            "detector pixels",
            "362², 360 angles, pitch 1",
            tuple(Point(n, scan(362, 360, n)) for n in (272, 320, 368, 416, 464, 512)),
        ),
        Sweep(
            "size",
            "pixels N² in thousands",
            "360 angles, a detector as wide as the diagonal",
            tuple(Point(n * n / 1e3, scan(n, 360)) for n in (128, 192, 256, 384, 512, 768, 1024)),
        ),
        Sweep(
            "batch",
            "images",
            "256², 360 × 363",
            tuple(Point(n, base, batch=n) for n in (1, 2, 3, 4, 6)),
        ),
        Sweep(
            "large batch",
            "images",
            "256², 360 × 363",
            tuple(Point(n, base, batch=n) for n in (8, 12, 16, 24, 32)),
        ),
        Sweep(
            "threads",
            "1 / threads",
            "512², 720 × 725",
            tuple(Point(1 / n, scan(512, 720), threads=n) for n in cores),
        ),
    ]


def measure(sweep: Sweep, budget: Budget, threads: int) -> dict[str, Any]:
    """Medians, cost per update, and a line, for both calls."""
    plain: dict[str, Any] = {"axis": sweep.axis, "fixed": sweep.fixed}
    plain["x"] = [point.x for point in sweep.points]
    for call in CALLS:
        contestants = [_contestant(str(k), p, call, threads) for k, p in enumerate(sweep.points)]
        times = interleaved(contestants, budget)
        seconds = [times[str(k)].median for k in range(len(sweep.points))]
        counts = [p.batch * updates(p.geometry.rays()) for p in sweep.points]
        plain[call] = {
            "median_s": seconds,
            "ns_per_update": [1e9 * s / n for s, n in zip(seconds, counts, strict=True)],
            "timings": [times[str(k)].to_plain() for k in range(len(sweep.points))],
        }
        if len(seconds) > 2:
            plain[call]["line"] = straight_line(plain["x"], seconds).to_plain()
    return plain


def constancy(size: dict[str, Any]) -> dict[str, Any]:
    """How far the cost per update goes from its middle, from 128² to 1024²."""
    found: dict[str, Any] = {"target": CONSTANT_WITHIN}
    for call in CALLS:
        cost = size[call]["ns_per_update"]
        middle = (max(cost) + min(cost)) / 2
        found[call] = max(cost) / middle - 1
        found[f"{call} met"] = found[call] <= CONSTANT_WITHIN
    return found


def main(
    *,
    quick: Annotated[bool, typer.Option(help="Few rounds; writes to runs/.")] = False,
) -> None:
    """Measures, fits, draws, writes."""
    console = Console()
    threads = torch.get_num_threads()
    content: dict[str, Any] = {**record("scaling.py"), "quick": quick}
    if warning := busy():
        console.print(warning, style="bold red")
    begun = time.perf_counter()
    budget = QUICK if quick else Budget(rounds=9, turn=0.1, seconds=25.0)
    content["sweeps"] = {sweep.name: measure(sweep, budget, threads) for sweep in sweeps()}
    content["constant cost per update"] = constancy(content["sweeps"]["size"])
    content["seconds"] = time.perf_counter() - begun
    target = Path("runs") / RESULTS.name if quick else RESULTS
    write_text(target, json.dumps(content, indent=1) + "\n")
    draw(content, Path("runs") / FIGURE.name if quick else FIGURE)
    console.print(table(content))
    console.print(f"{target}, {content['seconds']:.0f} s")


def table(content: dict[str, Any]) -> Table:
    """The lines, and the cost per update at both ends."""
    found = Table("sweep", "call", "slope", "R²", "ns/update, first to last")
    for name, sweep in content["sweeps"].items():
        for call in CALLS:
            line = sweep[call].get("line", {"slope": float("nan"), "r2": float("nan")})
            cost = sweep[call]["ns_per_update"]
            found.add_row(
                f"{name} ({sweep['axis']})",
                call,
                f"{1e3 * line['slope']:.4g} ms",
                f"{line['r2']:.4f}",
                " ".join(f"{c:.3f}" for c in cost),
            )
    constant = content["constant cost per update"]
    for call in CALLS:
        met = "yes" if constant[f"{call} met"] else "no"
        bound = f"±{100 * constant['target']:.0f} %: {met}"
        found.add_row("128² to 1024²", call, f"±{100 * constant[call]:.0f} %", "", bound)
    return found


def _contestant(name: str, point: Point, call: str, threads: int) -> Contestant:
    transform = RayTransform(point.geometry)
    prepare = running(point.threads or threads)
    if call == "forward":
        image = image_for(point.geometry, point.batch)
        return Contestant(name, lambda: transform(image), prepare)
    data = data_for(point.geometry, point.batch)
    return Contestant(name, lambda: transform.adjoint(data), prepare)


if __name__ == "__main__":
    typer.run(main)
