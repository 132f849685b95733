"""Writes the tables of the pages from the results, between their markers.

    python -m benchmarks.report
    python -m benchmarks.report --check      # fails if a page is not what it would write

A table named NAME stands between `<!-- begin NAME -->` and `<!-- end NAME -->` and is never typed
by hand. A result that is not there is said with the command that measures it.
"""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from tests.mutating.counts import table_and_share
from tests.operators.table import page as operators_page

from benchmarks import (
    allocation,
    espirit,
    filtered,
    layouts,
    memory,
    operators,
    other_projectors,
    radial_basis,
    ray_transform,
    scaling,
    total_variation,
    training_step,
)
from benchmarks.harness.run import RESULTS
from benchmarks.harness.tables import Table, machine, on_page, table
from learnedrecon.files import write_text
from learnedrecon.models.registry import MODELS
from studies import (
    adversarial,
    baselines,
    brain,
    certificates,
    demo,
    denoising,
    ellipses,
    gradients,
    greedy,
    inputs,
    invertible,
    limited_angle,
    lista,
    longer,
    noise,
    operator_recurrent,
    plug_and_play,
    schemes,
    solvers,
    stopping_time,
    subsets,
    torso,
)
from studies.common.reached import line
from studies.common.scores import machines
from studies.common.study import RESULTS as STUDY_RESULTS
from studies.common.study import Study

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
OPERATORS = DOCS / "operators.md"
NAMES = (
    "ray-transform.md",
    "speed.md",
    "depth.md",
    "plug-and-play.md",
    "schemes.md",
    "tests.md",
    "mri.md",
    OPERATORS.name,
)
PAGES = (*(DOCS / name for name in NAMES), ROOT / "studies" / "README.md")
MARKED = re.compile(r"(<!-- begin (?P<name>[\w-]+) -->\n).*?(<!-- end (?P=name) -->)", re.DOTALL)
STUDIES: tuple[Study, ...] = (
    longer.STUDY,
    certificates.STUDY,
    solvers.STUDY,
    gradients.STUDY,
    invertible.STUDY,
    greedy.STUDY,
    subsets.STUDY,
    schemes.STUDY,
    inputs.STUDY,
    torso.STUDY,
    brain.STUDY,
    adversarial.STUDY,
    denoising.STUDY,
    lista.STUDY,
    operator_recurrent.STUDY,
    plug_and_play.STUDY,
    limited_angle.STUDY,
    stopping_time.STUDY,
    baselines.STUDY,
    noise.STUDY,
    ellipses.STUDY,
    demo.STUDY,
)


def of_result(name: str, render: Callable[[dict[str, Any]], Table | str]) -> Callable[[], str]:
    """What is written of a benchmark's JSON."""

    def write() -> str:
        path = RESULTS / f"{name}.json"
        if not path.exists():
            return f"Not measured yet: `python -m benchmarks.{name}`.\n"
        return on_page([render(json.loads(path.read_text(encoding="utf-8")))])

    return write


def of_memory(part: str, render: Callable[[dict[str, Any]], Table | str]) -> Callable[[], str]:
    """What is written of a part of the memory of a training step."""

    def rendered(content: dict[str, Any]) -> Table | str:
        found = content["parts"].get(part)
        if found is None:
            return f"Not measured yet: `python -m benchmarks.memory --only {part}`.\n"
        return render(found)

    return of_result("memory", rendered)


def index() -> str:
    """All studies: claim, command, results, figure, and what they show."""

    def recorded(study: Study) -> str:
        names = study.recorded or ", ".join(f"{name}.json" for name in study.parts)
        return f"`{names}`" + (f", `{study.figure[0]}`" if study.figure else "")

    columns = {
        "claim": lambda study: study.claim,
        "command": lambda study: f"`python -m studies.{study.name}`",
        "results, figure": recorded,
        "what it shows": lambda study: study.shows,
    }
    return table(STUDIES, columns).markdown()


TABLES: dict[str, Callable[[], str]] = {
    "machine": of_result("ray_transform", machine),
    **{
        name: of_result("ray_transform", partial(ray_transform.part_of, name=name))
        for name in ray_transform.PARTS
    },
    "scaling-machine": of_result("scaling", machine),
    "scaling": of_result("scaling", lambda content: scaling.tables(content)[0]),
    "step-machine": of_result("training_step", machine),
    "step": of_result("training_step", training_step.against_deepinv),
    "step-variants": of_result("training_step", training_step.variants),
    "step-shares": of_result("training_step", training_step.shares),
    "filtered-machine": of_result("filtered", machine),
    "filtered": of_result("filtered", lambda content: filtered.BENCHMARK.tables(content)[0]),
    "allocation-machine": of_result("allocation", machine),
    "allocation": of_result("allocation", lambda content: allocation.tables(content)[0]),
    "layouts-machine": of_result("layouts", machine),
    "layouts": of_result("layouts", lambda content: layouts.tables(content)[0]),
    "radial-machine": of_result("radial_basis", machine),
    "radial": of_result("radial_basis", lambda content: radial_basis.BENCHMARK.tables(content)[0]),
    "others-machine": of_result("other_projectors", machine),
    "others": of_result(
        "other_projectors", lambda content: other_projectors.BENCHMARK.tables(content)[0]
    ),
    "total-variation-machine": of_result("total_variation", machine),
    "total-variation": of_result(
        "total_variation", lambda content: total_variation.BENCHMARK.tables(content)[0]
    ),
    "operators-machine": of_result("operators", machine),
    "operators": of_result("operators", lambda content: operators.tables(content)[0]),
    "espirit-machine": of_result("espirit", machine),
    "espirit": of_result("espirit", lambda content: espirit.tables(content)[0]),
    "mutations": of_result("mutations", table_and_share),
    **{f"memory-{name}-machine": of_memory(name, machine) for name in memory.TABLES},
    **{f"memory-{name}": of_memory(name, render) for name, render in memory.TABLES.items()},
    "solvers-machine": solvers.STUDY.where,
    "solvers": solvers.STUDY.text,
    "gradients-machine": gradients.STUDY.where,
    "gradients": gradients.STUDY.text,
    "iterations-machine": partial(machines, STUDY_RESULTS, "longer", longer.METHODS),
    "iterations": longer.STUDY.text,
    "certified-machine": partial(machines, STUDY_RESULTS, "certificates", certificates.OWN),
    "certified": certificates.STUDY.text,
    "invertible-machine": partial(machines, STUDY_RESULTS, "invertible", invertible.METHODS),
    "invertible": invertible.STUDY.text,
    "greedy-machine": partial(machines, STUDY_RESULTS, "greedy", greedy.METHODS),
    "greedy": greedy.STUDY.text,
    "subsets-machine": partial(machines, STUDY_RESULTS, "subsets", subsets.METHODS),
    "subsets": subsets.STUDY.text,
    "lista-machine": lista.WHERE,
    "lista": lista.STUDY.text,
    "operator-recurrent-machine": operator_recurrent.WHERE,
    "operator-recurrent": operator_recurrent.STUDY.text,
    "plug-and-play-machine": partial(
        machines, STUDY_RESULTS, "plug_and_play", tuple(plug_and_play.PARTS)
    ),
    "plug-and-play": plug_and_play.STUDY.text,
    "limited-angle-machine": limited_angle.WHERE,
    "limited-angle": limited_angle.STUDY.text,
    "stopping-time-machine": stopping_time.STUDY.where,
    "stopping-time": stopping_time.STUDY.text,
    "schemes": schemes.STUDY.text,
    "schemes-compared": lambda: on_page(schemes.equal()),
    "schemes-longer": lambda: on_page(schemes.others()),
    "schemes-compared-machine": schemes.where,
    **{f"scheme-{name}": partial(line, name) for name in MODELS},
    "inputs-machine": partial(machines, STUDY_RESULTS, "inputs", inputs.METHODS),
    "inputs": inputs.STUDY.text,
    "adversarial-machine": adversarial.where,
    "adversarial": adversarial.STUDY.text,
    "torso-machine": torso.where,
    "torso": torso.STUDY.text,
    "brain-machine": brain.where,
    "brain": brain.STUDY.text,
    "brain-figure": brain.picture,
    "brain-measured": brain.met,
    "denoising-machine": partial(machines, STUDY_RESULTS, "denoising", tuple(denoising.PARTS)),
    "denoising": denoising.STUDY.text,
    "noise": noise.STUDY.text,
    "studies": index,
}


def filled(page: str) -> str:
    """The page with every marked part written anew.

    Raises:
        KeyError: A marker names no table.
    """
    return MARKED.sub(lambda match: f"{match[1]}{TABLES[match['name']]()}{match[3]}", page)


def written(path: Path) -> str:
    """A page as it should be: with its marked parts written anew, or all of it from its JSON."""
    if path == OPERATORS:
        result = STUDY_RESULTS / "operator-table.json"
        return operators_page(json.loads(result.read_text(encoding="utf-8")))
    return filled(path.read_text(encoding="utf-8"))


def main(
    *, check: Annotated[bool, typer.Option(help="Change nothing; fail if it would.")] = False
) -> None:
    """Fills the pages."""
    for path in PAGES:
        new = written(path)
        if not check:
            write_text(path, new)
        elif new != path.read_text(encoding="utf-8"):
            raise SystemExit(f"{path.name} is not what python -m benchmarks.report writes; run it")


if __name__ == "__main__":
    typer.run(main)
