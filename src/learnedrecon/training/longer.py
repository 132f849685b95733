"""More steps for a run: which changes of its configuration they are, and what they mean."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from learnedrecon.specs import from_plain
from learnedrecon.training.spec import ScheduleSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

OF_LENGTH: Final = ("training.steps", "training.validate_every")
"""The values of a configuration that may differ where a run is given more steps."""


def steps_of(config: Mapping[str, Any]) -> int | None:
    """The number of steps that a configuration asks for, or None.

    Args:
        config: Configuration as plain data.
    """
    training = config.get("training")
    steps = training.get("steps") if isinstance(training, dict) else None
    return steps if isinstance(steps, int) else None


def is_longer(config: Mapping[str, Any], done: int) -> bool:
    """True if a configuration asks for more steps than are done, trained all together.

    Greedy training divides its steps among stages, and cannot be made longer.

    Args:
        config: Configuration as plain data.
        done: Number of steps of the run.
    """
    steps = steps_of(config)
    return steps is not None and steps > done and config["training"].get("strategy") is None


def same_schedule(config: Mapping[str, Any], before: int) -> bool:
    """True if the learning rates of the first steps do not depend on the new number of steps.

    Args:
        config: New configuration as plain data.
        before: Number of steps that the run was to have.
    """
    plain = config["training"].get("schedule")
    schedule = ScheduleSpec() if plain is None else from_plain(ScheduleSpec, plain, "schedule")
    steps = steps_of(config) or before
    warmups = {math.floor(schedule.warmup * number) for number in (before, steps)}
    return schedule.kind != "cosine" and len(warmups) == 1


def longer_text(config: Mapping[str, Any], before: int, done: int) -> str:
    """The meaning of more steps, in words.

    Args:
        config: New configuration as plain data.
        before: Number of steps that the run was to have.
        done: Number of steps of the run.
    """
    steps = steps_of(config)
    if same_schedule(config, before):
        return (
            f"{done} steps and {steps} in all are one run of {steps} steps: the schedule allows it."
        )
    return (
        f"From step {done} on the learning rate is that of a run of {steps} steps, and was that of "
        f"one of {before}: the result is not that of one run of {steps} steps. It is, with a "
        "'constant' or 'inverse_time' schedule without warmup."
    )
