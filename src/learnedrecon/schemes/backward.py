"""Differentiation of a composition of steps: backpropagation and checkpointing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch.utils.checkpoint import checkpoint

from learnedrecon.errors import ConfigError, describe
from learnedrecon.problem import Problem

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]
Update = Callable[[S, Problem], S]


class Backward(ABC):
    """Base class: runs steps one after the other such that their composition is differentiable."""

    def check(self, steps: Sequence[Any]) -> None:  # noqa: B027 - most ways take any step
        """Check of the steps, called when a composition is built.

        Raises:
            ConfigError: The steps cannot be differentiated in this way.
        """

    @abstractmethod
    def run(self, steps: Sequence[Update[S]], state: S, problem: Problem) -> S:
        """The state after all ``steps``."""

    def trace(self, steps: Sequence[Any], state: S, problem: Problem) -> Iterator[S]:
        """States after every elementary step, each of which can be differentiated in this way.

        Args:
            steps: Steps, in order.
            state: Initial state.
            problem: Problem that the steps run on.
        """
        for step in steps:
            for state in step.iterates(state, problem):  # noqa: PLR1704, B020 - the state goes on
                yield state


@dataclass(frozen=True)
class Backprop(Backward):
    """Backpropagation: autograd stores every activation; exact, with memory linear in the steps."""

    def run(self, steps: Sequence[Update[S]], state: S, problem: Problem) -> S:
        return _compose(steps, state, problem)


@dataclass(frozen=True)
class Checkpointed(Backward):
    """Checkpointing: the state after every ``every`` steps is stored, the rest recomputed; exact.

    Memory is that of N/every states and the activations of ``every`` steps; each step is evaluated
    twice (Griewank, Walther 2000; Chen et al. 2016). Random numbers drawn in steps are repeated.

    Attributes:
        every: Number of steps that share one stored state.

    Raises:
        ConfigError: ``every`` is below 1.
    """

    every: int = 1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ConfigError(
                describe(
                    expected="every >= 1",
                    found=str(self.every),
                    fix="use every=1 to store every step",
                )
            )

    def run(self, steps: Sequence[Update[S]], state: S, problem: Problem) -> S:
        for first in range(0, len(steps), self.every):
            part = steps[first : first + self.every]
            state = checkpoint(_compose, part, state, problem, use_reentrant=False)
        return state

    def trace(self, steps: Sequence[Any], state: S, problem: Problem) -> Iterator[S]:
        for first in range(0, len(steps), self.every):
            part = steps[first : first + self.every]
            states = checkpoint(_trace, part, state, problem, use_reentrant=False)
            yield from states
            state = states[-1]


def _compose(steps: Sequence[Update[S]], state: S, problem: Problem) -> S:
    for step in steps:
        state = step(state, problem)
    return state


def _trace(steps: Sequence[Any], state: S, problem: Problem) -> list[S]:
    return list(Backprop().trace(steps, state, problem))
