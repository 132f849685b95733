"""Schemes with another number of iterations than they were built and trained for."""

from __future__ import annotations

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
    if isinstance(scheme, FixedPoint):
        return int(scheme.solver.max_iterations)
    return scheme.times if isinstance(scheme, CyclicChain) else len(_elements(scheme))


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
    if isinstance(scheme, FixedPoint):
        return scheme.with_iterations(number)
    if isinstance(scheme, Repeat) and len(_elements(scheme.step)) == 1:
        return scheme.with_times(number)
    backward = getattr(scheme, "backward_mode", None)
    if isinstance(scheme, Chain) and number <= len(scheme) == len(_elements(scheme)):
        return scheme[:number]
    steps = list(scheme.steps) if isinstance(scheme, CyclicChain) else _elements(scheme)
    return CyclicChain(steps, number, backward)  # type: ignore[arg-type]


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


def _elements(step: Any) -> list[Any]:  # noqa: ANN401 - any step
    """The steps that one run applies, in order, as ``iterates`` goes through them.

    A repeated step comes once for every repetition.
    """
    if isinstance(step, Chain):
        return [element for part in step for element in _elements(part)]
    if isinstance(step, Repeat):
        return _elements(step.step) * step.times
    return [step]


def _in_turn(step: Any, by: int) -> Any:  # noqa: ANN401 - any step
    if by and isinstance(step, OnSubset):
        return OnSubset(step.step, step.partition, step.k + by, drawn=step.drawn).train(
            step.training
        )
    return step
