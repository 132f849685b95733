"""Claim: an unrolled scheme is right at the depth it was trained for, an equilibrium at any.

    python -m studies.longer --only unrolled --only equilibrium       # and so on
    python -m studies.longer --draw                                   # from what is recorded

Every part trains one method, which studies/results/NAME.json keeps with its curves of PSNR against
iterations; the figure is docs/figures/iterations.png.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import typer

from benchmarks.harness.run import save
from benchmarks.harness.tables import Cell, Table, table
from studies.common.scans import BLUR, SPARSE, TEXT
from studies.common.scores import baseline, reaches, there
from studies.common.study import Study, not_measured
from studies.common.trained import parts

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from studies.common.study import Found

METHODS = ("unrolled", "equilibrium", "equilibrium-free", "blur-unrolled", "blur-equilibrium")
NUMBERS = (1, 5, 10, 20, 50, 100, 200)
COLOURS = {"unrolled": "#c4561b", "equilibrium": "#1f5fa8", "equilibrium-free": "#7a3b9c"}
PANELS = {
    BLUR: ("blur-unrolled", "blur-equilibrium"),
    SPARSE: ("unrolled", "equilibrium", "equilibrium-free"),
}
NEAR = 6.0
TICKS = (1, 2, 5, 10, 20, 50, 100, 200)


def page(results: Path) -> list[Table | str]:
    """Median PSNR at some numbers of iterations."""
    methods = [found for _, found in there(results, METHODS)]
    if not methods:
        return [not_measured("longer", *METHODS)]

    def at(number: int) -> Cell:
        def cell(found: Found) -> str:
            curve = found["curves"]
            value = curve["psnr"]["median"][curve["iterations"].index(number)]
            return "-∞" if value is None else f"{value:.2f}"

        return cell

    columns: dict[str, Cell] = {
        "scan": "scan",
        "method": "title",
        **{f"k = {number}": at(number) for number in NUMBERS},
        "tuned TV, median": lambda found: f"{median_of_tv(results, found):.2f}",
    }
    return [table(methods, columns)]


def median_of_tv(results: Path, found: Found) -> float:
    """Of tuned total variation on the images of the curves of a method."""
    values = baseline(results, found["scan"])["tv"]["psnr_of_images"]
    return float(np.median(values[: found["curves"]["images"]]))


def draw(results: Path, path: Path) -> None:
    """Medians and quartiles of both scans."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    for axis, (scan, names) in zip(axes, PANELS.items(), strict=True):
        methods = dict(there(results, names))
        best = median_of_tv(results, next(iter(methods.values())))
        axis.axhline(best, color="#555555", lw=1, ls=":", label="tuned TV, median")
        for name, found in methods.items():
            text = found["title"] + ("" if reaches(results, found) else ", under-trained")
            best = max(best, _line(axis, COLOURS[name.removeprefix("blur-")], text, found))
        axis.set(xscale="log", title=f"{scan}, {TEXT[scan]}", xlabel="iterations")
        axis.title.set_size(9)
        axis.set_ylim(best - NEAR, best + 1)
        axis.set_xticks(TICKS, [str(k) for k in TICKS])
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=8, loc="lower right", framealpha=0.9, edgecolor="none")
    axes[0].set_ylabel("PSNR in dB, median and quartiles")
    save(figure, path)


def _line(axis: Axes, colour: str, text: str, found: Found) -> float:
    curves = found["curves"]
    numbers = curves["iterations"]
    lower, median, upper = (
        np.array([np.nan if v is None else v for v in curves["psnr"][key]], dtype=float)
        for key in ("lower", "median", "upper")
    )
    axis.plot(numbers, median, color=colour, lw=1.4, label=text)
    axis.fill_between(numbers, lower, upper, color=colour, alpha=0.15, lw=0)
    trained = curves["trained_iterations"]
    if curves["settled"] is None and trained in numbers:
        place = numbers.index(trained)
        axis.plot(trained, median[place], "o", color=colour, ms=6)
    return float(np.nanmax(median))


STUDY = Study(
    "longer",
    "An unrolled scheme is right at the depth it was trained for; an equilibrium stays where it is "
    "however long it runs.",
    "The unrolled network beats the equilibria and total variation where it was trained, and falls "
    "by tens of dB when it goes on. The equilibria rise to the level of tuned total variation and "
    "stay there.",
    parts(METHODS),
    page,
    ("iterations.png", draw),
)

if __name__ == "__main__":
    typer.run(STUDY.main)
