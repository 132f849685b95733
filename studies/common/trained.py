"""Parts that train: every seed of a method, what it scores, and what is measured of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import typer

from learnedrecon.evaluation.certificate import certified_step
from learnedrecon.specs import to_plain
from studies.common.fitting import all_seeds, best, summary
from studies.common.measured import certificate, curves
from studies.common.scans import TEXT, experiment
from studies.common.scores import score_table
from studies.common.study import Study, read
from studies.common.trainings import TRAININGS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.harness.tables import Table
    from studies.common.study import Figure, Found, Job


def parts(names: Sequence[str]) -> dict[str, Callable[[Job], Found]]:
    """The parts of a study that trains these methods."""
    return {name: partial(trained, name) for name in names}


def of_trainings(
    name: str, methods: Sequence[str], claim: str, shows: str, figure: Figure | None = None
) -> Study:
    """A study whose parts are trainings, and whose page is the table of their scores."""

    def page(results: Path) -> list[Table | str]:
        return [score_table(results, name, methods)]

    return Study(name, claim, shows, parts(methods), page, figure)


def trained(name: str, job: Job) -> Found:
    """What is measured of the trainings of all seeds; curves are those of the first one."""
    training = TRAININGS[name]
    if job.quick:
        fine = min(training.fine_tune, 5)
        training = replace(training, steps=20, seeds=1, fine_tune=fine)
    folder = job.folder(name)
    if job.measure:
        known = read(job.results, name)
        if known is None:
            raise typer.BadParameter(f"--measure needs a training: run --only {name} first")
        runs = known["runs"]
    else:
        runs = all_seeds(training, folder, job.say)
    whole = experiment(training.scan, training.model)
    spec = training.spec(0)
    found: Found = {
        "title": training.title,
        "scan": training.scan,
        "work": TEXT[training.scan],
        "config": to_plain(experiment(training.scan, training.model, spec, training.images).config),
        **summary(runs),
        "runs": runs,
    }
    if training.curves:
        found["curves"] = curves(best(folder / "0"), whole)
    if certified_step(best(folder / "0")) is not None:
        found["certificates"] = [
            certificate(best(folder / str(run["seed"])), whole) for run in runs
        ]
    return found
