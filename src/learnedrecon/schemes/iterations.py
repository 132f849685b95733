"""Schemes with another number of iterations than they were built and trained for."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any, TypeVar

from torch import nn

from learnedrecon.errors import ConfigError, describe
from learnedrecon.schemes.backward import Backprop, Backward
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.reconstructor import Iterative, Reconstructor
from learnedrecon.schemes.step import Chain, Repeat, Step, require_state
from learnedrecon.schemes.subsets import OnSubset

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from learnedrecon.problem import Problem
    from learnedrecon.schemes.units import Unit

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]


class CyclicChain(Step[S]):
    """Λ_1, ..., Λ_N, Λ_1, ...: steps in cyclic order, ``times`` applications in all.

    All cycles share the weights. A step on a part of the data continues with the parts, or the
    draws, where the last cycle ended.

    Args:
        steps: Λ_1, ..., Λ_N.
        times: Number of applications, more or fewer than N.
        backward: Differentiation of the composition; backpropagation unless given.

    Raises:
        ConfigError: There are no steps, or times < 1.
    """

    def __init__(
        self, steps: Sequence[Step[S]], times: int, backward: Backward | None = None
    ) -> None:
        super().__init__()
        if not steps or times < 1:
            raise ConfigError(
                describe(
                    expected="at least one step and one iteration",
                    found=f"{len(steps)} steps, {times} iterations",
                    fix="ask for at least one",
                )
            )
        self.steps = nn.ModuleList(steps)
        self.times = times
        self.backward_mode = Backprop() if backward is None else backward
        self.backward_mode.check(steps)

    def forward(self, state: S, problem: Problem) -> S:
        require_state(self, state)
        return self.backward_mode.run(list(self._all()), state, problem)

    def begin(self, image: Tensor, problem: Problem) -> S:
        return next(self._all()).begin(image, problem)

    def image(self, state: S) -> Tensor:
        return next(self._all()).image(state)

    def extra(self, state: S) -> Mapping[str, Tensor]:
        return next(self._all()).extra(state)

    def states(self) -> type[Any]:
        return next(self._all()).states()

    def iterates(self, state: S, problem: Problem) -> Iterator[S]:
        require_state(self, state)
        return self.backward_mode.trace(list(self._all()), state, problem)

    def elements(self) -> Sequence[Step[S]]:
        return [element for step in self._all() for element in step.elements()]

    def units(self) -> Sequence[Unit[S]]:
        return [unit for step in self._all() for unit in step.units()]

    def _all(self) -> Iterator[Step[S]]:
        steps: list[Any] = list(self.steps)
        for number in range(self.times):
            turn, place = divmod(number, len(steps))
            yield _in_turn(steps[place], turn * len(steps))


def iterations(scheme: Step[Any]) -> int:
    """The number of iterations of a scheme; the largest one of a fixed point.

    Args:
        scheme: Any scheme.
    """
    return _number(scheme)


@singledispatch
def _number(scheme: Step[Any]) -> int:
    return len(scheme.elements())


@_number.register(FixedPoint)
def _evaluations(scheme: FixedPoint[Any]) -> int:
    return int(scheme.solver.max_iterations)


def with_iterations(scheme: Step[S], number: int) -> Step[S]:
    """A new scheme with the same weights and ``number`` iterations.

    A ``Repeat`` changes its number of repetitions; a ``Chain`` is shortened, or continues with its
    first step after its last; a ``FixedPoint`` allows its solver that many evaluations; any other
    step is repeated. Iterations are those that ``iterates`` yields.

    Args:
        scheme: Any scheme, which is not changed.
        number: Number of iterations K ≥ 1.

    Raises:
        ConfigError: K < 1.
    """
    if number < 1:
        raise ConfigError(
            describe(expected="at least one iteration", found=str(number), fix="use at least 1")
        )
    return _with(scheme, number)


@singledispatch
def _with(scheme: Step[S], number: int) -> Step[S]:
    return CyclicChain(scheme.elements(), number)


@_with.register(FixedPoint)
def _fixed_point_with(scheme: FixedPoint[S], number: int) -> Step[S]:
    return scheme.with_iterations(number)


@_with.register(Repeat)
def _repeat_with(scheme: Repeat[S], number: int) -> Step[S]:
    if len(scheme.step.elements()) == 1:
        return scheme.with_times(number)
    return CyclicChain(scheme.elements(), number, scheme.backward_mode)


@_with.register(Chain)
def _chain_with(scheme: Chain[S], number: int) -> Step[S]:
    elements = scheme.elements()
    if number <= len(scheme) == len(elements):
        return scheme[:number]
    return CyclicChain(elements, number, scheme.backward_mode)


@_with.register(CyclicChain)
def _cycle_with(scheme: CyclicChain[S], number: int) -> Step[S]:
    steps: list[Any] = list(scheme.steps)
    return CyclicChain(steps, number, scheme.backward_mode)


def model_with_iterations(model: Reconstructor, number: int) -> Iterative:
    """A method with the weights of ``model`` and ``number`` iterations.

    Args:
        model: Iterative method.
        number: Number of iterations ≥ 1.

    Raises:
        ConfigError: The method has no iterations, such as filtered backprojection followed by a
            network; or number < 1.
    """
    if not isinstance(model, Iterative):
        raise ConfigError(
            describe(
                expected="a learned iterative scheme, which can run for any number of iterations",
                found=f"{type(model).__name__}, which has none",
                fix="omit the number of iterations, or name the run of an iterative scheme",
            )
        )
    return model.with_scheme(with_iterations(model.scheme, number)).train(model.training)


@singledispatch
def _in_turn(step: Step[S], by: int) -> Step[S]:  # noqa: ARG001 - most steps have no number
    return step


@_in_turn.register(OnSubset)
def _subset_in_turn(step: OnSubset[S], by: int) -> Step[S]:
    later = OnSubset(step.step, step.partition, step.k + by, drawn=step.drawn)
    return later.train(step.training) if by else step
