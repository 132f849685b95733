"""Claim: learned schemes differ in what they reach on one problem.

    python -m studies.schemes            # studies/results/{scheme-*,proximal,primal,neumann}.json

``scheme-NAME`` are trainings with the same CPU time of one core each; their table is that of
docs/schemes.md, with docs/figures/schemes.png. The others have as many steps as they had in
their studies, with the learning rate of learned primal-dual; their table is in docs/depth.md.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import torch
import typer

from learnedrecon.models.classical import FBP
from learnedrecon.models.registry import MODELS
from learnedrecon.specs import from_plain
from studies.common.comparison import draw, equal_budget, line, longer, taken
from studies.common.equal_budget import TIMED_IMAGES, trained_within
from studies.common.fitting import counting
from studies.common.scans import SPARSE, experiment
from studies.common.schemes_compared import SCHEMES
from studies.common.scores import baseline, machines, score_table
from studies.common.study import RESULTS, Study
from studies.common.trained import parts

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.tables import Table
    from studies.common.study import Found, Job

OWN = ("proximal", "primal", "neumann")
METHODS = ("lpd", "split", "invertible", "unrolled", "greedy", "equilibrium", *OWN)
EQUAL = {
    f"scheme-{name}": partial(trained_within, f"scheme-{name}", scheme)
    for name, scheme in SCHEMES.items()
}
LONGER = (*METHODS, "end-to-end")
ELSEWHERE = {
    "learned_primal_dual": "lpd",
    "learned_gradient": "unrolled",
    "learned_proximal": "proximal",
    "learned_primal": "primal",
    "neumann": "neumann",
    "deep_gradient_descent": "end-to-end",
    "invertible_primal_dual": "invertible",
    "split_primal_dual": "split",
    "subset_primal_dual": "subsets-4",
    "equilibrium_gradient": "equilibrium",
    "filtered_primal_dual": "ellipses-filtered_lpd",
    "post_processing": "ellipses-unet",
    "operator_recurrent": "operator-recurrent",
    "psi_donet": "limited-psi",
    "semi_implicit_flow": "stopping-time",
    "lista": "lista",
    "lista_cp": "lista_cp",
    "lista_cpss": "lista_cpss",
    "alista": "alista",
}
"""Results of other studies, by registered name."""


@torch.no_grad()
def classical_costs(job: Job) -> Found:
    """CPU time and calls of T and T* for one image of the methods that are not learned."""
    torch.set_num_threads(1)
    whole = experiment(SPARSE, FBP().spec)
    found: Found = {"scan": SPARSE}
    for name in ("fbp", "tv"):
        spec = baseline(RESULTS, SPARSE)[name]["spec"]
        model = MODELS[name].build(from_plain(MODELS[name].spec, spec, name))
        times, counts = [], []
        for batch in whole.batches("test", TIMED_IMAGES, 1):
            with counting(whole) as calls:
                begun = time.process_time()
                model(batch.problem)
                times.append(time.process_time() - begun)
            counts.append(calls.number)
        middle = len(times) // 2
        found[name] = {"calls": sorted(counts)[middle], "cpu_ms": 1e3 * sorted(times)[middle]}
        job.say(f"{name}: {found[name]}")
    return found


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


def reached(name: str, results: Path = RESULTS) -> str:
    """What a registered scheme reached, here or in another study."""
    return line(results, name, ELSEWHERE.get(name))


STUDY = Study(
    "schemes",
    "Learned schemes differ in what they reach on one problem.",
    "After minutes learned gradient is clearly above tuned total variation, and most others are "
    "near it or below. With the same 30 s of one core for each, all are below it and "
    "under-trained: learned proximal descent comes closest, while learned primal-dual and learned "
    "PDHG, which start from zero, are no better than filtered back-projection.",
    {**parts(OWN), "scheme-classical": classical_costs, **EQUAL},
    page,
    ("schemes.png", draw(tuple(EQUAL), LONGER)),
)

if __name__ == "__main__":
    typer.run(STUDY.main)
