"""Claim: greedy training needs a quarter of the operator calls, and costs image quality.

    python -m studies.greedy            # studies/results/{end-to-end,greedy}.json

The gradients of the data term are read from a cache on the disk.
"""

from __future__ import annotations

import typer

from studies.common.trained import of_trainings

METHODS = ("end-to-end", "greedy")
STUDY = of_trainings(
    "greedy",
    METHODS,
    "Training one step after the other needs a quarter of the operator calls of training end to "
    "end.",
    "The calls and the time fall as claimed. The image is worse by more than the spread of the "
    "seeds, and below tuned total variation.",
)

if __name__ == "__main__":
    typer.run(STUDY.main)
