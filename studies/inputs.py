"""Claim: what a learned step sees decides what it reaches.

    python -m studies.inputs            # studies/results/inputs-*.json

The generalised step u ← u + N_k(...) with seven subsets of its inputs, three seeds of each. T*y and
T*Tu are the two halves of ∇D = T*(Tu - y); y itself by T* is T*y. Without u among the inputs the
step is N_k(...), not a change of u.
"""

from __future__ import annotations

import typer

from studies.common.trained import of_trainings
from studies.common.trainings import TRAININGS

METHODS = tuple(name for name in TRAININGS if name.startswith("inputs-"))

STUDY = of_trainings(
    "inputs",
    METHODS,
    "What a learned step sees decides what it reaches.",
    "Without u among its inputs a step is 6 dB worse. The other six subsets lie within 0.2 dB of "
    "one another after 400 steps, about the spread of the seeds: started at FBP, so short a "
    "training does not decide what an input is worth. All are under-trained.",
)

if __name__ == "__main__":
    typer.run(STUDY.main)
