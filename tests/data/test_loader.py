from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learnedrecon.data.batch import Batch, BatchBuilder, Sample
from learnedrecon.data.datasets import EllipseDataset, EllipseSpec, SampleDataset
from learnedrecon.data.loader import Loader, evaluation_batches
from learnedrecon.data.noise import RelativeGaussian
from learnedrecon.data.order import BatchOrder, SeededPermutation
from learnedrecon.data.simulate import Simulation
from learnedrecon.errors import ConfigError, DataError
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.grids import with_shape
from learnedrecon.operators.ray.transform2d import RayTransform

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCAN = ParallelBeam((16, 16), AngleRange(5), FlatDetector(23))
MESSAGE = "Expected a. Found b. What to do: c."


def builder() -> BatchBuilder:
    return BatchBuilder(
        RayTransform(SCAN), spec=SCAN, measurement=Simulation(RelativeGaussian(0.05), seed=2)
    )


def ellipses(length: int) -> EllipseDataset:
    return EllipseDataset(EllipseSpec(size=16, length=length))


@dataclass(frozen=True)
class TwoShapes(SampleDataset):
    """Every third image has another shape and its own scan; index 13 is broken if there is one."""

    length: int
    broken: int = -1

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if index == self.broken:
            raise DataError(MESSAGE)
        shape = (12, 20) if index % 3 == 0 else (16, 16)
        spec = with_shape(SCAN, shape) if index % 3 == 0 else None
        return Sample(str(index), None, torch.full((1, *shape), float(index)), spec=spec)

    def buckets(self) -> Sequence[Sequence[int]]:
        rest = [k for k in range(self.length) if k % 3]
        return (range(0, self.length, 3), rest)


def take(batches: Iterator[Batch], number: int) -> list[Batch]:
    return list(itertools.islice(batches, number))


def by_id(batches: list[Batch]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    found = {}
    for batch in batches:
        assert batch.truth is not None
        for place, name in enumerate(batch.ids):
            found[name] = (batch.truth[place], batch.problem.data[place])
    return found


def assert_same(first: list[Batch], second: list[Batch]) -> None:
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.ids == b.ids
        assert a.truth is not None
        assert b.truth is not None
        assert torch.equal(a.truth, b.truth)
        assert torch.equal(a.problem.data, b.problem.data)


# The order


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 700), seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 2**40))
def test_a_seeded_permutation_is_one(length: int, seed: int, epoch: int) -> None:
    order = SeededPermutation(length, (seed, epoch))
    assert sorted(order[k] for k in range(length)) == list(range(length))


def test_a_seeded_permutation_has_no_preference() -> None:
    """Each of the 12 × 12 pairs (place, value) comes 500 times; chi-square of 121 degrees."""
    keys, length = 6000, 12
    counts = Counter(
        (place, SeededPermutation(length, (5, key))[place])
        for key in range(keys)
        for place in range(length)
    )
    expected = keys / length
    chi = sum(
        (counts[cell] - expected) ** 2 / expected
        for cell in itertools.product(range(length), range(length))
    )
    freedom = (length - 1) ** 2
    assert abs(chi - freedom) < 4.5 * math.sqrt(2 * freedom)


def test_every_order_of_four_comes_equally_often() -> None:
    keys = 24 * 200
    counts = Counter(
        tuple(SeededPermutation(4, (9, key))[k] for k in range(4)) for key in range(keys)
    )
    assert len(counts) == 24
    chi = sum((count - 200) ** 2 / 200 for count in counts.values())
    assert abs(chi - 23) < 4.5 * math.sqrt(2 * 23)


def test_a_billion_images_cost_nothing_and_do_not_repeat() -> None:
    order = BatchOrder((range(10**9),), 100)
    drawn = [index for step in range(100) for index in order.batch(step)]
    assert len(set(drawn)) == 10_000
    assert max(drawn) > 9e8
    assert len(set(order.batch(10**7 - 1)) & set(order.batch(10**7))) <= 1
    in_order = BatchOrder((range(10**9),), 100, shuffle=False)
    assert in_order.batch(12) == tuple(range(1200, 1300))


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_an_epoch_shows_every_sample_once_and_never_mixes_buckets(
    shuffle: bool, drop_last: bool
) -> None:
    dataset = TwoShapes(29)
    buckets = [set(bucket) for bucket in dataset.buckets()]
    order = BatchOrder(dataset.buckets(), 4, seed=1, shuffle=shuffle, drop_last=drop_last)
    assert order.batches_per_epoch == (2 + 4 if drop_last else 3 + 5)
    for epoch in range(3):
        steps = range(epoch * order.batches_per_epoch, (epoch + 1) * order.batches_per_epoch)
        batches = [order.batch(step) for step in steps]
        drawn = [index for batch in batches for index in batch]
        assert len(drawn) == len(set(drawn))
        assert all(any(set(batch) <= bucket for bucket in buckets) for batch in batches)
        if drop_last:
            assert {len(batch) for batch in batches} == {4}
        else:
            assert sorted(drawn) == list(range(29))


def test_epochs_and_seeds_have_their_own_orders() -> None:
    def epoch(seed: int, number: int) -> tuple[int, ...]:
        order = BatchOrder((range(50),), 10, seed=seed)
        return tuple(i for k in range(5) for i in order.batch(5 * number + k))

    assert len({epoch(seed, number) for seed in range(3) for number in range(3)}) == 9


# The loader


def test_a_sample_has_the_same_bits_in_any_order_and_batch_size() -> None:
    found = [
        by_id(take(loader.batches(), loader.steps_per_epoch))
        for loader in (
            Loader(ellipses(19), builder(), batch_size=1, shuffle=False),
            Loader(ellipses(19), builder(), batch_size=4, seed=3),
            Loader(ellipses(19), builder(), batch_size=19, seed=4),
        )
    ]
    assert len(found[0]) == 19
    for other in found[1:]:
        assert other.keys() == found[0].keys()
        for name, (truth, data) in other.items():
            assert torch.equal(truth, found[0][name][0])
            assert torch.equal(data, found[0][name][1])


@pytest.mark.parametrize("start", [0, 1, 5, 8, 23])
def test_a_resumed_run_sees_what_it_would_have_seen(start: int) -> None:
    def loader() -> Loader:
        return Loader(TwoShapes(29), builder(), batch_size=4, seed=6)

    assert_same(take(loader().batches(start), 6), take(loader().batches(), start + 6)[start:])


def test_resuming_loads_no_earlier_sample() -> None:
    seen: list[int] = []

    class Noting(EllipseDataset):
        def __getitem__(self, index: int) -> Sample:
            seen.append(index)
            return super().__getitem__(index)

    dataset = Noting(EllipseSpec(size=16, length=10**9))
    loader = Loader(dataset, builder(), batch_size=3)
    next(loader.batches(10**6))
    assert tuple(seen) == loader.order.batch(10**6)


@pytest.mark.slow
def test_workers_change_nothing_but_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """They inherit no state of this process: OpenMP, as torch uses it, does not survive a fork."""
    state = torch.random.get_rng_state()
    batches = [
        take(Loader(TwoShapes(29), builder(), batch_size=4, workers=workers).batches(3), 9)
        for workers in (0, 2)
    ]
    assert_same(*batches)
    assert torch.equal(torch.random.get_rng_state(), state)
    monkeypatch.setattr(f"{__name__}.MESSAGE", "of this process")
    with pytest.raises(DataError) as caught:
        list(evaluation_batches(TwoShapes(9, broken=7), builder(), batch_size=4, workers=1))
    assert str(caught.value) == "Expected a. Found b. What to do: c."


def test_processes_share_each_batch() -> None:
    whole = Loader(TwoShapes(29), builder(), batch_size=4, drop_last=True, seed=8)
    parts = [take(whole.for_process(rank, 2).batches(2), 7) for rank in range(2)]
    for batch, left, right in zip(take(whole.batches(2), 7), *parts, strict=True):
        assert len(left.ids) == len(right.ids) == 2
        assert left.ids + right.ids == batch.ids
        assert torch.equal(torch.cat([left.problem.data, right.problem.data]), batch.problem.data)
    assert_same(take(whole.for_process(0, 1).batches(), 3), take(whole.batches(), 3))


def test_evaluation_shows_every_sample_once_in_the_order_of_its_bucket() -> None:
    batches = list(evaluation_batches(TwoShapes(29), builder(), batch_size=4))
    names = [int(name) for batch in batches for name in batch.ids]
    assert names == [*range(0, 29, 3), *(k for k in range(29) if k % 3)]
    training = Loader(TwoShapes(29), builder(), batch_size=4)
    drawn = by_id(take(training.batches(), training.steps_per_epoch))
    for name, (_, data) in by_id(batches).items():
        assert torch.equal(data, drawn[name][1])


@pytest.mark.parametrize(
    ("length", "options", "error"),
    [
        (5, {"batch_size": 0}, ConfigError),
        (5, {"batch_size": 2, "workers": -1}, ConfigError),
        (0, {"batch_size": 2}, DataError),
        (9, {"batch_size": 4, "drop_last": True}, DataError),
    ],
)
def test_wrong_settings_are_refused(
    length: int, options: dict[str, int], error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"Expected .* Found .* What to do: "):
        Loader(TwoShapes(length), builder(), **options)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(("rank", "world"), [(2, 2), (-1, 2), (0, 3)])
def test_processes_that_do_not_fit_are_refused(rank: int, world: int) -> None:
    loader = Loader(TwoShapes(29), builder(), batch_size=4, drop_last=True)
    with pytest.raises(ConfigError, match=r"Expected .* Found .* What to do: "):
        loader.for_process(rank, world)
    with pytest.raises(ConfigError, match="drop_last"):
        Loader(TwoShapes(29), builder(), batch_size=4).for_process(0, 2)


def test_a_negative_step_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Expected .* Found .* What to do: "):
        BatchOrder((range(3),), 1).batch(-1)
