"""The norm of an operator; needs nothing but T and T*."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import torch

from learnedrecon.operators.space import inner

if TYPE_CHECKING:
    from learnedrecon.operators.linear import LinearOperator


UNCERTIFIED_MARGIN = 1.05


class PowerResult(NamedTuple):
    """How a power iteration ended.

    Attributes:
        norm: the estimate of ‖T‖. It is a lower bound: ‖T x‖ for a unit vector x.
        iterations: the number of applications of T*T.
        converged: whether two estimates in a row agreed to the tolerance.
    """

    norm: float
    iterations: int
    converged: bool


def estimated_norm(operator: LinearOperator) -> float:
    """The estimate of :func:`power_iteration`, with a warning in the log if it has not settled."""
    result = power_iteration(operator)
    if not result.converged:
        logging.getLogger("learnedrecon").warning(
            "The norm of %s has not settled after %d iterations; %g is a lower bound of it.",
            type(operator).__name__,
            result.iterations,
            result.norm,
        )
    return result.norm


@torch.no_grad()
def power_iteration(
    operator: LinearOperator, *, tolerance: float = 1e-7, iterations: int = 300, seed: int = 0
) -> PowerResult:
    """Estimates ‖T‖ = sqrt(λ_max(T*T)) by x ← T*T x / ‖T*T x‖ in float64.

    Args:
        operator: T.
        tolerance: stop once two estimates in a row agree to this relative accuracy.
        iterations: stop after this many applications of T*T.
        seed: of the starting vector, so that the result is the same every time.
    """
    device = next((b.device for b in operator.buffers()), torch.device("cpu"))
    wide = torch.complex128 if operator.domain.is_complex else torch.float64
    generator = torch.Generator().manual_seed(seed)
    axes = operator.domain.ndim
    x = operator.domain.random(generator).to(device, wide)
    x = x / inner(x, x, axes).sqrt()
    estimate = 0.0
    for k in range(1, iterations + 1):
        x = operator.adjoint(operator(x)).to(wide)
        length = float(inner(x, x, axes).sqrt())
        if length == 0.0:
            return PowerResult(0.0, k, converged=True)
        x = x / length
        previous, estimate = estimate, length**0.5
        if abs(estimate - previous) <= tolerance * estimate:
            return PowerResult(estimate, k, converged=True)
    return PowerResult(estimate, iterations, converged=False)


def upper_norm(operator: LinearOperator) -> float:
    """‖T‖ from above, for step sizes.

    The operator's own bound, or where it knows none its estimate times 1.05, with a line in the log
    that says so: power iteration approaches the norm from below, at best to its tolerance.
    """
    bound = operator.norm_bound()
    if bound is not None:
        return bound
    estimate = operator.norm()
    logging.getLogger("learnedrecon").info(
        "%s knows no bound of its norm; %g times the estimate %g is used instead.",
        type(operator).__name__,
        UNCERTIFIED_MARGIN,
        estimate,
    )
    return UNCERTIFIED_MARGIN * estimate


@torch.no_grad()
def non_negative_norm_bound(
    operator: LinearOperator, *, tolerance: float = 1e-3, iterations: int = 100
) -> float:
    """An upper bound of ‖T‖ for a T without negative entries, by Collatz and Wielandt.

    For A = T*T and any x > 0, λ_max(A) ≤ max_i (Ax)_i/x_i (Horn, Johnson, Matrix Analysis, theorem
    8.1.26), with i over the columns of T that are not zero. x comes from power iteration in
    float64, kept positive, and the smallest bound counts; ‖Tx‖/‖x‖ is the one from below.

    Args:
        operator: T, real, all of whose entries are ≥ 0; this is not checked.
        tolerance: stop once both bounds agree to this relative accuracy.
        iterations: stop after this many applications of T*T.
    """
    device = next((b.device for b in operator.buffers()), torch.device("cpu"))
    x = torch.ones(operator.domain.shape, dtype=torch.float64, device=device)
    image = operator.adjoint(operator(x))
    seen = image > 0  # the columns that are not zero
    upper = float("inf")
    for _ in range(iterations):
        ratio = torch.where(seen, image / x, 0)
        upper = min(upper, float(ratio.max()))
        lower = float((x * image).sum() / x[seen].square().sum()) if bool(seen.any()) else 0.0
        if upper - lower <= 2 * tolerance * upper:
            break
        x = (image / image.max()).clamp(min=1e-12)
        x = torch.where(seen, x, 1.0)
        image = operator.adjoint(operator(torch.where(seen, x, 0)))
    return (upper * (1 + 1e-9)) ** 0.5  # 1e-9: sums are rounded
