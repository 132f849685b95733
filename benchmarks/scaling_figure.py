"""The figure of benchmarks/scaling.py, from its JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from learnedrecon.files import atomic_path

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

COLOURS = {"forward": "#1f5fa8", "adjoint": "#c4561b"}
MARKERS = {"forward": "o", "adjoint": "s"}


def draw(content: dict[str, Any], path: Path) -> None:
    """The sweeps with their lines, then the cost per update against the image size."""
    mpl.use("Agg")
    figure, axes = plt.subplots(2, 4, figsize=(12.5, 5.6), layout="constrained")
    for axis, (name, sweep) in zip(axes.flat, content["sweeps"].items(), strict=False):
        _sweep(axis, name, sweep)
    after = len(content["sweeps"])
    _cost(axes.flat[after], content["sweeps"]["size"])
    for axis in axes.flat[after + 1 :]:
        axis.set_visible(False)
    axes.flat[0].legend(frameon=False)
    isa, threads = content["isa"], content["threads"]
    figure.suptitle(f"Ray transform, float32, {threads} threads, {isa}, {content['cpu']}", size=10)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


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
