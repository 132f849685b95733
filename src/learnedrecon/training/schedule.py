"""The learning rate at every step, a function of the step alone: there is no state to save."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from learnedrecon.training.spec import ScheduleSpec


def factor(schedule: ScheduleSpec, *, step: int, steps: int) -> float:
    """What the learning rate is multiplied by.

    With w = ⌊warmup · steps⌋ the factor is (step + 1) / (w + 1) while step < w, and then

    - ``cosine``: (1 + cos(π (step - w) / (steps - w))) / 2 (Loshchilov and Hutter 2017),
    - ``constant``: 1,
    - ``inverse_time``: 1 / (1 + rate · ⌊(step - w) / every⌋), the staircase of Adler and Öktem
      (2017).

    Args:
        schedule: its kind and numbers.
        step: counted from 0; beyond ``steps`` the cosine stays at 0.
        steps: of the whole run.
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
