"""Invertible steps: Λ⁻¹ exists and is cheap."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch

from learnedrecon.schemes.step import Step, units_of
from learnedrecon.schemes.units import Coupling, Unit, relative_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from learnedrecon.problem import Problem

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]


@dataclass(frozen=True)
class WholeStep(Unit[S]):
    """A step that is inverted by its own inverse.

    Attributes:
        step: Invertible step.
    """

    step: InvertibleStep[S]

    def forward(self, state: S, problem: Problem) -> S:
        return self.step(state, problem)

    def inverse(self, state: S, problem: Problem) -> S:
        return self.step.inverse(state, problem)


class InvertibleStep(Step[S]):
    """A step with an inverse: ``inverse(step(state, problem), problem)`` is ``state``."""

    @abstractmethod
    def inverse(self, state: S, problem: Problem) -> S:
        """The state before the step, from the state after it."""

    def units(self) -> Sequence[Unit[S]]:
        return [WholeStep(self)]


class CouplingStep(InvertibleStep[S]):
    """A composition of additive couplings; subclasses implement :meth:`couplings`."""

    @abstractmethod
    def couplings(self) -> Sequence[Coupling[S]]:
        """The couplings in the order of the forward pass."""

    def forward(self, state: S, problem: Problem) -> S:
        for coupling in self.couplings():
            state = coupling.forward(state, problem)
        return state

    def inverse(self, state: S, problem: Problem) -> S:
        for coupling in reversed(self.couplings()):
            state = coupling.inverse(state, problem)
        return state

    def units(self) -> Sequence[Unit[S]]:
        return self.couplings()


def invert(step: Step[S], state: S, problem: Problem) -> S:
    """The state before a step, which may be a composition of invertible steps.

    Args:
        step: Invertible step.
        state: State after the step.
        problem: Problem that the step was applied to.

    Raises:
        ConfigError: The step has no inverse.
    """
    units: Sequence[Unit[S]] = units_of(step)
    for unit in reversed(units):
        state = unit.inverse(state, unit.problem_for_unit(problem))
    return state


@torch.no_grad()
def inversion_error(step: Step[S], state: S, problem: Problem) -> float:
    """The error of ``invert`` after a step, in the precision at hand.

    Args:
        step: Invertible step.
        state: State before the step.
        problem: Problem that the step is applied to.

    Returns:
        Largest ‖z_i - ẑ_i‖ over the fields, relative to the largest norm of a field before or after
        the step.

    Raises:
        ConfigError: The step has no inverse.
    """
    after = step(state, problem)
    return relative_error(state, invert(step, after, problem), after)
