"""Time of the ray transform against angles, detector pixels, image size, batch and threads.

    python -m benchmarks.scaling            # about three minutes
    python -m benchmarks.scaling --quick

Writes benchmarks/results/scaling.json with a straight line through every sweep and draws
docs/figures/scaling.png; --quick writes both to runs/. An 'update' is one sample of one ray.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import typer

from benchmarks.harness.cases import CALLS, call_of, updates
from benchmarks.harness.fit import straight_line
from benchmarks.harness.run import Benchmark, Settings, save
from benchmarks.harness.tables import Cell, Table, table
from benchmarks.harness.timing import QUICK, Budget, Contestant, interleaved, running
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, Geometry, ParallelBeam

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

CONSTANT_WITHIN = 0.3
BUDGET = Budget(rounds=9, turn=0.1, seconds=25.0)
COLOURS = {"forward": "#1f5fa8", "adjoint": "#c4561b"}
MARKERS = {"forward": "o", "adjoint": "s"}


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
    angles = [Point(n, scan(256, n)) for n in (90, 180, 360, 720, 1080, 1440)]
    detectors = [Point(n, scan(362, 360, n)) for n in (272, 320, 368, 416, 464, 512)]
    sizes = [Point(n * n / 1e3, scan(n, 360)) for n in (128, 192, 256, 384, 512, 768, 1024)]
    small, large = (
        [Point(n, base, n) for n in ns] for ns in ((1, 2, 3, 4, 6), (8, 12, 16, 24, 32))
    )
    threads = [Point(1 / n, scan(512, 720), threads=n) for n in cores]
    wide, one = "360 angles, a detector as wide as the diagonal", "256², 360 × 363"
    return [
        Sweep("angles", "angles", "256², 363 detector pixels", tuple(angles)),
        Sweep("detectors", "detector pixels", "362², 360 angles, pitch 1", tuple(detectors)),
        Sweep("size", "pixels N² in thousands", wide, tuple(sizes)),
        Sweep("batch", "images", one, tuple(small)),
        Sweep("large batch", "images", one, tuple(large)),
        Sweep("threads", "1 / threads", "512², 720 × 725", tuple(threads)),
    ]


def measure(sweep: Sweep, settings: Settings) -> dict[str, Any]:
    """Medians, cost per update, and a line, for both calls."""
    budget, threads = QUICK if settings.quick else BUDGET, settings.threads
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
            plain[call]["line"] = straight_line(plain["x"], seconds)
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


def collect(found: Mapping[str, Any]) -> dict[str, Any]:
    """The sweeps, and how constant the cost of an update is."""
    kept: dict[str, Any] = {"sweeps": dict(found)}
    if "size" in found:
        kept["constant cost per update"] = constancy(found["size"])
    return kept


def tables(content: dict[str, Any]) -> list[Table]:
    """A straight line through every sweep, and how constant the cost of an update is."""
    rows = [
        {"name": name, "call": call, **sweep, **sweep[call]}
        for name, sweep in content["sweeps"].items()
        for call in CALLS
    ]

    def of_line(key: str, form: str, scale: float = 1.0) -> Cell:
        return lambda row: form.format(scale * row["line"][key]) if "line" in row else ""

    columns: dict[str, Cell] = {
        "time against": "name",
        "fixed": "fixed",
        "points": lambda row: f"{row['axis']}: {', '.join(f'{x:.4g}' for x in row['x'])}",
        "call": "call",
        "slope (ms)": of_line("slope", "{:.4g}", 1e3),
        "R²": of_line("r2", "{:.4f}"),
        "ns/update, ends": lambda row: "{:.3f} to {:.3f}".format(
            *(row["ns_per_update"][k] for k in (0, -1))
        ),
    }
    return [table(rows, columns, _constancy_in_words(content))]


def _constancy_in_words(content: dict[str, Any]) -> str:
    """The largest cost over the least, beside the distance from the middle that is the target."""
    constant = content.get("constant cost per update")
    if constant is None:
        return ""
    words = []
    for call in CALLS:
        cost = content["sweeps"]["size"][call]["ns_per_update"]
        verdict = "met" if constant[f"{call} met"] else "not met"
        words.append(
            f"{call} ±{constant[call]:.0%} ({verdict}; the largest is {max(cost) / min(cost):.2f} "
            "times the least)"
        )
    target = f"±{constant['target']:.0%}"
    return f"Cost per update from 128² to 1024², to be within {target}: {', '.join(words)}."


def _contestant(name: str, point: Point, call: str, threads: int) -> Contestant:
    run = call_of(point.geometry, call, point.batch)
    return Contestant(name, run, running(point.threads or threads))


def draw(content: dict[str, Any], path: Path) -> None:
    """The sweeps with their lines, then the cost per update against the image size."""
    figure, axes = plt.subplots(2, 4, figsize=(12.5, 5.6), layout="constrained")
    for axis, (name, sweep) in zip(axes.flat, content["sweeps"].items(), strict=False):
        _sweep(axis, name, sweep)
    after = len(content["sweeps"])
    if "size" in content["sweeps"]:
        _cost(axes.flat[after], content["sweeps"]["size"])
    for axis in axes.flat[after + 1 :]:
        axis.set_visible(False)
    axes.flat[0].legend(frameon=False)
    isa, threads = content["isa"], content["threads"]
    figure.suptitle(f"Ray transform, float32, {threads} threads, {isa}, {content['cpu']}", size=10)
    save(figure, path)


def _sweep(axis: Axes, name: str, sweep: dict[str, Any]) -> None:
    for call, colour in COLOURS.items():
        found = sweep[call]
        milliseconds = [1e3 * s for s in found["median_s"]]
        axis.plot(sweep["x"], milliseconds, MARKERS[call], color=colour, label=call, ms=4)
        if "line" in found:
            line = found["line"]
            ends = [min(sweep["x"]), max(sweep["x"])]
            heights = [1e3 * (line["intercept"] + line["slope"] * x) for x in ends]
            axis.plot(ends, heights, color=colour, lw=1)
    rates = ", ".join(f"{sweep[c]['line']['r2']:.4f}" for c in COLOURS if "line" in sweep[c])
    axis.set(xlabel=sweep["axis"], ylabel="ms", ylim=(0, None))
    title = f"{name}: {sweep['fixed']}"
    axis.set_title(f"{title}\nR² = {rates}" if rates else title, size=8)
    axis.spines[["top", "right"]].set_visible(False)


def _cost(axis: Axes, size: dict[str, Any]) -> None:
    sides = [(1e3 * x) ** 0.5 for x in size["x"]]
    for call, colour in COLOURS.items():
        axis.plot(sides, size[call]["ns_per_update"], f"{MARKERS[call]}-", color=colour, ms=4, lw=1)
    axis.set(xlabel="N", ylabel="ns per update", ylim=(0, None))
    axis.set_title("cost per update, 360 angles", size=8)
    axis.spines[["top", "right"]].set_visible(False)


PARTS = {sweep.name: partial(measure, sweep) for sweep in sweeps()}
BENCHMARK = Benchmark("scaling", PARTS, tables, collect, draw=draw)

if __name__ == "__main__":
    typer.run(BENCHMARK.main)
