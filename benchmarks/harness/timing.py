"""Contestants that take turns, so that a busy machine is busy for all of them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from learnedrecon.kernels import joseph

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Contestant:
    """Something to time.

    Attributes:
        name: its key in the result.
        run: what is timed.
        prepare: what is done before every turn, untimed: threads, instruction set.
    """

    name: str
    run: Callable[[], object]
    prepare: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Budget:
    """How long to measure.

    Attributes:
        rounds: turns that every contestant gets, if time allows.
        turn: seconds that a turn lasts at least; a contestant runs once in it or many times.
        seconds: after which no further round begins, once there were three.
    """

    rounds: int = 9
    turn: float = 0.1
    seconds: float = 40.0


QUICK = Budget(rounds=3, turn=0.03, seconds=10.0)


@dataclass(frozen=True)
class Timing:
    """Seconds of one call, over all calls."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """In seconds."""
        return statistics.median(self.samples)

    def repeated(self, number: int) -> Timing:
        """Seconds of so many calls, one after the other."""
        return Timing(tuple(number * sample for sample in self.samples))

    def to_plain(self) -> dict[str, Any]:
        """Median, quartiles and the number of calls."""
        ordered = sorted(self.samples)
        last = len(ordered) - 1
        return {
            "median_s": self.median,
            "quartiles_s": [ordered[round(0.25 * last)], ordered[round(0.75 * last)]],
            "fastest_s": ordered[0],
            "calls": len(ordered),
        }


def interleaved(contestants: Sequence[Contestant], budget: Budget) -> dict[str, Timing]:
    """Times contestants in turns, after one call of each that does not count."""
    samples: dict[str, list[float]] = {one.name: [] for one in contestants}
    for one in contestants:
        one.prepare()
        one.run()
    begun = time.perf_counter()
    gc.collect()
    gc.disable()
    try:
        for turn in range(budget.rounds):
            for one in contestants:
                one.prepare()
                samples[one.name] += _turn(one, budget.turn)
            if turn >= 2 and time.perf_counter() - begun > budget.seconds:
                break
    finally:
        gc.enable()
    return {name: Timing(tuple(values)) for name, values in samples.items()}


def _turn(contestant: Contestant, seconds: float) -> list[float]:
    samples: list[float] = []
    begun = time.perf_counter()
    while not samples or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        contestant.run()
        samples.append(time.perf_counter() - start)
    return samples


def running(threads: int, isa: str | None = None) -> Callable[[], None]:
    """A ``prepare``: so many threads, and an instruction set, None for the best one."""

    def prepare() -> None:
        torch.set_num_threads(threads)
        joseph.set_isa(isa)

    return prepare


def without_gradient(act: Callable[[Any], Any], x: Any) -> Callable[[], None]:  # noqa: ANN401 - a tensor, or the peer's array
    """A call of a function without autograd."""

    def run() -> None:
        with torch.no_grad():
            act(x)

    return run
