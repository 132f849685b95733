"""Derivatives of fixed points: implicit differentiation and Jacobian-free backpropagation."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from learnedrecon.errors import ConfigError, describe
from learnedrecon.schemes.recomputation import Constancy, refuse_second_derivative
from learnedrecon.schemes.units import as_leaves
from learnedrecon.solvers.anderson import Anderson
from learnedrecon.solvers.fixed_point import FixedPointResult, FixedPointSolver

if TYPE_CHECKING:
    from learnedrecon.compiling import Context
    from learnedrecon.problem import Problem
    from learnedrecon.schemes.step import Step

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]
Report = Callable[[FixedPointResult], None]


class FixedPointBackward(ABC):
    """Base class: attaches a graph to a fixed point z* = Λ(z*) that was found without one."""

    @abstractmethod
    def attach(self, step: Step[S], point: S, problem: Problem, report: Report) -> S:
        """Λ(z*), or an iterate after it, with a derivative.

        Args:
            step: Step Λ.
            point: Fixed point z*, without a graph.
            problem: One batch.
            report: Function that is called with the result of a solve in the backward pass.
        """


@dataclass(frozen=True)
class Implicit(FixedPointBackward):
    """The exact derivative of the fixed point, by the implicit function theorem.

    With J = ∂Λ/∂z at z*, a separate fixed point solver computes the solution g of g = J*g + v for a
    cotangent v, and one evaluation of Λ propagates g to weights, data and every other tensor in the
    graph (Bai, Kolter, Koltun, Deep equilibrium models, 2019; Gilton, Ongie, Willett, IEEE TCI 7,
    2021). The error of the gradient is proportional to the residuals of z* and of g. Memory is that
    of one step. The derivative in the initial state is zero. Second derivatives raise an error. A
    solve that does not converge is logged as a warning and stored in
    ``FixedPoint.backward_result``.

    Within ``torch.utils.checkpoint(use_reentrant=False)`` every evaluation of J* would solve the
    fixed point again, without saving memory; use :class:`Checkpointed` inside Λ instead.

    ``torch.compile``: compile the step or its networks. A compiled model leaves its graph for the
    fixed point, as the solver depends on values: the result is correct, and the model no faster
    than with a compiled step; ``fullgraph=True`` fails.

    Attributes:
        solver: Solver of the linear fixed point equation.
        tolerance: Relative residual at which the solver stops; the solver's own tolerance unless
            given.
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
    def forward(ctx: Context, solve: _AdjointSolve, *state: Tensor) -> tuple[Tensor, ...]:
        ctx.solve = solve
        ctx.set_materialize_grads(True)
        return tuple(tensor.view_as(tensor) for tensor in state)

    @staticmethod
    def backward(ctx: Context, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative("Implicit")
        return (None, *ctx.solve(cotangents))


@dataclass(frozen=True)
class JacobianFree(FixedPointBackward):
    """An approximate derivative: that of ``steps`` damped steps from z*.

    z ← (1 - d) z + d Λ(z). One undamped step is the Jacobian-free backpropagation of Fung et al.
    (2022); more steps give the phantom gradient of Geng et al. (2021), which converges to that of
    :class:`Implicit`. The memory is that of ``steps`` steps.

    Attributes:
        steps: Number of steps that are differentiated.
        damping: Damping d in (0, 1].

    Raises:
        ConfigError: A field is out of range.
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

    def attach(self, step: Step[S], point: S, problem: Problem, report: Report) -> S:  # noqa: ARG002 - what other classes look at
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
