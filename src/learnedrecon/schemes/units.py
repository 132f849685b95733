"""Invertible units of schemes, recorded and replayed by reversible backpropagation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from learnedrecon.problem import Problem

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]
Recording = Callable[[], AbstractContextManager[None]]


class Unit(ABC, Generic[S]):
    """The smallest invertible piece of a scheme."""

    def changes(self, field: str) -> bool:  # noqa: ARG002 - what other classes look at
        """True if the unit may change the field of that name."""
        return True

    def problem_for_unit(self, problem: Problem) -> Problem:
        """The part of the problem that this unit sees, which the other methods take."""
        return problem

    @abstractmethod
    def forward(self, state: S, problem: Problem) -> S:
        """The state after the unit."""

    @abstractmethod
    def inverse(self, state: S, problem: Problem) -> S:
        """The state before the unit, from the state after it."""

    def replay(self, state: S, problem: Problem, flags: Sequence[bool], record: Recording) -> S:
        """The state before the unit, with its forward pass repeated.

        Args:
            state: State after the unit.
            problem: Problem of the forward pass.
            flags: For every field of the state before the unit, True if it required gradients.
            record: Context in which the forward pass is repeated, and nothing else.

        Returns:
            State before the unit, detached.
        """
        with torch.no_grad():
            before = self.inverse(state, problem)
        with record():
            self.forward(as_leaves(before, flags), problem)
        return detached(before)


@dataclass(frozen=True)
class Coupling(Unit[S]):
    """Additive coupling z_i ← z_i + f(z without z_i) of one field of the state.

    From NICE (Dinh, Krueger, Bengio, 2015). A subtraction inverts it, and the evaluation of f for
    the subtraction also serves the gradient.

    Attributes:
        field: Name i of the field of the state.
        increment: Function f; it gets the state with None in the place of z_i.
    """

    field: str
    increment: Callable[[S, Problem], Tensor]

    def changes(self, field: str) -> bool:
        return field == self.field

    def forward(self, state: S, problem: Problem) -> S:
        return self._shifted(state, self._increment(state, problem), 1)

    def inverse(self, state: S, problem: Problem) -> S:
        return self._shifted(state, self._increment(state, problem), -1)

    def replay(self, state: S, problem: Problem, flags: Sequence[bool], record: Recording) -> S:
        with record():
            grown = self._increment(as_leaves(state, flags), problem)
        with torch.no_grad():
            return detached(self._shifted(state, grown.detach(), -1))

    def _increment(self, state: S, problem: Problem) -> Tensor:
        hidden: Any = state
        return self.increment(hidden._replace(**{self.field: None}), problem)

    def _shifted(self, state: S, grown: Tensor, sign: int) -> S:
        fields: Any = state
        old: Tensor = getattr(state, self.field)
        new: S = fields._replace(**{self.field: old + sign * grown.to(old.dtype)})
        return new


def relative_error(before: S, recovered: S, after: S) -> float:
    """The largest distance between two fields, relative to the largest norm of a field.

    Args:
        before: State before a step.
        recovered: State that the inverse returned.
        after: State after the step.
    """
    size = max(_norm(z) for z in (*before, *after))
    gap = max(_norm(a - b) for a, b in zip(before, recovered, strict=True))
    return gap / size if size > 0 else gap


def _norm(tensor: Tensor) -> float:
    return float(tensor.norm() if tensor.is_floating_point() or tensor.is_complex() else 0.0)


def detached(state: S) -> S:
    """The state without a graph.

    Args:
        state: State.
    """
    return type(state)(*(tensor.detach() for tensor in state))


def as_leaves(state: S, flags: Sequence[bool]) -> S:
    """The state as leaves of a new graph.

    Args:
        state: State.
        flags: For every field, True if it requires gradients.
    """
    pairs = zip(state, flags, strict=True)
    return type(state)(*(tensor.detach().requires_grad_(flag) for tensor, flag in pairs))
