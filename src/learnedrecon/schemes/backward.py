"""How a composition of steps is differentiated: a value handed to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch.utils.checkpoint import checkpoint

from learnedrecon.errors import ConfigError, describe
from learnedrecon.problem import Problem

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]
Update = Callable[[S, Problem], S]


class Backward(ABC):
    """Runs steps one after the other such that their composition can be differentiated."""

    def check(self, steps: Sequence[Any]) -> None:  # noqa: B027
        """Called when a composition is built.

        Raises:
            ConfigError: the steps cannot be differentiated in this way.
        """

    @abstractmethod
    def run(self, steps: Sequence[Update[S]], state: S, problem: Problem) -> S:
        """The state after all ``steps``."""


@dataclass(frozen=True)
class Backprop(Backward):
    """Autograd stores every activation: exact, and memory grows with the number of steps."""

    def run(self, steps: Sequence[Update[S]], state: S, problem: Problem) -> S:
        return _compose(steps, state, problem)


@dataclass(frozen=True)
class Checkpointed(Backward):
    """Stores the state after every ``every`` steps and computes the rest again: exact.

    Memory is that of N/every states and the activations of ``every`` steps; each step is evaluated
    twice (Griewank, Walther 2000; Chen et al. 2016). Random numbers drawn in steps are repeated.

    Attributes:
        every: how many steps share one stored state.
    """

    every: int = 1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ConfigError(
                describe(expected="every >= 1", found=str(self.every), fix="store every first step")
            )

    def run(self, steps: Sequence[Update[S]], state: S, problem: Problem) -> S:
        for first in range(0, len(steps), self.every):
            part = steps[first : first + self.every]
            state = checkpoint(_compose, part, state, problem, use_reentrant=False)
        return state


def _compose(steps: Sequence[Update[S]], state: S, problem: Problem) -> S:
    for step in steps:
        state = step(state, problem)
    return state
