"""Figures of benchmarks/convergence.py, from its JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from convergence_parts.scans import BLUR, DENSE, SPARSE, TEXT
from learnedrecon.files import atomic_path
from measuring.markdown_trainings import PARTS, read

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

COLOURS = {"unrolled": "#c4561b", "equilibrium": "#1f5fa8", "equilibrium-free": "#7a3b9c"}
PANELS = {
    BLUR: ("blur-unrolled", "blur-equilibrium"),
    SPARSE: ("unrolled", "equilibrium", "equilibrium-free"),
}
NEAR = 6.0
TICKS = (1, 2, 5, 10, 20, 50, 100, 200)


def reaches(found: dict[str, Any], classical: dict[str, Any]) -> bool:
    """Whether the method is at least as good as tuned total variation on the same images."""
    return bool(found["psnr"] >= classical["scans"][found["scan"]]["tv"]["psnr"])


def draw_all(results: Path, folder: Path) -> list[Path]:
    """Every figure for which there is something to draw."""
    mpl.use("Agg")
    classical = read(results, "classical")
    if classical is None:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [_iterations(results, classical, folder / "iterations.png")]
    if all(read(results, f"subsets-{m}") for m in PARTS):
        drawn.append(_subsets(results, classical, folder / "subsets.png"))
    return drawn


def _iterations(results: Path, classical: dict[str, Any], path: Path) -> Path:
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    for axis, (scan, names) in zip(axes, PANELS.items(), strict=True):
        tv = classical["scans"][scan]["tv"]
        middle = float(np.median(tv["psnr_of_images"][: _images(results, names)]))
        axis.axhline(middle, color="#555555", lw=1, ls=":", label="tuned TV, median")
        best = middle
        for name in names:
            found = read(results, name)
            if found is not None:
                best = max(best, _line(axis, name, found, classical))
        axis.set(xscale="log", title=f"{scan}, {TEXT[scan]}", xlabel="iterations")
        axis.title.set_size(9)
        axis.set_ylim(best - NEAR, best + 1)
        axis.set_xticks(TICKS, [str(k) for k in TICKS])
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=8, loc="lower right", framealpha=0.9, edgecolor="none")
    axes[0].set_ylabel("PSNR in dB, median and quartiles")
    return _saved(figure, path)


def _images(results: Path, names: tuple[str, ...]) -> int | None:
    found = [read(results, name) for name in names]
    return next((one["curves"]["images"] for one in found if one is not None), None)


def _line(axis: Axes, name: str, found: dict[str, Any], classical: dict[str, Any]) -> float:
    curves = found["curves"]
    numbers = curves["iterations"]
    lower, median, upper = (
        np.array([np.nan if v is None else v for v in curves["psnr"][key]], dtype=float)
        for key in ("lower", "median", "upper")
    )
    colour = COLOURS[name.removeprefix("blur-")]
    text = found["title"]
    if not reaches(found, classical):
        text += ", under-trained"
    axis.plot(numbers, median, color=colour, lw=1.4, label=text)
    axis.fill_between(numbers, lower, upper, color=colour, alpha=0.15, lw=0)
    trained = curves["trained_iterations"]
    if curves["settled"] is None and trained in numbers:
        place = numbers.index(trained)
        axis.plot(trained, median[place], "o", color=colour, ms=6)
    return float(np.nanmax(median))


def _subsets(results: Path, classical: dict[str, Any], path: Path) -> Path:
    figure, axis = plt.subplots(figsize=(6, 4.2), layout="constrained")
    for name, style in {"tv": ":", "fbp": "--"}.items():
        level = classical["scans"][DENSE][name]["psnr"]
        axis.axhline(level, color="#555555", lw=1, ls=style, label=f"tuned {name.upper()}")
    for parts in PARTS:
        found = read(results, f"subsets-{parts}")
        assert found is not None
        calls = found["runs"][0]["calls_per_image"]
        values = [run["psnr"] for run in found["runs"]]
        text = f"m = {parts}" + ("" if reaches(found, classical) else ", under-trained")
        axis.plot([calls] * len(values), values, "o", color="#1f5fa8", ms=5, alpha=0.6)
        axis.annotate(text, (calls, np.mean(values)), xytext=(8, 0), textcoords="offset points",
                      size=9, va="center")  # fmt: skip
    axis.set(xscale="log", xlabel="T and T* of the whole scan, for one image", ylabel="PSNR in dB")
    axis.set_xticks([2, 4, 8, 16], ["2", "4", "8", "16"])
    axis.minorticks_off()
    axis.set_title("LPD with 8 steps on one m-th of 120 angles each", size=10)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False)
    return _saved(figure, path)


def _saved(figure: Any, path: Path) -> Path:  # noqa: ANN401 - a matplotlib figure
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)
    return path
