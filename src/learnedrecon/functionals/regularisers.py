"""Fixed regularisers; learned regularisers are part of a step."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.functionals.base import (
    Regulariser,
    not_negative,
    per_sample,
    positive,
    refuse_prox,
    space_axes,
)
from learnedrecon.functionals.tv_prox import total_variation_prox
from learnedrecon.operators.finite_difference import differences, differences_adjoint

if TYPE_CHECKING:
    from learnedrecon.functionals.base import StepSize


class Dirichlet(Regulariser):
    """R(u) = ½‖∇u‖² over the last ``axes`` axes; ∇R(u) = ∇*∇u, minus the Laplacian.

    The learned gradient scheme of Adler and Öktem 2017 uses it. Differences are per pixel.

    Args:
        axes: Number of space axes.

    Raises:
        ConfigError: ``axes`` is not a whole number ≥ 1.
    """

    def __init__(self, axes: int = 2) -> None:
        super().__init__()
        self.axes = space_axes(axes)
        self._spacings = (1.0,) * self.axes

    def forward(self, u: Tensor) -> Tensor:
        return per_sample(0.5 * differences(u, self._spacings).abs().square())

    def gradient(self, u: Tensor) -> Tensor:
        return differences_adjoint(differences(u, self._spacings), self._spacings)

    def lipschitz(self) -> float:
        """4·axes, a bound of ‖∇‖²."""
        return 4.0 * self.axes


class TotalVariation(Regulariser):
    """R(u) = Σ |∇u|₂ (isotropic) over the last ``axes`` axes, differences per pixel.

    Args:
        axes: Number of space axes.
        smoothing: δ ≥ 0. With δ > 0 the gradient is that of Σ sqrt(|∇u|² + δ²) - δ; with δ = 0 it
            is the subgradient that is 0 where ∇u = 0.
        prox_tolerance: Relative accuracy of the proximal map, see
            :func:`learnedrecon.functionals.tv_prox.total_variation_prox`; it exists for δ = 0.

    Raises:
        ConfigError: ``axes`` is not a whole number ≥ 1 (a weight is not its first argument), δ is
            negative, or the tolerance is not positive; in ``prox``, δ is not 0.
        DifferentiationError: A gradient of ``prox`` is asked for.
    """

    def __init__(self, axes: int = 2, smoothing: float = 0.0, prox_tolerance: float = 1e-4) -> None:
        super().__init__()
        self.prox_tolerance = positive(prox_tolerance, "prox_tolerance")
        self.axes = space_axes(axes)
        self._spacings = (1.0,) * self.axes
        self.smoothing = not_negative(smoothing, "smoothing")

    def forward(self, u: Tensor) -> Tensor:
        return per_sample(self._lengths(differences(u, self._spacings)) - self.smoothing)

    def gradient(self, u: Tensor) -> Tensor:
        slopes = differences(u, self._spacings)
        lengths = self._lengths(slopes).unsqueeze(-self.axes - 1)
        safe = torch.where(lengths > 0, lengths, 1)
        return differences_adjoint(slopes / safe, self._spacings)

    def prox(self, u: Tensor, step: StepSize) -> Tensor:
        if self.smoothing:
            refuse_prox(self)
        result = total_variation_prox(u, step, axes=self.axes, tolerance=self.prox_tolerance)
        if not bool(result.converged.all()):
            logging.getLogger("learnedrecon").warning(
                "A proximal map of total variation is certified to a relative error of %.1e only, "
                "after %d iterations; %.1e was asked for.",
                float(result.error.max()),
                int(result.iterations.max()),
                self.prox_tolerance,
            )
        return result.image

    def lipschitz(self) -> float | None:
        """4·axes/δ, or None for δ = 0."""
        return 4.0 * self.axes / self.smoothing if self.smoothing else None

    def _lengths(self, slopes: Tensor) -> Tensor:
        squares = slopes.abs().square().sum(-self.axes - 1) + self.smoothing**2
        flat = squares == 0  # where the derivative of the square root is infinite
        return torch.where(flat, 0, torch.where(flat, 1, squares).sqrt())
