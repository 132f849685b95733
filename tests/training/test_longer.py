"""A run that is finished or was stopped is given more steps by the same command."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from learnedrecon.errors import ConfigError
from learnedrecon.specs import to_plain
from learnedrecon.training.longer import same_schedule
from learnedrecon.training.run import RunFolder
from learnedrecon.training.schedule import factor
from learnedrecon.training.spec import ScheduleSpec

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from learnedrecon.training.losses import Loss
    from learnedrecon.training.spec import TrainingSpec

CONSTANT = ScheduleSpec(kind="constant", warmup=0.0)
COSINE = ScheduleSpec(kind="cosine", warmup=0.0)


def fit(tiny: ModuleType, path: Path, spec: TrainingSpec, loss: Loss | None = None) -> int:
    run = RunFolder.start(path, config={"training": to_plain(spec)}, blueprint=tiny.blueprint())
    result = tiny.fit_in(run, spec, loss=loss)
    step: int = result.step
    return step


@pytest.mark.parametrize("stopped", [False, True])
def test_k_steps_and_more_are_one_run(
    tiny: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, stopped: bool
) -> None:
    caplog.set_level(logging.INFO, "learnedrecon")
    short, long = (replace(tiny.spec_of(n), schedule=CONSTANT) for n in (4, 8))
    assert fit(tiny, tmp_path / "whole", long) == 8
    if stopped:
        assert (
            fit(tiny, tmp_path / "parts", short, loss=tiny.StopAt(short.batch.accumulate * 2)) == 2
        )
    else:
        assert fit(tiny, tmp_path / "parts", short) == 4
    assert fit(tiny, tmp_path / "parts", long) == 8
    tiny.assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert "training.steps 8 in place of 4" in caplog.text
    assert f"{2 if stopped else 4} steps and 8 in all are one run of 8 steps" in caplog.text


def test_a_schedule_that_depends_on_the_number_of_steps_is_said(
    tiny: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "learnedrecon")
    short, long = (replace(tiny.spec_of(n), schedule=COSINE) for n in (4, 8))
    assert fit(tiny, tmp_path, short) == 4
    assert fit(tiny, tmp_path, long) == 8
    assert "the result is not that of one run of 8 steps" in caplog.text


def test_no_more_steps_and_other_changes_are_refused(tiny: ModuleType, tmp_path: Path) -> None:
    spec = replace(tiny.spec_of(4), schedule=CONSTANT)
    fit(tiny, tmp_path, spec)
    with pytest.raises(ConfigError, match=r"all its 4 steps.*training\.steps=N, N > 4"):
        fit(tiny, tmp_path, spec)
    with pytest.raises(ConfigError, match=r"training\.steps is 3 and was 4"):
        fit(tiny, tmp_path, replace(spec, steps=3))
    with pytest.raises(ConfigError, match=r"training\.seed"):
        fit(tiny, tmp_path, replace(spec, steps=8, seed=spec.seed + 1))


@pytest.mark.parametrize("kind", ["cosine", "constant", "inverse_time"])
@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.5])
def test_what_is_said_of_the_schedule_is_so(kind: str, warmup: float) -> None:
    schedule = ScheduleSpec(kind=kind, warmup=warmup)  # type: ignore[arg-type]
    for before, now in ((4, 8), (10, 11), (20, 100), (1, 3)):
        config = {"training": {"steps": now, "schedule": to_plain(schedule)}}
        rates = [[factor(schedule, step=k, steps=n) for k in range(before)] for n in (before, now)]
        equal = rates[0] == rates[1]
        assert equal or not same_schedule(config, before)
        if kind != "cosine":
            assert equal == same_schedule(config, before)
