"""The norm of an operator whose large singular values lie close together."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import torch

from learnedrecon.operators.norm import PowerResult
from learnedrecon.operators.space import inner

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.linear import LinearOperator


@torch.no_grad()
def lanczos_norm(
    operator: LinearOperator, *, tolerance: float = 1e-5, iterations: int = 100, seed: int = 0
) -> PowerResult:
    """Estimates ‖T‖ by the three-term recurrence of Lanczos on T*T, in float64.

    The slices of a volume are nearly independent in T, so that T*T has many eigenvalues close to
    the largest, and power iteration needs hundreds of steps where this needs tens. It keeps three
    volumes; the basis loses its orthogonality, which brings copies of eigenvalues but no wrong ones
    (Paige, Lin. Alg. Appl. 34, 1980).

    Where samples have tensors of their own, all of them are one block diagonal operator.

    Args:
        operator: T.
        tolerance: stop once a singular value lies within this relative distance, by the residual;
            the error is about its square.
        iterations: stop after this many applications of T*T.
        seed: of the starting vector, so that the result is the same every time.

    Returns:
        The estimate, a lower bound.
    """
    current = _start(operator, seed)
    wide, axes = current.dtype, current.ndim
    previous = torch.zeros_like(current)
    diagonal: list[float] = []
    off = [0.0]
    value = 0.0
    for k in range(1, iterations + 1):
        following = operator.adjoint(operator(current)).to(wide) - off[-1] * previous
        diagonal.append(float(inner(following, current, axes)))
        following -= diagonal[-1] * current
        off.append(float(inner(following, following, axes).sqrt()))
        value, share = _largest(diagonal, off[1:-1])
        if off[-1] * share <= 2 * tolerance * value:
            return PowerResult(max(value, 0.0) ** 0.5, k, converged=True)
        previous, current = current, following / off[-1]
    return PowerResult(value**0.5, iterations, converged=False)


def require_settled(result: PowerResult, name: str) -> float:
    """The norm of a result, with a warning in the log if it has not settled."""
    if not result.converged:
        logging.getLogger("learnedrecon").warning(
            "The norm of %s has not settled after %d iterations; %g is a lower bound of it.",
            name,
            result.iterations,
            result.norm,
        )
    return result.norm


def _start(operator: LinearOperator, seed: int) -> Tensor:
    """A random unit vector, with the leading axes of tensors that samples have of their own."""
    device = next((b.device for b in operator.buffers()), torch.device("cpu"))
    space = operator.domain
    wide = torch.complex128 if space.is_complex else torch.float64
    generator = torch.Generator().manual_seed(seed)
    start = space.random(generator).to(device, wide)
    leading: tuple[int, ...] = ()
    if operator.tensor_names:
        leading = tuple(operator.adjoint(operator(start)).shape[: -space.ndim])
    if leading:
        start = space.random(generator, leading).to(device, wide)
    return start / inner(start, start, start.ndim).sqrt()


def _largest(diagonal: list[float], off: list[float]) -> tuple[float, float]:
    """The largest eigenvalue of a tridiagonal matrix, and the last entry of its unit vector."""
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    return float(values[-1]), abs(float(vectors[-1, -1]))
