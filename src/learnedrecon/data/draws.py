"""Random integers of schemes, drawn per step before the scheme runs; see ``problem.draws``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from learnedrecon.data.loader import Loader
from learnedrecon.errors import ConfigError, describe
from learnedrecon.limits import MOST_DRAWS, refuse_count
from learnedrecon.problem import InverseProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from learnedrecon.data.batch import Batch


def draws_of(number: int, *, seed: int = 0, step: int | None = None) -> tuple[int, ...]:
    """Uniform random integers in [0, 2³²), seeded by a hash of ``(seed, step)``.

    A longer draw begins with the numbers of a shorter one.

    Args:
        number: Number of integers, at most a million.
        seed: Seed of the run.
        step: Number of the batch; None for evaluation, where all batches have the same draws, so
            that a reconstruction does not depend on other batches.
    """
    refuse_count(number, MOST_DRAWS, "random integers of a batch")
    where = "evaluation" if step is None else str(step)
    digest = hashlib.sha256(f"draws/{seed}/{where}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    return tuple(generator.integers(2**32, size=number, dtype=np.uint64).tolist())


def with_draws(batch: Batch, draws: tuple[int, ...]) -> Batch:
    """A batch whose problem has the given draws; unchanged for none.

    Args:
        batch: Batch.
        draws: Random integers.

    Raises:
        ConfigError: There is no InverseProblem inside.
    """
    if not draws:
        return batch
    if not isinstance(batch.problem, InverseProblem):
        raise ConfigError(
            describe(
                expected="a measured problem, which can bring draws",
                found=type(batch.problem).__name__,
                fix="put the draws into the problem that it wraps",
            )
        )
    return batch._replace(problem=replace(batch.problem, draws=draws))


@dataclass(frozen=True, eq=False)
class Drawing:
    """A loader whose batches have draws that depend only on the seed and the step.

    Attributes:
        loader: Loader of batches without draws.
        number: Number of integers per batch; 0 leaves batches unchanged.
        seed: Seed of the draws.

    Raises:
        ConfigError: The number is negative.
    """

    loader: Loader
    number: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ConfigError(
                describe(
                    expected="a number of draws of at least 0",
                    found=f"draws = {self.number}",
                    fix="use 0 for no draws",
                )
            )

    def for_process(self, rank: int, world: int) -> Drawing:
        """The part of one process; all processes have the same draws."""
        return replace(self, loader=self.loader.for_process(rank, world))

    def batches(self, start_step: int = 0) -> Iterator[Batch]:
        """Every batch from step ``start_step`` on, without end."""
        for step, batch in zip(count(start_step), self.loader.batches(start_step), strict=False):
            yield with_draws(batch, draws_of(self.number, seed=self.seed, step=step))
