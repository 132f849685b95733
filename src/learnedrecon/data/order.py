"""Order of samples in batches, a function of the seed and the step."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from learnedrecon.errors import ConfigError, DataError, describe

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROUNDS: Final = 6
_MASK: Final = (1 << 64) - 1


class SeededPermutation(Sequence[int]):
    """A pseudo-random permutation of 0..length-1 that is computed, not stored.

    A Feistel network of six rounds on the smallest even number of bits that hold ``length`` values
    is a bijection for every round function (Luby, Rackoff, SIAM J. Comput. 17, 1988). Values
    outside the range are permuted again until they are inside, which preserves the bijection (cycle
    walking; Black, Rogaway, CT-RSA 2002) and takes at most four passes on average. The round
    function is the finaliser of SplitMix64 (Steele et al., OOPSLA 2014).

    Args:
        length: Number of integers; a billion costs as little as ten.
        key: Integers that select the permutation, such as a seed and an epoch.
    """

    def __init__(self, length: int, key: tuple[int, ...]) -> None:
        self._length = length
        self._half = max(1, ((length - 1).bit_length() + 1) // 2)
        self._keys = tuple(_mixed(*key, number) for number in range(_ROUNDS))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: int) -> int:  # type: ignore[override]  # slices are not offered
        if not 0 <= place < self._length:
            raise IndexError(place)
        value = self._pass(place)
        while value >= self._length:
            value = self._pass(value)
        return value

    def _pass(self, value: int) -> int:
        mask = (1 << self._half) - 1
        left, right = value >> self._half, value & mask
        for key in self._keys:
            left, right = right, left ^ (_splitmix(right ^ key) & mask)
        return (left << self._half) | right


@dataclass(frozen=True, eq=False)
class BatchOrder:
    """The batches of a dataset by step, without end and without a state.

    Epoch e is steps e·B to (e + 1)·B - 1, with B batches in each. A batch holds samples of one
    bucket. With ``shuffle``, every epoch has its own order of samples in each bucket and its own
    order of batches; without, both are as in the dataset.

    Attributes:
        buckets: Groups of indices, see :meth:`SampleDataset.buckets`.
        batch_size: Number of samples in a batch.
        seed: Seed of the order.
        shuffle: True for a random order.
        drop_last: True to omit the last batch of a bucket where it is not full; otherwise it is
            smaller.

    Raises:
        ConfigError: The batch size is below 1.
        DataError: There are no samples, or ``drop_last`` would never show a bucket.
    """

    buckets: Sequence[Sequence[int]]
    batch_size: int
    seed: int = 0
    shuffle: bool = True
    drop_last: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(
                describe(
                    expected="a batch size of at least 1",
                    found=f"batch_size = {self.batch_size}",
                    fix="choose how many samples a batch has",
                )
            )
        smallest = min(map(len, self.buckets), default=0)
        if smallest < (self.batch_size if self.drop_last else 1):
            raise DataError(
                describe(
                    expected=f"at least {self.batch_size if self.drop_last else 1} samples of "
                    "every shape and geometry",
                    found=f"{smallest} of one",
                    fix="add samples, choose a smaller batch_size, or set drop_last to false",
                )
            )
        # Batches before each bucket: [0, n_0, n_0 + n_1, ...].
        ends = itertools.accumulate(map(self._number, self.buckets), initial=0)
        object.__setattr__(self, "_ends", tuple(ends))

    _ends: tuple[int, ...] = ()

    @property
    def batches_per_epoch(self) -> int:
        """The number B of batches in which every sample occurs once."""
        return self._ends[-1]

    def batch(self, step: int) -> tuple[int, ...]:
        """The indices of the samples of batch ``step``.

        Raises:
            ConfigError: The step is negative.
        """
        if step < 0:
            raise ConfigError(
                describe(expected="a step of at least 0", found=str(step), fix="count from 0")
            )
        epoch, place = divmod(step, self.batches_per_epoch)
        place = self._permuted(self.batches_per_epoch, epoch, 0)[place]
        bucket = bisect_right(self._ends, place) - 1
        members = self.buckets[bucket]
        order = self._permuted(len(members), epoch, bucket + 1)
        start = (place - self._ends[bucket]) * self.batch_size
        stop = min(start + self.batch_size, len(members))
        return tuple(members[order[at]] for at in range(start, stop))

    def batches(self, start: int = 0) -> Iterator[tuple[int, ...]]:
        """Every batch from step ``start`` on, without end."""
        return map(self.batch, itertools.count(start))

    def _number(self, members: Sequence[int]) -> int:
        return (
            len(members) // self.batch_size
            if self.drop_last
            else -(-len(members) // self.batch_size)
        )

    def _permuted(self, length: int, epoch: int, stream: int) -> Sequence[int]:
        if not self.shuffle:
            return range(length)
        return SeededPermutation(length, (self.seed, epoch, stream))


def _mixed(*numbers: int) -> int:
    state = 0
    for number in numbers:
        state = _splitmix(state ^ (number & _MASK))
    return state


def _splitmix(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
