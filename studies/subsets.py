"""Claim: steps on parts of the angles need fewer operator calls for nearly the same image.

    python -m studies.subsets            # studies/results/subsets-{1,2,4,8}.json

The figure is docs/figures/subsets.png.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import typer

from benchmarks.harness.run import save
from studies.common.scans import DENSE
from studies.common.scores import baseline, reaches
from studies.common.study import read
from studies.common.trained import of_trainings
from studies.common.trainings import NUMBERS_OF_SUBSETS as NUMBERS

if TYPE_CHECKING:
    from pathlib import Path

METHODS = tuple(f"subsets-{number}" for number in NUMBERS)


def draw(results: Path, path: Path) -> None:
    """PSNR of every seed against the calls of one reconstruction."""
    classical = baseline(results, DENSE)
    figure, axis = plt.subplots(figsize=(6, 4.2), layout="constrained")
    for name, style in {"tv": ":", "fbp": "--"}.items():
        level = classical[name]["psnr"]
        axis.axhline(level, color="#555555", lw=1, ls=style, label=f"tuned {name.upper()}")
    for number in NUMBERS:
        found = read(results, f"subsets-{number}")
        if found is None:
            continue
        calls = found["runs"][0]["calls_per_image"]
        values = [run["psnr"] for run in found["runs"]]
        text = f"m = {number}" + ("" if reaches(results, found) else ", under-trained")
        axis.plot([calls] * len(values), values, "o", color="#1f5fa8", ms=5, alpha=0.6)
        axis.annotate(text, (calls, np.mean(values)), xytext=(8, 0), textcoords="offset points",
                      size=9, va="center")  # fmt: skip
    axis.set(xscale="log", xlabel="T and T* of the whole scan, for one image", ylabel="PSNR in dB")
    axis.set_xticks([2, 4, 8, 16], ["2", "4", "8", "16"])
    axis.minorticks_off()
    axis.set_title("LPD with 8 steps on one m-th of 120 angles each", size=10)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False)
    save(figure, path)


STUDY = of_trainings(
    "subsets",
    METHODS,
    "A step on one m-th of the angles costs one m-th of the operator calls; the image pays little.",
    "Calls fall as claimed, and time less, as networks cost the same. The image loses more than "
    "the spread of the seeds from the first halving on, and is below total variation from m = 4.",
    ("subsets.png", draw),
)

if __name__ == "__main__":
    typer.run(STUDY.main)
