"""The discrete gradient."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space


class FiniteDifference(LinearOperator):
    """Forward differences along every axis, zero across the last border (Neumann).

    (∇u)_a[i] = u[i + e_a] - u[i] for i below the last index of axis a, else 0. Differences are per
    pixel, not per millimetre.

    Args:
        domain: an image of any number of axes.

    Shapes: (..., *shape) to (..., number of axes, *shape).
    """

    def __init__(self, domain: Space) -> None:
        super().__init__(domain, Space((domain.ndim, *domain.shape), domain.dtype))

    def evaluate(self, u: Tensor) -> Tensor:
        n = self.domain.ndim
        slopes = u.new_zeros(*u.shape[:-n], n, *u.shape[-n:])
        for index, axis in enumerate(range(-n, 0)):
            last = u.shape[axis] - 1
            part = slopes.select(-n - 1, index).narrow(axis, 0, last)
            part.copy_(u.narrow(axis, 1, last)).sub_(u.narrow(axis, 0, last))
        return slopes

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        n = self.domain.ndim
        total = torch.zeros_like(v.select(-n - 1, 0))
        for index, axis in enumerate(range(-n, 0)):
            last = v.shape[axis] - 1
            part = v.select(-n - 1, index).narrow(axis, 0, last)
            total.narrow(axis, 1, last).add_(part)
            total.narrow(axis, 0, last).sub_(part)
        return total

    def compute_norm(self) -> float:
        """‖∇‖² = Σ_a 4 sin²(π(n_a - 1)/(2 n_a)), the top eigenvalue of the Neumann Laplacian."""
        angles = (math.pi * (n - 1) / (2 * n) for n in self.domain.shape)
        return math.sqrt(sum(4 * math.sin(angle) ** 2 for angle in angles))

    def norm_bound(self) -> float:
        return self.compute_norm()
