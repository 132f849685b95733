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
        parts = [
            torch.cat([u.diff(dim=axis), torch.zeros_like(u.narrow(axis, 0, 1))], dim=axis)
            for axis in range(-n, 0)
        ]
        return torch.stack(parts, dim=-n - 1)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        n = self.domain.ndim
        total = torch.zeros_like(v.select(-n - 1, 0))
        for index, axis in enumerate(range(-n, 0)):
            part = v.select(-n - 1, index)
            inner = part.narrow(axis, 0, part.shape[axis] - 1)
            edge = torch.zeros_like(part.narrow(axis, 0, 1))
            total = total - torch.cat([inner, edge], axis).diff(dim=axis, prepend=edge)
        return total

    def compute_norm(self) -> float:
        """‖∇‖² = Σ_a 4 sin²(π(n_a - 1)/(2 n_a)), the top eigenvalue of the Neumann Laplacian."""
        angles = (math.pi * (n - 1) / (2 * n) for n in self.domain.shape)
        return math.sqrt(sum(4 * math.sin(angle) ** 2 for angle in angles))
