"""Fixed regularisers; learned ones are part of a Step."""

from __future__ import annotations

import torch
from torch import Tensor

from learnedrecon.functionals.base import Regulariser, per_sample
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.space import Space


class Dirichlet(Regulariser):
    """R(u) = ½‖∇u‖² over the last ``axes`` axes; ∇R(u) = ∇*∇u, minus the Laplacian.

    Used by the learned gradient scheme of Adler and Öktem 2017. Differences are per pixel.

    Args:
        axes: the number of space axes.
    """

    def __init__(self, axes: int = 2) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, u: Tensor) -> Tensor:
        return per_sample(0.5 * self._differences(u)(u).abs().square())

    def gradient(self, u: Tensor) -> Tensor:
        differences = self._differences(u)
        return differences.adjoint(differences(u))

    def _differences(self, u: Tensor) -> FiniteDifference:
        return FiniteDifference(Space(tuple(u.shape[-self.axes :]), u.dtype))


class TotalVariation(Regulariser):
    """R(u) = Σ |∇u|₂ (isotropic) over the last ``axes`` axes, differences per pixel.

    Args:
        axes: the number of space axes.
        smoothing: δ ≥ 0. With δ > 0 the gradient is that of Σ sqrt(|∇u|² + δ²) - δ; with δ = 0 it
            is the subgradient that is 0 where ∇u = 0.
    """

    def __init__(self, axes: int = 2, smoothing: float = 0.0) -> None:
        super().__init__()
        self.axes = axes
        self.smoothing = smoothing

    def forward(self, u: Tensor) -> Tensor:
        return per_sample(self._lengths(self._differences(u)(u)) - self.smoothing)

    def gradient(self, u: Tensor) -> Tensor:
        differences = self._differences(u)
        slopes = differences(u)
        lengths = self._lengths(slopes).unsqueeze(-self.axes - 1)
        safe = torch.where(lengths > 0, lengths, 1)
        return differences.adjoint(slopes / safe)

    def _lengths(self, slopes: Tensor) -> Tensor:
        squares = slopes.abs().square().sum(-self.axes - 1) + self.smoothing**2
        flat = squares == 0  # where the derivative of the square root is infinite
        return torch.where(flat, 0, torch.where(flat, 1, squares).sqrt())

    def _differences(self, u: Tensor) -> FiniteDifference:
        return FiniteDifference(Space(tuple(u.shape[-self.axes :]), u.dtype))
