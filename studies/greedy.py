"""Claim: greedy training needs a quarter of the operator calls, and costs image quality.

python -m studies.greedy            # studies/results/{end-to-end,greedy}.json
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

METHODS = ("end-to-end", "greedy")


def page(results: Path) -> list[Table | str]:
    """PSNR and costs."""
    return [score_table(results, "greedy", METHODS)]


STUDY = Study(
    "greedy",
    "Training one step after the other needs a quarter of the operator calls of training end to "
    "end.",
    "The calls and the time fall as claimed. The image is worse by more than the spread of the "
    "seeds, and below tuned total variation.",
    parts(METHODS),
    page,
)

if __name__ == "__main__":
    typer.run(STUDY.main)
