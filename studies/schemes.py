"""Claim: learned schemes differ in what they reach on one problem.

    python -m studies.schemes            # studies/results/{proximal,primal,neumann}.json

All with the learning rate of learned primal-dual and one image a step. Those of other studies stand
beside the relatives, as they were recorded there.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import typer

from studies.common.equal_budget import trained_within
from studies.common.schemes_compared import SCHEMES
from studies.common.scores import score_table
from studies.common.study import Study
from studies.common.trained import parts

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.tables import Table

OWN = ("proximal", "primal", "neumann")
EQUAL = {
    f"scheme-{name}": partial(trained_within, f"scheme-{name}", scheme)
    for name, scheme in SCHEMES.items()
}
METHODS = ("lpd", "split", "invertible", "unrolled", "greedy", "equilibrium", *OWN)


def page(results: Path) -> list[Table | str]:
    """PSNR, parameters and calls of T of every scheme."""
    return [score_table(results, "schemes", METHODS)]


STUDY = Study(
    "schemes",
    "Learned schemes differ in what they reach on one problem.",
    "After 3000 steps learned proximal descent is above tuned total variation, and as good as "
    "learned primal-dual after 6000 within the spread of its seeds. Learned primal and the Neumann "
    "network are below total variation after as many steps: under-trained, of one seed each.",
    {**parts(OWN), **EQUAL},
    page,
)

if __name__ == "__main__":
    typer.run(STUDY.main)
