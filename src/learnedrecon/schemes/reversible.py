"""Reversible backpropagation: activations recomputed by inversion."""

from __future__ import annotations

import itertools
import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch.autograd.graph import saved_tensors_hooks

from learnedrecon.compiling import uncompiled
from learnedrecon.errors import ConfigError, DifferentiationError, describe
from learnedrecon.schemes.backward import Backward, Update
from learnedrecon.schemes.recomputation import (
    Constancy,
    Unchanged,
    autocast_now,
    refuse_second_derivative,
)
from learnedrecon.schemes.step import Step, units_of
from learnedrecon.schemes.units import detached, relative_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from learnedrecon.problem import Problem
    from learnedrecon.schemes.units import Unit

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]


@dataclass(frozen=True)
class Reversible(Backward):
    """Reversible backpropagation: stores the last state and inverts every step; exact to rounding.

    Memory does not grow with the number of steps (Gomez et al., The reversible residual network,
    2017). Additive couplings are evaluated once more in the backward pass, other invertible steps
    twice. Gradients reach every tensor in the graph. Errors are raised for second derivatives,
    steps that draw random numbers or change buffers, a backward pass after weights, data or states
    were changed in place, and the transforms of ``torch.func``. Steps are evaluated coupling by
    coupling, so hooks registered on a step itself do not run; those on its networks do.

    ``torch.compile``: compile the networks, ``step.dual_network.compile()``. A compiled step is
    not used, as its couplings are evaluated one by one. In a compiled model the composition runs
    without compilation, between two graphs: the result is correct, but not faster, and
    ``fullgraph=True`` fails.

    Attributes:
        tolerance: Largest distance between the recomputed and the true initial state, relative to
            the largest norm of a field, above which a warning is logged.

    Raises:
        ConfigError: The tolerance is not positive, or (when a composition is built) a step has no
            inverse.
    """

    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ConfigError(
                describe(
                    expected="a tolerance > 0",
                    found=str(self.tolerance),
                    fix="give the largest accepted relative error of the inversion, such as 1e-3",
                )
            )

    def check(self, steps: Sequence[Step[S]]) -> None:
        for step in steps:
            units_of(step)

    @uncompiled
    def run(self, steps: Sequence[Update[S]], state: S, problem: Problem) -> S:
        units: list[Unit[S]] = [unit for step in steps for unit in units_of(step)]
        for after in self._walk(units, steps, state, problem):
            state = after
        return state

    def trace(self, steps: Sequence[Any], state: S, problem: Problem) -> Iterator[S]:
        """States after every elementary step, all of them made before the first is yielded."""
        if not torch.is_grad_enabled() or torch.compiler.is_compiling():
            yield from super().trace(steps, state, problem)
            return
        parts = [units_of(element) for step in steps for element in step.elements()]
        last = set(itertools.accumulate(len(units) for units in parts))
        units = [unit for part in parts for unit in part]
        walk = self._walk(units, steps, state, problem)
        yield from [after for number, after in enumerate(walk, start=1) if number in last]

    def _walk(
        self, units: Sequence[Unit[S]], steps: Sequence[Any], state: S, problem: Problem
    ) -> Iterator[S]:
        """States after every unit; where gradients are recorded, the walk has to be finished."""
        if not torch.is_grad_enabled():
            for unit in units:
                state = unit.forward(state, unit.problem_for_unit(problem))
                yield state
            return
        constancy = Constancy(steps)
        tape = _Tape(units, problem, state, self.tolerance)
        tape.watch.update(constancy.weights())
        for index, unit in enumerate(units):
            frame = _Frame(tape, index, [tensor.requires_grad for tensor in state])
            seen = unit.problem_for_unit(problem)
            with saved_tensors_hooks(frame.pack, frame.unpack):
                state = unit.forward(state, seen)
            yield state
        constancy.require()
        tape.close(state)


class _Tape(Generic[S]):
    """The progress of the backward pass: the state after the first ``position`` units.

    Args:
        units: of the whole composition.
        problem: of the forward pass.
        start: the state before the first unit.
        tolerance: Relative drift of the round trip that is allowed.
    """

    def __init__(
        self, units: Sequence[Unit[S]], problem: Problem, start: S, tolerance: float
    ) -> None:
        self.units = units
        self.problem = problem
        self.tolerance = tolerance
        self.start = detached(start)
        self.state = self.start
        self.after: S | None = None
        self.autocast = autocast_now(start[0].device.type)
        self.position = 0
        data = getattr(problem, "data", None)  # a network that is reversible has no problem
        self.watch = Unchanged(
            {"the initial state": start, "the data": [] if data is None else [data]}
        )
        self._recorded: _Frame[S] | None = None
        self._lock = threading.RLock()

    def close(self, end: S) -> None:
        """Notes the state after the last unit, which is kept."""
        self.end = detached(end)
        self.watch.update({"the last state": self.end})
        self._rewind()

    def replay(self, index: int, frame: _Frame[S]) -> None:
        """Goes back to before unit ``index`` and lets ``frame`` record it."""
        with self._lock:  # a graph on several devices is run by several threads
            self._replay(index, frame)

    def _replay(self, index: int, frame: _Frame[S]) -> None:
        if self._recorded is not None:
            self._recorded.found = {}
        self._recorded = frame
        if index == self.position and self.after is not None:
            self.state, self.position = self.after, index + 1
        if index >= self.position:
            self._rewind()
        if self.position == len(self.units):
            self.watch.require()
        with torch.no_grad(), self.autocast():
            for passed in range(self.position - 1, index, -1):
                unit = self.units[passed]
                self.state = unit.inverse(self.state, unit.problem_for_unit(self.problem))
        self.state = self.after = self._refreshed(self.state, self.units[: index + 1])
        with torch.enable_grad(), self.autocast():
            unit, flags = self.units[index], frame.flags
            seen = unit.problem_for_unit(self.problem)
            self.state = unit.replay(self.state, seen, flags, frame.recording)
        self.position = index
        if index == 0:
            self._report()

    def _rewind(self) -> None:
        self.state = self.end
        self.after = None
        self.position = len(self.units)

    def _refreshed(self, state: S, before: Sequence[Unit[S]]) -> S:
        """Fields that no unit has changed yet are exactly those of the start.

        Otherwise zeros would come back as rounding errors of either sign, and a ReLU at zero has
        another derivative on either side.
        """
        fields: Any = state
        known = {
            name: getattr(self.start, name)
            for name in fields._fields
            if not any(unit.changes(name) for unit in before)
        }
        refreshed: S = fields._replace(**known)
        return refreshed

    def _report(self) -> None:
        gap = relative_error(self.start, self.state, self.end)
        self.state = self.start
        if not gap <= self.tolerance:
            logging.getLogger("learnedrecon").warning(
                "The way back through %d reversible units ended %.2g from where it began (relative"
                " to the state); more than %.2g, so gradients are inexact by about as much. Use"
                " fewer steps, smaller updates, double precision or Checkpointed.",
                len(self.units),
                gap,
                self.tolerance,
            )


class _Frame(Generic[S]):
    """The tensors that autograd saves within one unit: counted, dropped, and made again.

    Args:
        tape: of the composition.
        index: of the unit.
        flags: which fields of the state before it require gradients.
    """

    def __init__(self, tape: _Tape[S], index: int, flags: Sequence[bool]) -> None:
        self.tape = tape
        self.index = index
        self.flags = flags
        self.shapes: list[torch.Size] = []
        self.found: dict[int, Tensor] = {}

    def pack(self, tensor: Tensor) -> int:
        self.shapes.append(tensor.shape)
        return len(self.shapes) - 1

    def unpack(self, number: int) -> Tensor:
        refuse_second_derivative("Reversible")
        if number not in self.found:
            self.tape.replay(self.index, self)
        return self.found.pop(number)

    @contextmanager
    def recording(self) -> Iterator[None]:
        made: list[Tensor] = []

        def keep(tensor: Tensor) -> None:
            made.append(tensor.detach())

        with torch.enable_grad(), saved_tensors_hooks(keep, _unexpected):
            yield
        if [tensor.shape for tensor in made] != self.shapes:
            raise DifferentiationError(
                describe(
                    expected="a step that computes the same when it is run again",
                    found=f"{len(made)} saved tensors in place of {len(self.shapes)}, or others",
                    fix="make the step depend only on its state and its problem",
                )
            )
        self.found = dict(enumerate(made))


def _unexpected(_: None) -> Tensor:
    raise DifferentiationError(
        describe(
            expected="a step without derivatives inside",
            found="a backward pass within a reversible step",
            fix="use Backprop or Checkpointed for this composition",
        )
    )
