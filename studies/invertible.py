"""Claim: an invertible scheme costs no image quality that three seeds can show.

    python -m studies.invertible            # studies/results/{lpd,split,invertible}.json

Memory against depth is benchmarks/memory.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from studies.common.scores import score_table
from studies.common.study import Study
from studies.common.trained import parts

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.tables import Table

METHODS = ("lpd", "split", "invertible")


def page(results: Path) -> list[Table | str]:
    """PSNR and costs."""
    return [score_table(results, "invertible", METHODS)]


STUDY = Study(
    "invertible",
    "Invertible primal-dual schemes reach what learned primal-dual reaches in as many steps.",
    "With memory channels in two halves the mean over three seeds is that of the plain scheme "
    "within its standard error. Without memory channels it is lower by more than that error, and "
    "no better than tuned total variation.",
    parts(METHODS),
    page,
)

if __name__ == "__main__":
    typer.run(STUDY.main)
