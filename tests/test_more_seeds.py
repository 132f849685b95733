"""``--more`` of a study: recorded seeds are kept, the others trained as the first one was."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import typer

from learnedrecon.models.learned_proximal import LearnedProximal
from studies.common import equal_budget
from studies.common.equal_budget import Scheme, trained_within
from studies.common.study import Job

if TYPE_CHECKING:
    from pathlib import Path

    from learnedrecon.experiments.experiment import Experiment

SCHEME = Scheme("learned proximal", LearnedProximal(2, 4), seeds=3)
FIRST = {"seed": 0, "psnr": 20.0, "ssim": 0.5, "training_seconds": 7.0}


class _Stored(Job):
    """A job that reads from a given folder."""

    kept: Path

    @property
    def results(self) -> Path:
        return self.kept


@pytest.fixture
def job(tmp_path: Path) -> Job:
    stored = _Stored(more=True, say=lambda _: None)
    object.__setattr__(stored, "kept", tmp_path)
    return stored


def _record(folder: Path, scheme: Scheme) -> dict[str, Any]:
    config = equal_budget._config(scheme, 40, 1e-3)
    del config["training"]["average"]  # None, and not written by an earlier version
    known = {"title": scheme.title, "config": config, "command": "first", "runs": [FIRST]}
    (folder / "some.json").write_text(json.dumps(known))
    return known


def test_only_missing_seeds_are_trained_and_as_the_first_one(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, trained = _record(job.results, SCHEME), []

    def instead(_: Path, whole: Experiment) -> dict[str, float]:
        trained.append(whole.config.training)
        return {"psnr": 20.0 + 3 * len(trained), "ssim": 0.6, "training_seconds": 7.0}

    monkeypatch.setattr(equal_budget, "_trained", instead)
    found = trained_within("some", SCHEME, job)
    assert [spec.seed for spec in trained] == [1, 2]
    assert {(spec.steps, spec.optimiser.learning_rate) for spec in trained} == {(40, 1e-3)}
    assert found["runs"][0] == FIRST
    assert found["command"] == known["command"]
    assert found["psnr"] == pytest.approx((20 + 23 + 26) / 3)


def test_a_scheme_that_has_changed_is_not_mixed_with_recorded_seeds(job: Job) -> None:
    _record(job.results, replace(SCHEME, model=LearnedProximal(3, 4)))
    with pytest.raises(typer.BadParameter, match="not the recorded one"):
        trained_within("some", SCHEME, job)


def test_more_seeds_of_nothing_is_an_error(job: Job) -> None:
    with pytest.raises(typer.BadParameter, match="needs a recorded training"):
        trained_within("some", SCHEME, job)
