"""LSQR: batched least squares by Golub-Kahan bidiagonalisation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from learnedrecon.compiling import uncompiled
from learnedrecon.errors import ConfigError, describe
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.solvers.arguments import (
    Systems,
    checked_limits,
    require_finite,
    require_operator,
)
from learnedrecon.solvers.result import SolverResult, describe_end

_MEASURE = "relative residual of the normal equations"


@uncompiled
@torch.no_grad()
def lsqr(
    operator: LinearOperator,
    data: Tensor,
    *,
    damping: float = 0.0,
    tolerance: float = 1e-6,
    max_iterations: int = 1000,
) -> SolverResult:
    """The minimiser of ‖Tu - y‖² + δ²‖u‖², by LSQR from u = 0.

    Paige and Saunders, ACM Trans. Math. Softw. 8(1), 1982, sections 3 and 5. In exact arithmetic
    the iterates are those of conjugate gradients on the normal equations with λ = δ²; numerically
    it loses less where T is ill-conditioned. Where T has a kernel and δ = 0 it finds the solution
    of least norm. Every system has its own recursion and stops when it has converged. The result is
    not differentiable; that of :func:`learnedrecon.solvers.normal.solve_normal` is.

    Args:
        operator: T.
        data: y, (*lead, *codomain.shape); ``lead`` may be empty.
        damping: Damping δ ≥ 0.
        tolerance: Relative residual ‖T*(y - Tu) - δ²u‖/‖T*y‖ at which a system has converged, in
            (0, 1).
        max_iterations: Largest number of iterations.

    Returns:
        Solution; the residuals are those of the normal equations, by the recursion except for the
        last one, which is computed directly and determines ``converged``.

    Raises:
        GeometryError: The operator is not linear, or the arguments are interchanged.
        ShapeError: The data do not fit the operator.
        DataError: The data are not finite.
        ConfigError: The damping, tolerance or number of iterations is out of range.
    """
    operator = require_operator(operator, data, "lsqr", LinearOperator)  # type: ignore[type-abstract]
    y = operator.codomain.check(data, "data")
    checked_limits(tolerance, max_iterations)
    if not (damping >= 0 and math.isfinite(damping)):
        raise ConfigError(
            describe(expected="damping ≥ 0", found=str(damping), fix="give δ, not δ²")
        )
    require_finite(y, "data")
    loop = _Bidiagonalisation(operator, y, float(damping))
    history = [loop.residual()]
    going = history[0] > tolerance
    steps = torch.zeros_like(going, dtype=torch.int64)
    while len(history) <= max_iterations and bool(going.any()):
        loop.step(going)
        steps += going
        history.append(loop.residual())
        going = going & (history[-1] > tolerance)
    if len(history) > 1:
        history[-1] = loop.true_residual()
    converged = history[-1] <= tolerance
    status = describe_end(converged, history[-1], steps, tolerance, _MEASURE)
    if bool((~converged & (steps < max_iterations)).any()):
        status += f" More accuracy is not to be had in {str(y.dtype).rsplit('.', maxsplit=1)[-1]}."
    return SolverResult(loop.x, torch.stack(history), steps, converged, status)


class _Bidiagonalisation:
    """The recursion in the letters of the paper; numbers are float64, one for every system.

    Attributes:
        x: the solution so far.
    """

    def __init__(self, operator: LinearOperator, y: Tensor, damping: float) -> None:
        self.operator, self.y, self.damping = operator, y, damping
        self.data = Systems(y, operator.codomain.ndim)
        beta = self.data.norm(y)
        self.u = y * _inverse(self.data, beta)
        v = operator.adjoint(self.u)
        self.images = Systems(v, operator.domain.ndim)
        self.alpha = self.images.norm(v)
        self.v = v * _inverse(self.images, self.alpha)
        self.w, self.x = self.v, torch.zeros_like(v)
        self.phi_bar, self.rho_bar = beta, self.alpha
        self.start = self.alpha * beta  # ‖T*y‖
        self.gradient = self.start

    def residual(self) -> Tensor:
        """‖T*(y - Tu) - δ²u‖/‖T*y‖ by the recursion (section 5.1)."""
        return Systems.ratio(self.gradient, self.start)

    def true_residual(self) -> Tensor:
        gradient = self.operator.adjoint(self.y - self.operator(self.x)) - self.damping**2 * self.x
        return Systems.ratio(self.images.norm(gradient), self.start)

    def step(self, going: Tensor) -> None:
        """One step of the systems that are ``going``; the others stay."""
        u = self.operator(self.v) - self.data.over(self.alpha).to(self.u.dtype) * self.u
        beta = self.data.norm(u)
        self.u = u * _inverse(self.data, beta)
        v = self.operator.adjoint(self.u) - self.images.over(beta).to(self.v.dtype) * self.v
        self.alpha = self.images.norm(v)
        self.v = v * _inverse(self.images, self.alpha)
        damped = torch.hypot(self.rho_bar, torch.full_like(self.rho_bar, self.damping))
        phi_bar = Systems.ratio(self.rho_bar, damped) * self.phi_bar
        rho = torch.hypot(damped, beta)
        c, s = Systems.ratio(damped, rho), Systems.ratio(beta, rho)
        theta, self.rho_bar = s * self.alpha, -c * self.alpha
        phi, self.phi_bar = c * phi_bar, s * phi_bar
        move = self._scaled(Systems.ratio(phi, rho), self.w)
        self.x = torch.where(self.images.over(going), self.x + move, self.x)
        self.w = self.v - self._scaled(Systems.ratio(theta, rho), self.w)
        gradient = self.alpha * (s * phi).abs()
        self.gradient = torch.where(going, gradient, self.gradient)

    def _scaled(self, numbers: Tensor, vectors: Tensor) -> Tensor:
        return self.images.over(numbers).to(vectors.dtype) * vectors


def _inverse(systems: Systems, numbers: Tensor) -> Tensor:
    """1/n, and 0 for n = 0, made to multiply the vectors."""
    inverse = torch.where(numbers > 0, 1 / numbers, 0)
    return systems.over(inverse).to(systems.b.dtype)
