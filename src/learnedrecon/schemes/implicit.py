"""How a fixed point is differentiated: exactly at the fixed point, or approximately."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from learnedrecon.errors import ConfigError, describe
from learnedrecon.schemes.recomputation import Constancy, refuse_second_derivative
from learnedrecon.schemes.units import as_leaves
from learnedrecon.solvers.anderson import Anderson
from learnedrecon.solvers.fixed_point import FixedPointResult, FixedPointSolver

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.schemes.step import Step

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]
Report = Callable[[FixedPointResult], None]


class FixedPointBackward(ABC):
    """Attaches a graph to a fixed point z* = Λ(z*) that was found without one."""

    @abstractmethod
    def attach(self, step: Step[S], point: S, problem: Problem, report: Report) -> S:
        """Λ(z*), or an iterate after it, with a derivative.

        Args:
            step: Λ.
            point: z*, without a graph.
            problem: one batch.
            report: called with the result of a solve in the backward pass.
        """


@dataclass(frozen=True)
class Implicit(FixedPointBackward):
    """The derivative of the fixed point itself, by the implicit function theorem.

    With J = ∂Λ/∂z at z*, a cotangent v is turned into the solution g of g = J*g + v, by a fixed
    point solver of its own, and g goes through one evaluation of Λ to weights, data and every other
    tensor that autograd knows of (Bai, Kolter, Koltun, Deep equilibrium models, 2019; Gilton,
    Ongie, Willett, IEEE TCI 7, 2021). The error of the gradient is proportional to the residuals of
    z* and of g. Memory is that of one step. The initial state has the derivative zero. Second
    derivatives are refused. A solve that does not converge is a warning in the log
    ``learnedrecon`` and is kept in ``FixedPoint.backward_result``.

    Within ``torch.utils.checkpoint(use_reentrant=False)`` every evaluation of J* would solve the
    fixed point again; there is nothing to save there, so put :class:`Checkpointed` inside Λ.

    ``torch.compile``: compile the step or its networks. A compiled model leaves its graph for the
    fixed point, whose solver looks at numbers: right, and no faster than a compiled step;
    ``fullgraph=True`` fails.

    Attributes:
        solver: of the linear fixed point equation.
        tolerance: on its relative residual; the solver's own unless given.
    """

    solver: FixedPointSolver = field(default_factory=lambda: Anderson(tolerance=1e-6))
    tolerance: float | None = None

    def attach(self, step: Step[S], point: S, problem: Problem, report: Report) -> S:
        constancy = Constancy([step])
        flags = [_is_inexact(tensor) for tensor in point]
        start = as_leaves(point, flags)
        after = step(start, problem)
        constancy.require()
        solver = self.solver
        if self.tolerance is not None:
            solver = replace(solver, tolerance=self.tolerance)
        moving = [end.requires_grad for end in after]
        pairs = zip(start, after, moving, strict=True)
        kept = [(z, end) for z, end, moves in pairs if moves]
        solve = _AdjointSolve(
            solver, tuple(z for z, _ in kept), tuple(end for _, end in kept), report
        )
        ends = iter(_AtFixedPoint.apply(solve, *solve.after))
        return type(point)(
            *(next(ends) if moves else z for z, moves in zip(after, moving, strict=True))
        )


@dataclass(frozen=True, eq=False)
class _AdjointSolve:
    """g = J*g + v.

    Attributes:
        solver: of the equation.
        point: z*, leaves.
        after: Λ(z*), with a graph to the leaves.
        report: called with the result.
    """

    solver: FixedPointSolver
    point: tuple[Tensor, ...]
    after: tuple[Tensor, ...]
    report: Report

    def __call__(self, cotangents: Sequence[Tensor]) -> tuple[Tensor, ...]:
        def pulled(g: tuple[Tensor, ...]) -> list[Tensor]:
            back = torch.autograd.grad(
                self.after, self.point, g, retain_graph=True, allow_unused=True
            )
            pairs = zip(back, cotangents, strict=True)
            return [v if part is None else v + part for part, v in pairs]

        result = self.solver.solve(pulled, cotangents)
        self.report(result)
        if not bool(result.converged.all()):
            logging.getLogger("learnedrecon").warning(
                "The backward pass of a fixed point: %s The gradient is inexact by about as much.",
                result.status,
            )
        return result.state


class _AtFixedPoint(torch.autograd.Function):
    """The identity, whose derivative is (I - J)⁻¹."""

    @staticmethod
    def forward(ctx: Any, solve: _AdjointSolve, *state: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401
        ctx.solve = solve
        ctx.set_materialize_grads(True)
        return tuple(tensor.view_as(tensor) for tensor in state)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        refuse_second_derivative("Implicit")
        return (None, *ctx.solve(cotangents))


@dataclass(frozen=True)
class JacobianFree(FixedPointBackward):
    """An approximate derivative: ``steps`` damped steps from z* are differentiated.

    z ← (1 - d) z + d Λ(z). One undamped step is the Jacobian-free backpropagation of Fung et al.
    (2022), more of them the phantom gradient of Geng et al. (2021), which tends to that of
    :class:`Implicit`. The memory is that of ``steps`` steps.

    Attributes:
        steps: how many.
        damping: d in (0, 1].

    Raises:
        ConfigError: a field is out of range.
    """

    steps: int = 1
    damping: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 < self.damping <= 1:
            raise ConfigError(
                describe(
                    expected="steps >= 1 and 0 < damping <= 1",
                    found=f"steps = {self.steps}, damping = {self.damping}",
                    fix="use steps=1, damping=1.0 for Jacobian-free backpropagation",
                )
            )

    def attach(self, step: Step[S], point: S, problem: Problem, report: Report) -> S:  # noqa: ARG002
        state = point
        for _ in range(self.steps):
            after = step(state, problem)
            pairs = zip(state, after, strict=True)
            state = type(point)(*(_mixed(a, b, self.damping) for a, b in pairs))
        return state


def _mixed(old: Tensor, new: Tensor, damping: float) -> Tensor:
    return torch.lerp(old, new, damping) if damping < 1 and _is_inexact(new) else new


def _is_inexact(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()
