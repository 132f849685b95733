"""The regularised normal equations (T*T + λI) x = b, in closed form where there is one."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from learnedrecon.compiling import uncompiled
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.solvers.arguments import (
    checked_limits,
    checked_weight,
    require_finite,
    require_operator,
)
from learnedrecon.solvers.cg import cg
from learnedrecon.solvers.result import SolverResult

if TYPE_CHECKING:
    from torch import Tensor


@uncompiled
def solve_normal(
    operator: LinearOperator,
    b: Tensor,
    weight: Tensor | float,
    *,
    tolerance: float = 1e-5,
    max_iterations: int = 1000,
    initial: Tensor | None = None,
) -> SolverResult:
    """(T*T + λI)⁻¹ b, the minimiser x of ½‖Tx‖² + λ/2 ‖x‖² - Re⟨b, x⟩.

    The solution is in closed form where the operator has ``normal_inverse``, otherwise by
    :func:`learnedrecon.solvers.cg.cg`. It is differentiable in b, λ and every tensor of T; by
    conjugate gradients only once, and to the tolerance. In unrolled networks this is the data
    consistency of MoDL (Aggarwal, Mani, Jacob, IEEE Trans. Med. Imaging 38(2), 2019).

    Args:
        operator: T.
        b: Right sides (batch, ..., *domain.shape), or one element without leading axes.
        weight: λ ≥ 0, one number or one per sample, (batch,); with λ = 0, T*T should be positive
            definite.
        tolerance: Relative residual ‖b - (T*T + λI)x‖/‖b‖ at which the iteration stops, in (0, 1),
            also in the backward pass.
        max_iterations: Largest number of iterations of conjugate gradients.
        initial: Initial values of the iteration; zero if None.

    Returns:
        Solution with residuals and status. The leading axes of ``b`` number the systems.

    Raises:
        GeometryError: The operator is not linear, or the arguments are interchanged.
        ShapeError, DtypeError, DataError, ConfigError: As for :func:`learnedrecon.solvers.cg.cg`,
            or the weight is negative or of another shape.
    """
    operator = require_operator(operator, b, "solve_normal", LinearOperator)  # type: ignore[type-abstract]
    b = operator.domain.check(b, "right-hand sides")
    checked_limits(tolerance, max_iterations)
    axes = operator.domain.ndim
    lam = checked_weight(weight, b, axes)
    require_finite(b, "right-hand sides")
    closed = operator.normal_inverse(b, lam) if bool((lam > 0).all()) else None
    if closed is not None:
        return _in_closed_form(closed, axes)
    return cg(
        _Normal(operator, lam),
        b,
        tolerance=tolerance,
        max_iterations=max_iterations,
        initial=initial,
    )


class _Normal(LinearOperator):
    """T*T + λI, its own adjoint."""

    def __init__(self, operator: LinearOperator, weight: Tensor) -> None:
        super().__init__(operator.domain, operator.domain)
        self.operator = operator
        self.weight = weight

    def evaluate(self, u: Tensor) -> Tensor:
        return self.operator.adjoint(self.operator(u)) + self.weight * u

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.evaluate(v)


@dataclass(frozen=True)
class NormalSolver:
    """Tolerances of :meth:`learnedrecon.problem.Problem.solve` for (T*T + λI) x = b.

    Attributes:
        tolerance: Relative residual ‖b - (T*T + λI)x‖/‖b‖ at which conjugate gradients stop, in
            (0, 1), also in the backward pass.
        max_iterations: Largest number of iterations; a solve that needs more is logged as a
            warning.

    Raises:
        ConfigError: The tolerance or the number of iterations is out of range.
    """

    tolerance: float = 1e-5
    max_iterations: int = 100

    def __post_init__(self) -> None:
        checked_limits(self.tolerance, self.max_iterations)

    def __call__(self, operator: LinearOperator, b: Tensor, weight: Tensor | float) -> Tensor:
        """(T*T + λI)⁻¹ b, see :func:`solve_normal`."""
        result = solve_normal(
            operator,
            b,
            weight,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
        )
        if not bool(result.converged.all()):
            logging.getLogger("learnedrecon").warning(
                "The solution of (T*T + λI)x = b is not as exact as asked for. %s", result.status
            )
        return result.solution


def _in_closed_form(solution: Tensor, axes: int) -> SolverResult:
    lead = solution.shape[: solution.ndim - axes]
    return SolverResult(
        solution=solution,
        residuals=solution.new_zeros((0, *lead), dtype=torch.float64),
        iterations=torch.zeros(lead, dtype=torch.int64, device=solution.device),
        converged=torch.ones(lead, dtype=torch.bool, device=solution.device),
        status="Solved in closed form.",
    )
