"""Steps Λ, which update a state, and their compositions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, get_args, overload

from torch import nn

from learnedrecon.errors import ConfigError, describe
from learnedrecon.schemes.backward import Backprop, Backward
from learnedrecon.schemes.state import Image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from learnedrecon.problem import Problem
    from learnedrecon.schemes.units import Unit

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]


def require_state(step: Step[S], state: S) -> None:
    """Check that a state has the type of the step, and is not for example a bare tensor.

    Args:
        step: Step.
        state: State to check.

    Raises:
        ConfigError: The state has another type; the message names both.
    """
    if not isinstance(state, step.states()):
        raise ConfigError(
            describe(
                expected=f"a state of type {step.states().__name__} for {type(step).__name__}",
                found=f"one of type {type(state).__name__}",
                fix="begin with step.begin(image, problem), or return such a state from the start",
            )
        )


class Step(nn.Module, ABC, Generic[S]):
    """A step Λ: (state, problem) → state, where a state is a NamedTuple of tensors.

    A step contains networks but no operator, which the problem provides. Its state is the type
    parameter, ``class MyStep(Step[MyState])``, and :class:`Image` where there is none. A step with
    another state implements :meth:`begin`, and :meth:`image` where the state has no ``image``.

    Attributes:
        state_type: Type of the state.
    """

    state_type: ClassVar[type[Any]] = Image

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for base in getattr(cls, "__orig_bases__", ()):
            for kind in get_args(base):
                if isinstance(kind, type) and issubclass(kind, tuple):
                    cls.state_type = kind

    @abstractmethod
    def forward(self, state: S, problem: Problem) -> S:
        """Λ(state)."""

    def begin(self, image: Tensor, problem: Problem) -> S:  # noqa: ARG002 - what other classes look at
        """The initial state of an image.

        Args:
            image: Image, (batch, channel, *domain.shape).
            problem: Problem that the scheme will run on.

        Raises:
            ConfigError: The step has a state of its own and does not implement this method.
        """
        if self.state_type is not Image:
            raise ConfigError(
                describe(
                    expected=f"{type(self).__name__}.begin(image, problem), as its state is "
                    f"{self.state_type.__name__}",
                    found="none",
                    fix="write it, or let the start return such a state",
                )
            )
        return Image(image)  # type: ignore[return-value]

    def image(self, state: S) -> Tensor:
        """The image of a state, (batch, channel, *domain.shape)."""
        found: Tensor = state.image  # type: ignore[attr-defined]
        return found

    def extra(self, state: S) -> Mapping[str, Tensor]:  # noqa: ARG002 - none by default
        """Further results in a state by name, (batch, ...), for ``Estimate.extra``.

        They are in the units of the scaled problem, see :class:`Scaling`.

        Args:
            state: State after this step.
        """
        return {}

    def states(self) -> type[Any]:
        """The type of the states of the step."""
        return self.state_type

    def iterates(self, state: S, problem: Problem) -> Iterator[S]:
        """The state after every elementary step; the last one is ``self(state, problem)``."""
        yield self(state, problem)

    def elements(self) -> Sequence[Step[S]]:
        """Elementary steps, in order: those after which :meth:`iterates` yields a state."""
        return [self]

    def diagnostics(self) -> dict[str, float]:
        """Numbers about the last call; none for steps that solve nothing."""
        return {}

    def units(self) -> Sequence[Unit[S]]:
        """The invertible units that the step is a composition of, in order.

        Raises:
            ConfigError: The step has no inverse.
        """
        raise _no_inverse(type(self).__name__)


class Chain(Step[S]):
    """The composition Λ_N ∘ ... ∘ Λ_1 of steps with their own weights.

    ``chain[:k]`` is a chain of the first k steps that shares their weights.

    Args:
        steps: Λ_1, ..., Λ_N.
        backward: Differentiation of the composition; backpropagation unless given.

    Raises:
        ConfigError: There are no steps, or a module occurs twice (use :class:`Repeat` for shared
            weights).
    """

    def __init__(self, steps: Sequence[Step[S]], backward: Backward | None = None) -> None:
        super().__init__()
        inside = [id(m) for step in steps for m in step.modules() if isinstance(m, Step)]
        if not steps or len(set(inside)) < len(inside):
            raise ConfigError(
                describe(
                    expected="at least one step, each a module of its own",
                    found=f"{len(inside)} steps, nested ones too, {len(set(inside))} different",
                    fix="build every step separately, or use Repeat(step, n) to share weights",
                )
            )
        self.steps = nn.ModuleList(steps)
        self.backward_mode = Backprop() if backward is None else backward
        self.backward_mode.check(steps)

    def forward(self, state: S, problem: Problem) -> S:
        require_state(self, state)
        return self.backward_mode.run(list(self), state, problem)

    def begin(self, image: Tensor, problem: Problem) -> S:
        return self[0].begin(image, problem)

    def image(self, state: S) -> Tensor:
        return self[-1].image(state)

    def extra(self, state: S) -> Mapping[str, Tensor]:
        return self[-1].extra(state)

    def states(self) -> type[Any]:
        return self[0].states()

    def iterates(self, state: S, problem: Problem) -> Iterator[S]:
        require_state(self, state)
        return self.backward_mode.trace(list(self), state, problem)

    def elements(self) -> Sequence[Step[S]]:
        return [element for step in self for element in step.elements()]

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
    """The n-fold composition Λ ∘ ... ∘ Λ with shared weights.

    Args:
        step: Λ.
        times: Number n of repetitions; ``repeat.with_times(n)`` changes it and shares the weights.
        backward: Differentiation of the composition; backpropagation unless given.

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
        require_state(self, state)
        return self.backward_mode.run([self.step] * self.times, state, problem)

    def begin(self, image: Tensor, problem: Problem) -> S:
        return self.step.begin(image, problem)

    def image(self, state: S) -> Tensor:
        return self.step.image(state)

    def extra(self, state: S) -> Mapping[str, Tensor]:
        return self.step.extra(state)

    def states(self) -> type[Any]:
        return self.step.states()

    def iterates(self, state: S, problem: Problem) -> Iterator[S]:
        require_state(self, state)
        return self.backward_mode.trace([self.step] * self.times, state, problem)

    def elements(self) -> Sequence[Step[S]]:
        return [*self.step.elements()] * self.times

    def units(self) -> Sequence[Unit[S]]:
        return [*self.step.units()] * self.times

    def with_times(self, times: int) -> Repeat[S]:
        """The same step, repeated ``times`` times."""
        return Repeat(self.step, times, self.backward_mode)


def units_of(step: object) -> Sequence[Unit[Any]]:
    """The invertible units of a step.

    Args:
        step: Step with an inverse.

    Raises:
        ConfigError: The object is not a step, or has no inverse.
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
