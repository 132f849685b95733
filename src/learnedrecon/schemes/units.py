"""The smallest pieces of a scheme that are undone, recorded and replayed as a whole."""

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
    """The smallest piece that is undone as a whole."""

    def changes(self, field: str) -> bool:  # noqa: ARG002
        """Whether the field of that name may be another one after it."""
        return True

    def problem_for_unit(self, problem: Problem) -> Problem:
        """What the other methods are given: the part of the problem that this unit sees."""
        return problem

    @abstractmethod
    def forward(self, state: S, problem: Problem) -> S:
        """The state after it."""

    @abstractmethod
    def inverse(self, state: S, problem: Problem) -> S:
        """The state before it, from the state after it."""

    def replay(self, state: S, problem: Problem, flags: Sequence[bool], record: Recording) -> S:
        """The state before it, and the forward pass once more.

        Args:
            state: after it.
            problem: as in the forward pass.
            flags: which fields of the state required gradients before it.
            record: the context in which the forward pass is repeated; nothing else is done in it.

        Returns:
            The state before it, detached.
        """
        with torch.no_grad():
            before = self.inverse(state, problem)
        with record():
            self.forward(as_leaves(before, flags), problem)
        return detached(before)


@dataclass(frozen=True)
class Coupling(Unit[S]):
    """One field grows by something that does not depend on it: z_i ← z_i + f(z without z_i).

    Additive coupling (Dinh, Krueger, Bengio, NICE, 2015). Undone by a subtraction, and the one
    evaluation of f that the subtraction takes also serves the gradient.

    Attributes:
        field: i, the name of the field of the state.
        increment: f; it is given the state with None in the place of z_i.
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
    """The largest distance of two fields, relative to the largest norm of a field."""
    size = max(_norm(z) for z in (*before, *after))
    gap = max(_norm(a - b) for a, b in zip(before, recovered, strict=True))
    return gap / size if size > 0 else gap


def _norm(tensor: Tensor) -> float:
    return float(tensor.norm() if tensor.is_floating_point() or tensor.is_complex() else 0.0)


def detached(state: S) -> S:
    """The state without a graph."""
    return type(state)(*(tensor.detach() for tensor in state))


def as_leaves(state: S, flags: Sequence[bool]) -> S:
    """The state as leaves of a new graph, those with a flag requiring gradients."""
    pairs = zip(state, flags, strict=True)
    return type(state)(*(tensor.detach().requires_grad_(flag) for tensor, flag in pairs))
