"""The figure of benchmarks.memory, from its JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt

from benchmarks.harness.run import save

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

COLOURS = {
    "LPD": "#1f5fa8",
    "split LPD": "#c4561b",
    "invertible LPD": "#7a3b9c",
    "equilibrium": "#2b8a3e",
    "deepinv, unrolled PGD": "#555555",
}
MARKERS = {"linear": "o", "states": "s", "constant": "D", "peer": "^"}
TITLES = {
    "held_bytes": "held between forward and backward",
    "step_bytes": "peak of the step",
}


def draw(part: dict[str, Any], path: Path) -> None:
    """Both counts of memory against depth, each line with its name at its end."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 5.2), layout="constrained")
    for axis, (key, title) in zip(axes, TITLES.items(), strict=True):
        _panel(axis, part["rows"], key)
        axis.set_title(title, size=10)
    figure.suptitle(f"Memory of one training step without its weights, {part['work']}", size=10)
    save(figure, path)


def _panel(axis: Axes, rows: dict[str, Any], key: str) -> None:
    ends: list[tuple[float, str, str]] = []
    depths: list[int] = []
    for row in rows.values():
        points = {int(n): one[key] / 2**20 for n, one in row["steps"].items() if key in one}
        if not points:
            continue
        colour = COLOURS[row["scheme"]]
        style = "-" if row["target"] in {"linear", "constant"} else "--"
        axis.loglog(
            list(points), list(points.values()), style, marker=MARKERS[row["target"]], ms=4,
            lw=1.2, color=colour,
        )  # fmt: skip
        depths = sorted({*depths, *points})
        ends.append((points[max(points)], f"{row['scheme']}, {row['backward']}", colour))
    _label(axis, ends, max(depths))
    axis.set_ylim(top=2 * max(height for height, *_ in ends))
    axis.set(xlabel="depth N", ylabel="MiB", xlim=(min(depths) * 0.9, max(depths) * 6))
    axis.set_xticks(depths, [str(n) for n in depths])
    axis.minorticks_off()
    axis.spines[["top", "right"]].set_visible(False)


def _label(axis: Axes, ends: list[tuple[float, str, str]], depth: int) -> None:
    """Names beside the ends of lines, pushed apart where these are close."""
    low, high = axis.get_ylim()
    gap = (high / low) ** (1 / 24)
    place = 0.0
    for height, text, colour in sorted(ends):
        place = max(height, place * gap)
        axis.annotate(
            text, (depth, height), (depth * 1.15, place), size=7.5, color=colour, va="center"
        )
