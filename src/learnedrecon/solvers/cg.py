"""Batched conjugate gradients, differentiable by the implicit function theorem."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.compiling import uncompiled
from learnedrecon.errors import DifferentiationError, describe
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import inner
from learnedrecon.solvers.arguments import (
    Systems,
    checked_limits,
    checked_start,
    checked_systems,
    require_linear,
)
from learnedrecon.solvers.result import SolverResult, describe_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.compiling import Context

_MEASURE = "relative residual"
_STALLED = 0.5


@uncompiled
def cg(
    matrix: Callable[[Tensor], Tensor],
    b: Tensor,
    *,
    tolerance: float = 1e-5,
    max_iterations: int = 1000,
    initial: Tensor | None = None,
    axes: int | None = None,
) -> SolverResult:
    """Solution of A x = b by conjugate gradients (Hestenes, Stiefel 1952; Saad 2003, alg. 6.18).

    Every system has its own step sizes and stops when it has converged, so that its result does not
    depend on the others. Inner products are Re⟨·,·⟩ in float64, so A need only be real-linear. When
    the recursion gives ‖b - A x‖ ≤ tolerance·‖b‖, the true residual is computed, and the iteration
    continues where rounding has made the two differ. It ends where this no longer reduces the
    residual, at the accuracy that the precision allows.

    The solution is differentiable (once, in backward mode) in ``b`` and in every tensor of A: with
    z = A⁻¹g, solved by the same method to the same tolerance for the incoming gradient g, the
    gradients are z in b and that of -Re⟨z, A x⟩ in the tensors. Only one application of A is
    stored, and the error is proportional to the tolerance. A backward solve that does not converge
    is logged as a warning.

    Args:
        matrix: A, symmetric and positive definite for Re⟨·,·⟩: a :class:`LinearOperator` or a
            function that is batched over the leading axes.
        b: Right sides (*lead, *space), floats, real or complex; ``lead`` may be empty.
        tolerance: Relative residual ‖b - A x‖/‖b‖ at which a system has converged, in (0, 1).
        max_iterations: Largest number of iterations.
        initial: Initial values, of the shape of ``b``; zero if None. No gradient flows to them.
        axes: Number of axes of ``space``; that of the operator, or all but the first, if None.

    Returns:
        Solution; the residuals are ‖b - A x‖/‖b‖, by the recursion except for the last one. A
        system in which Re⟨p, A p⟩ ≤ 0 or NaN occurs stops, and the status reports it.

    Raises:
        ShapeError: ``b`` has fewer axes than a system, or does not fit the operator or the initial
            values.
        DataError: ``b`` or the initial values are not finite.
        ConfigError: The tolerance or the number of iterations is out of range, or A(0) is not 0.
        DifferentiationError: A second derivative of the solution is taken.
    """
    systems = checked_systems(matrix, b, axes)
    checked_limits(tolerance, max_iterations)
    if not isinstance(matrix, LinearOperator):
        require_linear(matrix, systems.b)
    start = checked_start(systems, initial)
    loop = _Loop(matrix, systems, start, tolerance, max_iterations)
    while True:
        loop.run()
        residual = systems.b - matrix(loop.x)
        if not loop.goes_on(residual.detach()):
            break
    solution = loop.x
    if residual.requires_grad:

        def solve(gradient: Tensor) -> Tensor:
            return _backward_solve(matrix, gradient, tolerance, max_iterations, systems.axes)

        solution = _Implicit.apply(residual, solution, solve)
    return loop.result(solution)


class _Implicit(torch.autograd.Function):
    """(r, x) ↦ x, to which r = b - A x brings the gradient A⁻¹g."""

    @staticmethod
    def forward(
        ctx: Context,
        residual: Tensor,  # noqa: ARG004 - by torch's protocol
        solution: Tensor,
        solve: Callable[[Tensor], Tensor],
    ) -> Tensor:
        ctx.solve = solve
        return solution.clone()

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor, None, None]:
        if torch.is_grad_enabled():
            raise DifferentiationError(
                describe(
                    expected="first derivatives of a solution by conjugate gradients",
                    found="create_graph=True, for a second one",
                    fix="call backward without create_graph, or differentiate a fixed number of "
                    "explicit iterations",
                )
            )
        return ctx.solve(gradient), None, None


@torch.no_grad()
def _backward_solve(
    matrix: Callable[[Tensor], Tensor],
    gradient: Tensor,
    tolerance: float,
    max_iterations: int,
    axes: int,
) -> Tensor:
    result = cg(matrix, gradient, tolerance=tolerance, max_iterations=max_iterations, axes=axes)
    if not bool(result.converged.all()):
        logging.getLogger("learnedrecon").warning(
            "The gradient of a solution by conjugate gradients is not as exact as asked for. %s",
            result.status,
        )
    return result.solution


class _Loop:
    """The iteration; a system stands still from when it is done.

    Attributes:
        x: the solution so far.
    """

    def __init__(
        self,
        matrix: Callable[[Tensor], Tensor],
        systems: Systems,
        start: Tensor,
        tolerance: float,
        max_iterations: int,
    ) -> None:
        self.matrix, self.systems = matrix, systems
        self.tolerance, self.max_iterations = tolerance, max_iterations
        self.x = start
        self.size = systems.norm(systems.b.detach())
        self.steps = torch.zeros_like(self.size, dtype=torch.int64)
        self.broken = torch.zeros_like(self.size, dtype=torch.bool)
        self.checked = torch.full_like(self.size, torch.inf)
        with torch.no_grad():
            moved = bool(start.any())
            self._take(systems.b.detach() - matrix(start) if moved else systems.b.detach().clone())
        self.going = self._relative() > tolerance
        self.history = [self._relative()]

    def _take(self, residual: Tensor) -> None:
        self.r = residual
        self.p = residual
        self.square = inner(residual, residual, self.systems.axes)

    def _relative(self) -> Tensor:
        """‖r‖/‖b‖, with 0/0 = 0."""
        return self.systems.ratio(self.square.sqrt(), self.size)

    @torch.no_grad()
    def run(self) -> None:
        """Iterates until every system is done by the recursion, broken, or out of iterations."""
        while len(self.history) <= self.max_iterations and bool(self.going.any()):
            self._step()
            self.history.append(self._relative())
            self.going = self.going & (self.history[-1] > self.tolerance)

    def _step(self) -> None:
        over = self.systems.over
        image = self.matrix(self.p)
        curvature = inner(self.p, image, self.systems.axes)
        sound = (curvature > 0) & curvature.isfinite()
        self.broken |= self.going & ~sound
        self.going = self.going & sound
        going = over(self.going)
        step = over(torch.where(self.going, self.square / curvature, 0)).to(self.r.dtype)
        self.x = torch.where(going, self.x + step * self.p, self.x)
        self.r = torch.where(going, self.r - step * image, self.r)
        before, self.square = self.square, inner(self.r, self.r, self.systems.axes)
        share = over(torch.where(self.going, self.square / before, 0)).to(self.r.dtype)
        self.p = torch.where(going, self.r + share * self.p, 0)
        self.steps += self.going

    @torch.no_grad()
    def goes_on(self, residual: Tensor) -> bool:
        """True if rounding has hidden something from the recursion that more steps may mend."""
        self._take(residual)
        true = self._relative()
        if len(self.history) > 1:
            self.history[-1] = true
        helped = true <= _STALLED * self.checked
        self.checked = true
        self.going = ~(true <= self.tolerance) & helped & ~self.broken
        return bool(self.going.any()) and len(self.history) <= self.max_iterations

    def result(self, solution: Tensor) -> SolverResult:
        last = self.history[-1]
        converged = last <= self.tolerance
        status = describe_end(converged, last, self.steps, self.tolerance, _MEASURE)
        stalled = ~converged & ~self.broken & (self.steps < self.max_iterations)
        if bool((self.broken & ~converged).any()):
            status += (
                f" In {int((self.broken & ~converged).sum())} of them a direction p with"
                " Re⟨p, Ap⟩ ≤ 0, or not a number, was met: the map is not positive definite."
            )
        elif bool(stalled.any()):
            status += f" More accuracy is not to be had in {str(solution.dtype).split('.')[-1]}."
        return SolverResult(solution, torch.stack(self.history), self.steps, converged, status)
