"""Deep equilibrium schemes u = Λ(u), without a fixed number of steps."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from learnedrecon.compiling import uncompiled
from learnedrecon.schemes.implicit import FixedPointBackward, Implicit
from learnedrecon.schemes.step import Step, require_state
from learnedrecon.solvers.anderson import Anderson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from learnedrecon.problem import Problem
    from learnedrecon.solvers.fixed_point import FixedPointResult, FixedPointSolver

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]


class FixedPoint(Step[S]):
    """The fixed point of a step, found by a solver, with an implicit or approximate derivative.

    The returned state is Λ of the best iterate of every sample, so that this last evaluation has a
    graph. A call that does not converge is logged as a warning.

    Args:
        step: Step Λ.
        solver: Solver of z = Λ(z); Anderson acceleration unless given.
        backward: Derivative of the fixed point; :class:`Implicit` unless given.

    Attributes:
        result: Result of the last call: iterations, residual and convergence of every sample; None
            before.
        backward_result: Result of the last backward pass of :class:`Implicit`; None before.
    """

    def __init__(
        self,
        step: Step[S],
        solver: FixedPointSolver | None = None,
        backward: FixedPointBackward | None = None,
    ) -> None:
        super().__init__()
        self.step = step
        self.solver = Anderson() if solver is None else solver
        self.backward_mode = Implicit() if backward is None else backward
        self.result: FixedPointResult | None = None
        self.backward_result: FixedPointResult | None = None

    @uncompiled
    def forward(self, state: S, problem: Problem) -> S:
        require_state(self, state)
        with torch.no_grad():
            self.result = self.solver.solve(self._map(state, problem), tuple(state))
        if not bool(self.result.converged.all()):
            logging.getLogger("learnedrecon").warning("A fixed point: %s", self.result.status)
        point = type(state)(*self.result.state)
        if not torch.is_grad_enabled():
            return self.step(point, problem)
        return self.backward_mode.attach(self.step, point, problem, self._note)

    def begin(self, image: Tensor, problem: Problem) -> S:
        return self.step.begin(image, problem)

    def image(self, state: S) -> Tensor:
        return self.step.image(state)

    def extra(self, state: S) -> Mapping[str, Tensor]:
        return self.step.extra(state)

    def states(self) -> type[Any]:
        return self.step.states()

    def diagnostics(self) -> dict[str, float]:
        """Mean ``iterations``, worst ``residual`` and fraction ``converged`` of the last call.

        In training mode also ``backward_residual``, the worst one of the last backward pass.
        """
        if self.result is None or not len(self.result.residual):
            return {}
        found = {
            "iterations": float(self.result.iterations.double().mean()),
            "residual": float(self.result.residual.max()),
            "converged": float(self.result.converged.double().mean()),
        }
        if self.training and self.backward_result is not None:
            found["backward_residual"] = float(self.backward_result.residual.max())
        return found

    def iterates(self, state: S, problem: Problem) -> Iterator[S]:
        require_state(self, state)
        with torch.no_grad():
            for values in self.solver.states(self._map(state, problem), tuple(state)):
                yield type(state)(*values)

    def with_iterations(self, number: int) -> FixedPoint[S]:
        """The same step with a solver of at most ``number`` evaluations."""
        solver = replace(self.solver, max_iterations=number)
        return FixedPoint(self.step, solver, self.backward_mode)

    def _map(self, state: S, problem: Problem) -> Callable[[tuple[Tensor, ...]], Sequence[Any]]:
        kind: Any = type(state)
        return lambda z: self.step(kind(*z), problem)

    def _note(self, result: FixedPointResult) -> None:
        self.backward_result = result
