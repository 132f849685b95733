"""Batches of greedy training: from the cache of a stage, or from the operator."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from learnedrecon.data.batch import Batch
from learnedrecon.data.order import BatchOrder
from learnedrecon.errors import ConfigError, describe
from learnedrecon.generators import undisturbed_generators
from learnedrecon.training.greedy.cache import Record, StageCache, digest
from learnedrecon.training.greedy.stages import StageModel, StagePlan, chain_of
from learnedrecon.training.greedy.tape import Recording, Replayed, Tape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from learnedrecon.data.batch import Sample
    from learnedrecon.data.draws import Drawing
    from learnedrecon.functionals.base import Regulariser
    from learnedrecon.schemes.reconstructor import Iterative

_GB = 1e9


def _log(text: str) -> None:
    logging.getLogger("learnedrecon").warning("%s", text)


class GreedySource:
    """Batches in the order of a loader, whose problems answer from the cache where possible.

    Args:
        loader: Loader of the training set.
        model: Model that is trained in place.
        plan: Plan of the stages.
        folder: Folder of the cache; the files of a stage are removed when the next one is complete.
        identity: Text that identifies operator, data and model; files of another text are ignored.
        say: Function that is told what is cached and its size, or why nothing is.
    """

    def __init__(
        self,
        loader: Drawing,
        model: Iterative,
        plan: StagePlan,
        folder: Path,
        *,
        identity: str = "",
        say: Callable[[str], None] = _log,
    ) -> None:
        self.loader = loader
        self.model = model
        self.plan = plan
        self.folder = folder
        self.identity = identity
        self.say = say
        self._stage = -1
        self._cache: StageCache | None = None
        self._learned: tuple[type[Any], Regulariser | None] | None = None

    def prepare(self, step: int, stopped: Callable[[], bool]) -> bool:
        """Completes the cache of the stage of optimiser step ``step``.

        Args:
            step: Number of the next optimiser step.
            stopped: Function that is called between two files; true interrupts.

        Returns:
            False if it was interrupted; complete files are kept.

        Raises:
            ConfigError: The cache would be larger than allowed.
            FileFormatError: A cache file is truncated or corrupt; the message names it.
        """
        stage = self.plan.stage(step)
        if stage == self._stage:
            return True
        with undisturbed_generators():
            self._cache = None
            reason = self._why_not(stage)
            if reason is None:
                filled, reason = self._fill(stage, stopped)
                if not filled and reason is None:
                    return False
            if reason is not None:
                self._cache = None
                if stage < self.plan.stages:
                    self.say(f"Stage {stage + 1} runs without a cache: {reason}.")
        self._remove_all_but(stage if self._cache is not None else -1)
        self._stage = stage
        return True

    def batches(self, start_step: int) -> Iterator[Batch]:
        """Batches number ``start_step``, ...; each stage needs :meth:`prepare` first."""
        number = start_step
        while True:
            stage = self.plan.stage_of_batch(number)
            for batch in self._of_stage(number):
                if self.plan.stage_of_batch(number) != stage:
                    break
                yield batch
                number += 1
                if self.plan.stage_of_batch(number) != stage:
                    break

    def close(self) -> None:
        """Removes all cache files."""
        self._remove_all_but(-1)

    def _of_stage(self, number: int) -> Iterator[Batch]:
        if self._cache is None:
            return self.loader.batches(number)
        return self.loader.loader.with_builder(self._replayed).batches(number)

    def _why_not(self, stage: int) -> str | None:
        if stage == self.plan.stages:
            return "all steps are trained together"
        if self.loader.number > 0:
            return "parts of the data are drawn at random for each batch"
        if self.plan.greedy.cache_gb == 0:
            return "training.greedy.cache_gb is 0"
        images, seen = len(self.loader.loader.dataset), self.plan.samples(stage)
        if images > seen:
            return (
                f"of the {images} images of the training set it would see {seen}, so that hardly "
                "any comes twice"
            )
        return None

    def _fill(self, stage: int, stopped: Callable[[], bool]) -> tuple[bool, str | None]:
        """True if the cache is complete, with the reason why there cannot be one."""
        before = self._files(stage - 1) if stage > 0 else None
        cache = self._files(stage)
        worker = StageModel(self.model, stage).eval()
        order = BatchOrder(
            self.loader.loader.dataset.buckets(), self.plan.greedy.shard, shuffle=False
        )
        number = order.batches_per_epoch
        for shard in range(number):
            if stopped():
                return False, None
            record = cache.read(shard)
            if record is None:
                samples = [self.loader.loader.dataset[index] for index in order.batch(shard)]
                earlier = None if before is None else before.read(shard)
                record = self._record(worker, stage, samples, earlier, probe=shard == 0)
                if record.tape.reason is not None:
                    return False, record.tape.reason
                size = cache.write(shard, record)
                if shard == 0:
                    self._announce(stage, size * number / _GB, cache)
        self._cache = cache
        return True, None

    def _announce(self, stage: int, size: float, cache: StageCache) -> None:
        limit = self.plan.greedy.cache_gb
        total = size if stage == 0 else 2 * size
        if total > limit:
            cache.remove()
            raise ConfigError(
                describe(
                    expected=f"a cache of at most {limit:g} GB (for two stages at a time)",
                    found=f"{total:.2g} GB for {len(self.loader.loader.dataset)} images",
                    fix="raise training.greedy.cache_gb, train with fewer images, or set it to 0 "
                    "to run without a cache",
                )
            )
        self.say(f"Stage {stage + 1} keeps {size:.2g} GB of states and answers in {cache.folder}.")

    def _record(
        self,
        worker: StageModel,
        stage: int,
        samples: Sequence[Sample],
        earlier: Record | None,
        *,
        probe: bool,
    ) -> Record:
        """Runs a step once for some samples; what it starts from comes from disk where it can."""
        builder = self.loader.loader.builder
        if earlier is not None:
            samples = [
                sample._replace(data=raw.clone())
                for sample, raw in zip(samples, earlier.raw, strict=True)
            ]
        batch = builder(samples)
        if earlier is None:
            scaled, state, scale = worker.start(batch.problem)
        else:
            with torch.no_grad():
                scaled, scale = self.model.scaled(batch.problem)
                state = self._after(stage - 1, earlier)
        self._learned = (type(state), scaled.regulariser)
        tape = Tape()
        with torch.set_grad_enabled(probe):
            worker.step(state, Recording(scaled, tape))
        return Record(batch.ids, tuple(state), tape, batch.problem.data.detach(), scale)

    def _after(self, stage: int, record: Record) -> Any:  # noqa: ANN401 - any state
        step = chain_of(self.model)[stage].eval()
        problem = self._problem(record)
        return step(problem.state, problem)

    def _replayed(self, samples: list[Sample]) -> Batch:
        """A batch without a single application of the operator."""
        assert self._cache is not None
        ids = tuple(sample.id for sample in samples)
        device = self.loader.loader.builder.device
        truths = [sample.truth for sample in samples if sample.truth is not None]
        labels = [sample.label for sample in samples if sample.label is not None]
        return Batch(
            self._problem(self._cache.samples(ids)),
            torch.stack(truths).to(device) if truths else None,
            torch.stack(labels).to(device) if labels else None,
            ids,
        )

    def _problem(self, record: Record) -> Replayed:
        kind, regulariser = self._learn()
        problem = Replayed(record.tape, kind(*record.state), record.scale, regulariser)
        return problem.to(self.loader.loader.builder.device)

    @torch.no_grad()
    def _learn(self) -> tuple[type[Any], Regulariser | None]:
        """The type of the state and the fixed R, which files do not hold; from one sample."""
        if self._learned is None:
            dataset = self.loader.loader.dataset
            sample = dataset[dataset.buckets()[0][0]]
            scaled, _ = self.model.scaled(self.loader.loader.builder([sample]).problem)
            self._learned = (type(self.model.initial(scaled)), scaled.regulariser)
        return self._learned

    def _files(self, stage: int) -> StageCache:
        before = [step.state_dict() for step in list(chain_of(self.model))[:stage]]
        others = [
            part.state_dict()
            for part in (self.model.start, self.model.prepare)
            if isinstance(part, nn.Module)
        ]
        key = digest(self.identity, stage, [*others, *before])
        return StageCache(self.folder / f"stage-{stage + 1:02d}", key)

    def _remove_all_but(self, stage: int) -> None:
        for other in range(self.plan.stages):
            if other != stage:
                StageCache(self.folder / f"stage-{other + 1:02d}", "").remove()
        if stage < 0 and self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()
