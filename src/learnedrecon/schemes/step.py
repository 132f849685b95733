"""Λ: one update of a state, and compositions of such updates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from torch import nn

from learnedrecon.errors import ConfigError, describe
from learnedrecon.schemes.backward import Backprop, Backward

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from learnedrecon.problem import Problem
    from learnedrecon.schemes.invertible import Unit

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]


class Step(nn.Module, ABC, Generic[S]):
    """Λ: (state, problem) → state, where a state is a NamedTuple of tensors.

    A step holds networks and never an operator, which arrives with the problem.
    """

    @abstractmethod
    def forward(self, state: S, problem: Problem) -> S:
        """Λ(state)."""

    def iterates(self, state: S, problem: Problem) -> Iterator[S]:
        """The state after every elementary step; the last one is ``self(state, problem)``."""
        yield self(state, problem)

    def diagnostics(self) -> dict[str, float]:
        """Numbers that say how the last call went; nothing for steps that solve nothing."""
        return {}

    def units(self) -> Sequence[Unit[S]]:
        """The invertible pieces that the step is a composition of, in order.

        Raises:
            ConfigError: it has no inverse.
        """
        raise _no_inverse(type(self).__name__)


class Chain(Step[S]):
    """Λ_N ∘ ... ∘ Λ_1, each with its own weights.

    ``chain[:k]`` is a chain of the first k steps that shares their weights.

    Args:
        steps: Λ_1, ..., Λ_N.
        backward: how the composition is differentiated.

    Raises:
        ConfigError: no steps, or the same module twice (say :class:`Repeat` for shared weights).
    """

    def __init__(self, steps: Sequence[Step[S]], backward: Backward | None = None) -> None:
        super().__init__()
        inside = [id(m) for step in steps for m in step.modules() if isinstance(m, Step)]
        if not steps or len(set(inside)) < len(inside):
            raise ConfigError(
                describe(
                    expected="at least one step, each a module of its own",
                    found=f"{len(inside)} steps, nested ones too, {len(set(inside))} different",
                    fix="build every step anew, or use Repeat(step, n) to share weights",
                )
            )
        self.steps = nn.ModuleList(steps)
        self.backward_mode = Backprop() if backward is None else backward
        self.backward_mode.check(steps)

    def forward(self, state: S, problem: Problem) -> S:
        return self.backward_mode.run(list(self), state, problem)

    def iterates(self, state: S, problem: Problem) -> Iterator[S]:
        for step in self:
            for state in step.iterates(state, problem):  # noqa: PLR1704, B020
                yield state

    def units(self) -> Sequence[Unit[S]]:
        return [unit for step in self for unit in step.units()]

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step[S]]:
        return iter(self.steps)  # type: ignore[arg-type]

    @overload
    def __getitem__(self, index: int) -> Step[S]: ...
    @overload
    def __getitem__(self, index: slice) -> Chain[S]: ...
    def __getitem__(self, index: int | slice) -> Step[S] | Chain[S]:
        steps = list(self)
        if isinstance(index, int):
            return steps[index]
        return Chain(steps[index], self.backward_mode)


class Repeat(Step[S]):
    """Λ ∘ ... ∘ Λ, n times with the same weights.

    Args:
        step: Λ.
        times: n; may be changed by ``repeat.with_times(n)``, which shares the weights.
        backward: how the composition is differentiated.

    Raises:
        ConfigError: n < 1.
    """

    def __init__(self, step: Step[S], times: int, backward: Backward | None = None) -> None:
        super().__init__()
        if times < 1:
            raise ConfigError(
                describe(expected="at least one repetition", found=str(times), fix="set times >= 1")
            )
        self.step = step
        self.times = times
        self.backward_mode = Backprop() if backward is None else backward
        self.backward_mode.check([step])

    def forward(self, state: S, problem: Problem) -> S:
        return self.backward_mode.run([self.step] * self.times, state, problem)

    def iterates(self, state: S, problem: Problem) -> Iterator[S]:
        for _ in range(self.times):
            for state in self.step.iterates(state, problem):  # noqa: PLR1704, B020
                yield state

    def units(self) -> Sequence[Unit[S]]:
        return [*self.step.units()] * self.times

    def with_times(self, times: int) -> Repeat[S]:
        """The same step, repeated ``times`` times."""
        return Repeat(self.step, times, self.backward_mode)


def units_of(step: object) -> Sequence[Unit[Any]]:
    """The invertible pieces of a step.

    Raises:
        ConfigError: not a step, or one without an inverse.
    """
    if not isinstance(step, Step):
        raise _no_inverse(type(step).__name__)
    return step.units()


def _no_inverse(name: str) -> ConfigError:
    return ConfigError(
        describe(
            expected="invertible steps",
            found=f"{name}, which has no inverse",
            fix="use a CouplingStep or an InvertibleStep, or Checkpointed in place of Reversible",
        )
    )
