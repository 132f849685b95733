from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.config.yaml_file import read_config
from learnedrecon.experiments import budget
from learnedrecon.experiments.experiment import Experiment

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL = (
    "operator.shape=[16, 16]",
    "operator.detector.pixels=23",
    "operator.angles.number=5",
    "data.train.size=16",
    "data.validation.size=16",
    "data.test.size=16",
    "data.simulation.grid=[32, 32]",
    "model.iterations=1",
)


@pytest.fixture
def experiment() -> Experiment:
    with as_file(files("learnedrecon.config") / "presets" / "demo.yaml") as path:
        return Experiment(read_config(path, SMALL))


@pytest.fixture
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_steps_fill_the_time(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "seconds_per_step", lambda _: 0.1)
    training = budget.within(experiment, 0.5).config.training
    assert (training.steps, training.validate_every) == (300, 60)
    assert budget.within(experiment, 1e-9).config.training.steps == 1


def test_nothing_but_the_steps_changes(experiment: Experiment) -> None:
    changed = budget.with_steps(experiment, 7).config
    assert changed.training.steps == 7
    assert changed.model == experiment.config.model
    assert changed.data == experiment.config.data
    assert changed.training.optimiser == experiment.config.training.optimiser


def test_timing_leaves_the_run_as_it_would_be(experiment: Experiment) -> None:
    first = [p.clone() for p in experiment.model().parameters()]
    assert budget.seconds_per_step(experiment) > 0
    for before, after in zip(first, experiment.model().parameters(), strict=True):
        assert torch.equal(before, after)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize(("slow", "best"), [(1, 2), (2, 1)])
def test_the_faster_number_of_threads_is_used_inside_only(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, slow: int, best: int
) -> None:
    def seconds(_: Experiment) -> float:
        return 2.0 if torch.get_num_threads() == slow else 1.0

    monkeypatch.setattr(budget, "seconds_per_step", seconds)
    with budget.fastest_threads(experiment) as threads:
        assert threads == torch.get_num_threads() == best
    assert torch.get_num_threads() == 2
