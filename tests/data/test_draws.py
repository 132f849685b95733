"""Draws: a function of seed and step, uniform, and the same for whoever asks."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
import torch

from learnedrecon.data.batch import BatchBuilder
from learnedrecon.data.datasets import EllipseDataset, EllipseSpec
from learnedrecon.data.draws import Drawing, draws_of, with_draws
from learnedrecon.data.loader import Loader
from learnedrecon.data.noise import NoNoise
from learnedrecon.data.simulate import Simulation
from learnedrecon.errors import ConfigError
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.testing.counting import Counted

SCAN = ParallelBeam((16, 16), AngleRange(4), FlatDetector(23))


def loader(size: int = 2) -> Loader:
    builder = BatchBuilder(RayTransform(SCAN), measurement=Simulation(NoNoise()))
    dataset = EllipseDataset(EllipseSpec(size=16, length=5))
    return Loader(dataset, builder, batch_size=size, drop_last=True)


def test_more_draws_begin_with_the_same_ones() -> None:
    assert draws_of(50, seed=1, step=3)[:7] == draws_of(7, seed=1, step=3)
    assert draws_of(0) == ()


def test_seed_and_step_name_the_draws() -> None:
    kinds = [draws_of(4, seed=s, step=k) for s in (0, 1) for k in (None, 0, 1, 10)]
    assert len(set(kinds)) == len(kinds)
    assert draws_of(4, seed=1, step=10) == draws_of(4, seed=1, step=10)


def test_every_part_is_as_likely() -> None:
    """χ² of 8 parts over 8000 draws; 7 degrees of freedom exceed 24.3 once in a thousand times."""
    counts = Counter(draw % 8 for step in range(800) for draw in draws_of(10, step=step))
    assert sum((n - 1000) ** 2 / 1000 for n in counts.values()) < 24.3
    pairs = [draws_of(2, step=step) for step in range(2000)]
    same = sum(a % 8 == b % 8 for a, b in pairs)
    assert abs(same - 250) < 5 * (2000 * 7 / 64) ** 0.5


def test_a_resumed_loader_draws_what_it_would_have_drawn() -> None:
    source = Drawing(loader(), 3, seed=7)
    whole = [batch.problem.draws for batch in islice(source.batches(), 6)]
    rest = [batch.problem.draws for batch in islice(source.batches(4), 2)]
    assert whole[4:] == rest
    assert whole[2] == draws_of(3, seed=7, step=2)
    assert len(set(whole)) == 6


def test_processes_share_the_draws_and_not_the_samples() -> None:
    parts = [next(Drawing(loader(), 3).for_process(r, 2).batches()) for r in (0, 1)]
    assert parts[0].problem.draws == parts[1].problem.draws
    assert set(parts[0].ids).isdisjoint(parts[1].ids)


def test_without_draws_batches_are_as_they_are() -> None:
    batch = next(Drawing(loader(), 0).batches())
    assert batch.problem.draws == ()
    plain = next(loader().batches())
    torch.testing.assert_close(batch.problem.data, plain.problem.data, rtol=0, atol=0)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="draws = -1"):
        Drawing(loader(), -1)
    batch = next(loader().batches())
    with pytest.raises(ConfigError, match="measured problem"):
        with_draws(batch._replace(problem=Counted(batch.problem)), (1,))
