"""Pointwise multiplication, and nonlinear operators of a scaled image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from learnedrecon.operators.base import Operator
from learnedrecon.operators.linear import Composition, LinearOperator, Scaled

if TYPE_CHECKING:
    from learnedrecon.operators.space import Space


class Diagonal(LinearOperator):
    """Pointwise multiplication by a real tensor that may carry leading axes.

    The derivative of a pointwise nonlinearity is of this kind, one diagonal per sample.

    Args:
        space: domain and codomain.
        diagonal: (..., *space.shape), real.
    """

    diagonal: Tensor

    def __init__(self, space: Space, diagonal: Tensor) -> None:
        super().__init__(space, space)
        self.register_buffer("diagonal", diagonal, persistent=False)

    def evaluate(self, u: Tensor) -> Tensor:
        return self.diagonal * u

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.diagonal * v

    def compute_norm(self) -> float:
        """The largest |d|, over every sample where there is one diagonal for each."""
        return float(self.diagonal.abs().max())

    def norm_bound(self) -> float:
        return self.compute_norm()


class ScaledArgument(Operator):
    """u ↦ T(c·u) for a nonlinear T: the image is measured in units of c.

    Args:
        operator: T.
        scale: c, a number or one per sample, (batch, 1, ...).
    """

    scale: Tensor | float

    def __init__(self, operator: Operator, scale: Tensor | float) -> None:
        super().__init__(operator.domain, operator.codomain)
        self.operator = operator
        if isinstance(scale, Tensor):
            self.register_buffer("scale", scale, persistent=False)
        else:
            self.scale = float(scale)

    def evaluate(self, u: Tensor) -> Tensor:
        return self.operator(self.scale * u)

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        value, derivative = self.operator.linearise(self.scale * u)
        if isinstance(self.scale, float):
            return value, Scaled(derivative, self.scale)
        return value, Composition(derivative, Diagonal(self.domain, self.scale))
