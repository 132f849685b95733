"""The number of training steps for a given time."""

from __future__ import annotations

import statistics
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from learnedrecon.experiments.experiment import Experiment
from learnedrecon.training.accelerator import make_accelerator, place
from learnedrecon.training.update import Supervised

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIMED = 12
_WARM = 2


def seconds_per_step(experiment: Experiment) -> float:
    """The median time of a training step in seconds, with data, measured on a temporary model.

    Args:
        experiment: Experiment to time.
    """
    training = experiment.config.training
    model = experiment.model()
    accelerator = make_accelerator(
        training.precision, cpu=torch.device(experiment.device).type == "cpu"
    )
    place(model, accelerator, channels_last=training.channels_last)
    update = Supervised(model, loss=experiment.config.loss, spec=training, accelerator=accelerator)
    batches = experiment.training_batches().batches(0)
    seconds = []
    for step in range(_TIMED):
        begun = time.perf_counter()
        update(model, [next(batches)], step=step)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[_WARM:])


@contextmanager
def fastest_threads(experiment: Experiment) -> Iterator[int]:
    """A context in which torch uses the fastest number of threads: one, or the present number.

    Networks on small images gain little from a second thread, and lose time on busy cores.

    Args:
        experiment: Experiment to time.
    """
    before = torch.get_num_threads()
    seconds = {}
    try:
        for threads in {before, 1}:
            torch.set_num_threads(threads)
            seconds[threads] = seconds_per_step(experiment)
        best = min(seconds, key=seconds.__getitem__)
        torch.set_num_threads(best)
        yield best
    finally:
        torch.set_num_threads(before)


def within(experiment: Experiment, minutes: float) -> Experiment:
    """The same experiment with as many steps as fit into ``minutes``, and five validations.

    The schedule ends with the steps, so that the result depends on the machine; the configuration
    of the run records the number of steps.

    Args:
        experiment: Experiment.
        minutes: Time of the training in minutes.
    """
    return with_steps(experiment, max(1, int(60 * minutes / seconds_per_step(experiment))))


def with_steps(experiment: Experiment, steps: int) -> Experiment:
    """The same experiment with ``steps`` steps and five validations.

    Args:
        experiment: Experiment.
        steps: Number of optimiser steps.
    """
    training = replace(
        experiment.config.training, steps=steps, validate_every=max(1, steps // 5), log_every=5
    )
    return Experiment(replace(experiment.config, training=training), experiment.device)
