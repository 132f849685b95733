"""Claim: learned schemes differ in what they reach on one problem.

    python -m studies.schemes            # studies/results/{scheme-*,proximal,primal,neumann}.json

``scheme-NAME`` are trainings with the same CPU time of one core each; their table is that of
docs/schemes.md, with docs/figures/schemes.png. The others have as many steps as they had in
their studies, with the learning rate of learned primal-dual; their table is in docs/depth.md.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import typer

from studies.common.comparison import draw, equal_budget, longer, taken
from studies.common.equal_budget import classical_costs, trained_within
from studies.common.scans import SPARSE
from studies.common.schemes_compared import SCHEMES
from studies.common.scores import machines, score_table
from studies.common.study import RESULTS, Study
from studies.common.trained import parts

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.tables import Table

OWN = ("proximal", "primal", "neumann")
METHODS = ("lpd", "split", "invertible", "unrolled", "greedy", "equilibrium", *OWN)
EQUAL = {
    f"scheme-{name}": partial(trained_within, f"scheme-{name}", scheme)
    for name, scheme in SCHEMES.items()
}
LONGER = (*METHODS, "end-to-end")


def page(results: Path) -> list[Table | str]:
    """PSNR, parameters and calls of T of every scheme."""
    return [score_table(results, "schemes", METHODS)]


def equal(results: Path = RESULTS) -> list[Table | str]:
    """The table of the trainings with the same CPU time."""
    return equal_budget(results, tuple(EQUAL))


def others(results: Path = RESULTS) -> list[Table | str]:
    """The table of the trainings of other studies on the same problem, and what it shows."""
    return [*longer(results, LONGER), taken(results, LONGER)]


def where(results: Path = RESULTS) -> str:
    """Where and how each of them was measured."""
    return machines(results, "schemes", ("scheme-classical", *EQUAL))


STUDY = Study(
    "schemes",
    "Learned schemes differ in what they reach on one problem.",
    "After minutes learned gradient is clearly above tuned total variation, and most others are "
    "near it or below. With the same 120 s of one core for each, MoDL and learned proximal descent "
    "tie with it, and the others are below and under-trained: LPD starts from zero and learns more "
    "slowly, learned PDHG with shared weights still rises by 0.9 dB in its last quarter.",
    {**parts(OWN), "scheme-classical": lambda _: classical_costs(SPARSE), **EQUAL},
    page,
    ("schemes.png", draw(tuple(EQUAL), LONGER)),
)

if __name__ == "__main__":
    typer.run(STUDY.main)
