"""Conjugate-gradient SENSE: regularised least squares of several coils."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learnedrecon.operators.linear import LinearOperator
from learnedrecon.solvers.arguments import require_operator
from learnedrecon.solvers.normal import solve_normal

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.solvers.result import SolverResult


def cg_sense(
    operator: LinearOperator,
    data: Tensor,
    weight: Tensor | float = 0.0,
    *,
    tolerance: float = 1e-4,
    max_iterations: int = 200,
) -> SolverResult:
    """The minimiser of ½‖Tu - y‖² + λ/2 ‖u‖², that is (T*T + λI)⁻¹T*y, for T of parallel MRI.

    Pruessmann, Weiger, Börnert and Boesiger, Magn. Reson. Med. 46(4), 2001: T is the encoding of
    coil maps, Fourier transform and sampling, on any trajectory. Their weights for intensity and
    density are omitted; these change the iterates and, except for λ = 0 and data in the range of T,
    also the limit. Tikhonov's term is added; without it the number of iterations is the
    regularisation parameter. T may be any linear operator. The result is differentiable in the
    data, λ, and tensors of T such as coil maps, see
    :func:`learnedrecon.solvers.normal.solve_normal`.

    Args:
        operator: T.
        data: y, (batch, ..., *codomain.shape).
        weight: λ ≥ 0, one number or one per sample, (batch,); for ‖T‖ ≤ 1 it is relative to 1.
        tolerance: Relative residual ‖T*(y - Tu) - λu‖/‖T*y‖ at which the iteration stops, in (0,
            1).
        max_iterations: Largest number of iterations.

    Returns:
        Images, with the relative residuals and the status of the solver.

    Raises:
        ShapeError, DtypeError, DataError, ConfigError: As for ``solve_normal``.
    """
    operator = require_operator(operator, data, "cg_sense", LinearOperator)  # type: ignore[type-abstract]
    return solve_normal(
        operator,
        operator.adjoint(data),
        weight,
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
