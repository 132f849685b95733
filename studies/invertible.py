"""Claim: an invertible scheme costs no image quality that three seeds can show.

    python -m studies.invertible            # studies/results/{lpd,split,invertible}.json

Memory against depth is benchmarks/memory.py.
"""

from __future__ import annotations

import typer

from studies.common.trained import of_trainings

METHODS = ("lpd", "split", "invertible")
STUDY = of_trainings(
    "invertible",
    METHODS,
    "Invertible primal-dual schemes reach what learned primal-dual reaches in as many steps.",
    "With memory channels in two halves the mean over three seeds is that of the plain scheme "
    "within its standard error. Without memory channels it is lower by more than that error, and "
    "no better than tuned total variation.",
)

if __name__ == "__main__":
    typer.run(STUDY.main)
