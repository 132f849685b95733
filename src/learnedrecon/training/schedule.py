"""Learning rate schedules, functions of the step without a state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from learnedrecon.training.spec import ScheduleSpec


def factor(schedule: ScheduleSpec, *, step: int, steps: int) -> float:
    """The factor of the learning rate at a step.

    With w = ⌊warmup · steps⌋ the factor is (step + 1) / (w + 1) while step < w, and then

    - ``cosine``: (1 + cos(π (step - w) / (steps - w))) / 2 (Loshchilov and Hutter 2017),
    - ``constant``: 1,
    - ``inverse_time``: 1 / (1 + rate · ⌊(step - w) / every⌋), the staircase of Adler and Öktem
      (2017).

    Args:
        schedule: Kind and parameters of the schedule.
        step: Number of the step, from 0; beyond ``steps`` the cosine is 0.
        steps: Number of steps of the whole run.
    """
    warmup = math.floor(schedule.warmup * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    after = step - warmup
    if schedule.kind == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * min(after / max(steps - warmup, 1), 1.0)))
    if schedule.kind == "inverse_time":
        return 1.0 / (1.0 + schedule.rate * (after // schedule.every))
    return 1.0
