"""Batches by step: identical in a resumed run, for any number of workers."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch.utils.data import DataLoader, Dataset

from learnedrecon.data.datasets import SampleDataset
from learnedrecon.data.order import BatchOrder
from learnedrecon.errors import ConfigError, LearnedReconError, describe
from learnedrecon.limits import WORKER, refuse_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from learnedrecon.data.batch import Batch, BatchBuilder, Sample


class Loader:
    """An endless sequence of batches of a dataset, in a seeded order.

    Batch ``step`` is a pure function of the dataset, the builder, ``seed`` and ``step``: a resumed
    run gets the same batches, and the number of workers changes only the time.

    Args:
        dataset: Dataset of the samples.
        builder: Function from samples to a batch on the device.
        batch_size: Number of samples in a batch, over all processes.
        seed: Seed of the order.
        shuffle: True for a new random order in every epoch; False for the order of the dataset.
        drop_last: True to omit batches that are not full.
        workers: Number of processes that load samples ahead. They are spawned, so that a script
            with workers needs ``if __name__ == "__main__"``; with 0, samples are loaded in this
            process.

    Raises:
        ConfigError: The batch size is below 1, or the number of workers is negative.
        DataError: The dataset is empty, or a bucket is smaller than a batch with ``drop_last``.
    """

    def __init__(
        self,
        dataset: SampleDataset,
        builder: BatchBuilder,
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        workers: int = 0,
    ) -> None:
        refuse_workers(workers)
        self.dataset = dataset
        self.builder = builder
        self.build: Callable[[list[Sample]], Batch] = builder
        self.workers = workers
        self.order = BatchOrder(
            dataset.buckets(), batch_size, seed=seed, shuffle=shuffle, drop_last=drop_last
        )
        self._share = slice(None)

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches in which every sample occurs once."""
        return self.order.batches_per_epoch

    def for_process(self, rank: int, world: int) -> Loader:
        """The part of each batch that process ``rank`` of ``world`` computes.

        The parts are disjoint, of equal size, and together the batch of a single process.

        Raises:
            ConfigError: There is no such process, ``world`` does not divide the batch size, or some
                batches are not full (set ``drop_last``, so that no process waits for another).
        """
        size = self.order.batch_size
        if not 0 <= rank < world or size % world or (world > 1 and not self.order.drop_last):
            raise ConfigError(
                describe(
                    expected="a rank in 0..world-1, a batch size that world divides, and drop_last "
                    "where world > 1",
                    found=f"rank {rank}, world {world}, batch_size {size}, "
                    f"drop_last {self.order.drop_last}",
                    fix="choose a batch_size that is a multiple of the number of processes",
                )
            )
        part = copy.copy(self)
        each = size // world
        part._share = slice(rank * each, (rank + 1) * each) if world > 1 else slice(None)  # noqa: SLF001 - of this class
        return part

    def with_builder(self, builder: Callable[[list[Sample]], Batch]) -> Loader:
        """A loader of the same samples in the same order with another function to a batch."""
        other = copy.copy(self)
        other.build = builder
        return other

    def batches(self, start_step: int = 0) -> Iterator[Batch]:
        """Every batch from step ``start_step`` on, without end; no earlier sample is loaded."""
        indices = (batch[self._share] for batch in self.order.batches(start_step))
        for samples in _load(self.dataset, indices, self.workers):
            yield self.build(samples)


def refuse_workers(workers: int) -> None:
    """Check that a number of loading processes is not negative and fits into memory.

    Args:
        workers: Number of processes.

    Raises:
        ConfigError: The number is negative, or too large.
    """
    if workers < 0:
        raise ConfigError(
            describe(
                expected="a number of workers of at least 0",
                found=f"workers = {workers}",
                fix="use 0 to load samples in this process",
            )
        )
    what = "processes that load samples, with memory"
    refuse_bytes(workers * WORKER, what, of=f"workers = {workers}")


def evaluation_batches(
    dataset: SampleDataset, builder: BatchBuilder, *, batch_size: int, workers: int = 0
) -> Iterator[Batch]:
    """Batches of all samples once, bucket after bucket, in the order of the dataset.

    Args:
        dataset: Dataset of the samples.
        builder: Function from samples to a batch on the device.
        batch_size: Largest number of samples in a batch.
        workers: Number of processes that load samples ahead.

    Raises:
        ConfigError: The batch size is below 1.
        DataError: The dataset is empty.
    """
    order = BatchOrder(dataset.buckets(), batch_size, shuffle=False)
    indices = islice(order.batches(), order.batches_per_epoch)
    for samples in _load(dataset, indices, workers):
        yield builder(samples)


def _load(
    dataset: SampleDataset, batches: Iterable[tuple[int, ...]], workers: int
) -> Iterator[list[Sample]]:
    if workers == 0:
        for indices in batches:
            yield [dataset[index] for index in indices]
        return
    loader = DataLoader(
        _Caught(dataset),
        batch_sampler=map(list, batches),
        num_workers=workers,
        collate_fn=_together,
        multiprocessing_context="spawn",
        generator=torch.Generator(),  # its seed for workers is not taken from the global stream
    )
    for samples in loader:
        for sample in samples:
            if isinstance(sample, LearnedReconError):
                raise sample
        yield samples


@dataclass(frozen=True, eq=False)
class _Caught(Dataset["Sample | LearnedReconError"]):
    """Hands errors over as values, so that a worker does not bury their text in a traceback."""

    dataset: SampleDataset

    def __getitem__(self, index: int) -> Sample | LearnedReconError:
        try:
            return self.dataset[index]
        except LearnedReconError as error:
            return error


def _together(samples: list[Sample]) -> list[Sample]:
    return samples
