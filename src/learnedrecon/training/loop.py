"""The training loop."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch

from learnedrecon.errors import ConfigError, DataError, describe
from learnedrecon.generators import seed_generators, undisturbed_generators
from learnedrecon.training.accelerator import across_processes, place
from learnedrecon.training.average import MovingAverage
from learnedrecon.training.interrupt import StopRequest
from learnedrecon.training.loggers import Log
from learnedrecon.training.state import Progress, TrainingState

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from torch import nn

    from learnedrecon.data.batch import Batch
    from learnedrecon.training.loggers import Logger
    from learnedrecon.training.run import RunFolder
    from learnedrecon.training.spec import BatchSpec, BestSpec, TrainingSpec
    from learnedrecon.training.update import Update


class BatchSource(Protocol):
    """Protocol of endless sequences of batches, the same in every run.

    :class:`learnedrecon.data.loader.Loader` is one; in a distributed run, its ``for_process``.
    """

    def batches(self, start_step: int) -> Iterator[Batch]:
        """Batches number ``start_step``, ``start_step`` + 1, ... on the device."""
        ...


@runtime_checkable
class PreparedSource(BatchSource, Protocol):
    """Protocol of sources with preparations before some steps, such as filling a cache."""

    def prepare(self, step: int, stopped: Callable[[], bool]) -> bool:
        """Preparation before a step; False where ``stopped`` became true meanwhile.

        The run is then saved in its present state.
        """
        ...


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training.

    Attributes:
        step: Number of optimiser steps in all.
        best: Best number of a validation, the largest PSNR in dB by default, or None.
        interrupted: True if the run was stopped before its last step; it is saved.
    """

    step: int
    best: float | None
    interrupted: bool


def train(
    *,
    model: nn.Module,
    source: BatchSource,
    update: Update,
    run: RunFolder,
    spec: TrainingSpec,
    validate: Callable[[nn.Module], Mapping[str, float]] | None = None,
    loggers: Sequence[Logger] = (),
) -> TrainingResult:
    """Training of ``model`` in place, from the state of ``run`` to ``spec.steps`` or a stop.

    On the CPU, k steps, a stop and k steps more are 2k steps, bit for bit: weights, optimiser, data
    order, every generator, metrics. Validation and data source do not change the global generators.
    At step 0 these are seeded with ``spec.seed``. A validation that fails loses no step: the steps
    are saved, and a resumed run begins with the validation.

    At the first ctrl-C or SIGTERM the present step is finished, the run saved, and the function
    returns; a second one raises.

    Args:
        model: Module to train; its present weights are the initial ones if ``run`` has no
            checkpoint.
        source: Source of batches; number ⌊step / repeats⌋ · accumulate and following form a step.
        update: Update that performs one optimiser step.
        run: Run folder with checkpoints and metrics.
        spec: Specification of the training.
        validate: Function from the model (in evaluation mode, without gradients, in full precision,
            with the averaged weights if there are any) to numbers. ``spec.best`` names the number
            that selects ``best``; with ``partial_`` before its name, for an incomplete model, it
            selects nothing.
        loggers: Additional loggers; ``metrics.jsonl`` is always written.

    Raises:
        DataError: A loss or gradient is not finite; no file is overwritten.
        FileFormatError: The checkpoint is broken or does not fit.
        ConfigError: Another process writes to the folder.
    """
    accelerator = update.accelerator
    with ExitStack() as stack:
        if accelerator.is_main_process:
            stack.enter_context(run.lock)
        run.checkpoints.metric = spec.best.metric
        place(model, accelerator, channels_last=spec.channels_last)
        average = None if spec.average is None else MovingAverage(model, spec.average)
        state = TrainingState(model, update, average)
        progress = run.checkpoints.load_last(state)
        if progress is None:
            seed_generators(spec.seed)
            progress = Progress()
        accelerator.wait_for_everyone()  # before the first of them writes
        forward = across_processes(model, accelerator).train()
        writers = [run.metrics, *loggers] if accelerator.is_main_process else []
        saved_at = time.monotonic()
        stopping = False

        data = stack.enter_context(closing(_steps(source, spec.batch, progress.step)))
        log = stack.enter_context(Log(writers, step=progress.step, steps=spec.steps))
        stop = stack.enter_context(StopRequest(accelerator))
        checkpointer = _Checkpointer(
            state, run, log, validate, best=spec.best, main=accelerator.is_main_process
        )
        if progress.unvalidated:
            finished = progress.step == spec.steps
            progress = checkpointer.validated(
                replace(progress, finished=finished, unvalidated=False)
            )
            checkpointer.save(progress)
        while progress.step < spec.steps and not stopping:
            if isinstance(source, PreparedSource) and not source.prepare(progress.step, stop.poll):
                checkpointer.save(progress)
                break
            with undisturbed_generators():
                batches = next(data)
            metrics = update(forward, batches, step=progress.step)
            step = progress.step + 1
            last = step == spec.steps
            progress = replace(progress, step=step, finished=last)
            if average is not None:
                average.update(model, step=step)
            if step % spec.log_every == 0 or last:
                log.write("train", step, metrics)
            if step % spec.validate_every == 0 or last:
                progress = checkpointer.validated(progress)

            stopping = stop.poll()
            late = time.monotonic() - saved_at > (spec.checkpoint.seconds or math.inf)
            if step % spec.checkpoint.every == 0 or last or stopping or late:
                checkpointer.save(progress)
                saved_at = time.monotonic()
        accelerator.wait_for_everyone()  # so that the result is there when any of them returns
    return TrainingResult(progress.step, progress.best, interrupted=progress.step < spec.steps)


class _Checkpointer:
    """Validates and saves.

    Args:
        state: what is saved.
        run: where.
        log: of validations.
        validate: see :func:`train`.
        best: Which weights are kept.
        main: whether this process writes.
    """

    def __init__(
        self,
        state: TrainingState,
        run: RunFolder,
        log: Log,
        validate: Callable[[nn.Module], Mapping[str, float]] | None,
        *,
        best: BestSpec,
        main: bool,
    ) -> None:
        self.best = best
        self.state = state
        self.run = run
        self.log = log
        self.validate = validate
        self.main = main

    def save(self, progress: Progress) -> None:
        """Writes ``last``, and the records until then."""
        if self.main:
            self.run.restore()
            self.log.flush()
            self.run.checkpoints.save_last(self.state, progress)

    def validated(self, progress: Progress) -> Progress:
        """Validates, and keeps the best weights; a failure saves the steps done so far."""
        if self.validate is None:
            return progress
        model = self.state.model
        better = progress
        try:
            with _evaluating(model, self.state.average):
                measured = self.validate(model)
                value = self._chooses(measured)
                kept = progress.best if self.run.checkpoints.best.exists() else None
                if value is not None and self.best.better(value, kept):
                    better = replace(progress, best=value)
                    if self.main:
                        self.run.restore()
                        self.run.checkpoints.save_best(model, better)
        except Exception:
            self.save(replace(progress, finished=False, unvalidated=True))
            raise
        self.log.write("validation", progress.step, measured)
        return better

    def _chooses(self, measured: Mapping[str, float]) -> float | None:
        """The number that chooses ``best``; None of a model that is not whole yet."""
        name = self.best.metric
        if f"partial_{name}" in measured:
            return None
        if name not in measured:
            raise ConfigError(
                describe(
                    expected=f"a validation that returns '{name}', by which the best weights are "
                    "chosen",
                    found=f"{', '.join(measured) or 'nothing'}",
                    fix="add it, or name another in 'training.best.metric'",
                )
            )
        return measured[name]


def _steps(source: BatchSource, spec: BatchSpec, start: int) -> Generator[tuple[Batch, ...]]:
    """The batches of each optimiser step, from step ``start`` on."""
    group, repeat = divmod(start, spec.repeats)
    batches = source.batches(group * spec.accumulate)
    while True:
        together = tuple(islice(batches, spec.accumulate))
        if len(together) < spec.accumulate:
            raise DataError(
                describe(
                    expected="batches without end",
                    found="a source with an end",
                    fix="make 'batches' start its data again",
                )
            )
        for _ in range(repeat, spec.repeats):
            yield together
        repeat = 0


@contextmanager
def _evaluating(model: nn.Module, average: MovingAverage | None) -> Iterator[None]:
    """Evaluation mode, averaged weights, no gradients; all as before at the end."""
    modes = [(module, module.training) for module in model.modules()]
    weights = nullcontext() if average is None else average.applied(model)
    model.eval()
    try:
        with torch.no_grad(), undisturbed_generators(), weights:
            yield
    finally:
        for module, mode in modes:
            module.training = mode
