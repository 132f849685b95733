from __future__ import annotations

import math

import pytest
import torch

from learnedrecon.training.schedule import factor
from learnedrecon.training.spec import ScheduleSpec


def test_cosine_is_that_of_torch() -> None:
    steps = 50
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps)
    for step in range(steps + 1):
        expected = optimiser.param_groups[0]["lr"]
        assert factor(ScheduleSpec(), step=step, steps=steps) == pytest.approx(expected, abs=1e-14)
        optimiser.step()
        reference.step()


def test_cosine_in_closed_form() -> None:
    values = [factor(ScheduleSpec(), step=step, steps=4) for step in range(7)]
    root = math.sqrt(0.5)
    expected = [1, (1 + root) / 2, 0.5, (1 - root) / 2, 0, 0, 0]
    assert values == pytest.approx(expected, abs=1e-15)


def test_inverse_time_is_a_staircase() -> None:
    """Adler and Öktem 2017: rate 1 every 500 steps."""
    schedule = ScheduleSpec(kind="inverse_time", rate=1.0, every=500)
    steps = [0, 499, 500, 999, 1000, 99_999]
    values = [factor(schedule, step=step, steps=100_000) for step in steps]
    assert values == [1, 1, 1 / 2, 1 / 2, 1 / 3, 1 / 200]


@pytest.mark.parametrize("kind", ["cosine", "constant", "inverse_time"])
def test_warmup_rises_in_equal_steps_to_where_the_schedule_begins(kind: str) -> None:
    schedule = ScheduleSpec(kind=kind, warmup=0.4, every=2)  # type: ignore[arg-type]
    values = [factor(schedule, step=step, steps=10) for step in range(10)]
    assert values[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0], abs=1e-15)
    shorter = ScheduleSpec(kind=kind, every=2)  # type: ignore[arg-type]
    assert values[4:] == [factor(shorter, step=step, steps=6) for step in range(6)]


def test_constant_is_constant() -> None:
    schedule = ScheduleSpec(kind="constant")
    assert {factor(schedule, step=step, steps=10) for step in range(20)} == {1.0}
