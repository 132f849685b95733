"""Data terms: least squares, weighted least squares, Kullback-Leibler, Huber."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.errors import ConfigError, DataError, DtypeError, describe
from learnedrecon.functionals.base import Fidelity, per_sample, positive, require_type, spread
from learnedrecon.functionals.pointwise import (
    huber,
    huber_slope,
    shrink_huber,
)

if TYPE_CHECKING:
    from learnedrecon.functionals.base import StepSize


class LeastSquares(Fidelity):
    """D(v; y) = ½‖v - y‖², the negative log-likelihood of white Gaussian noise of variance 1."""

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        return per_sample(0.5 * (v - y).abs().square())

    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return v - y

    def prox(self, v: Tensor, y: Tensor, step: StepSize) -> Tensor:
        t = spread(step, v)
        return (v + t * y) / (1 + t)

    def lipschitz(self) -> float:
        return 1.0


class WeightedLeastSquares(Fidelity):
    """D(v; y) = ½ Σ w|v - y|², for independent Gaussian noise of variance 1/w.

    Args:
        weights: Weights w ≥ 0, real, which broadcast with the data; :meth:`Problem.subset` takes
            the same rows of them as of the data where they have rows.

    Raises:
        ConfigError: A weight is negative or not finite.
    """

    weights: Tensor

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        require_type(weights, "weights", Tensor)
        if weights.is_complex() or not bool((weights.isfinite() & (weights >= 0)).all()):
            raise ConfigError(
                describe(
                    expected="real, finite weights ≥ 0",
                    found=f"{weights.dtype} from {weights.abs().min()} to {weights.abs().max()}",
                    fix="give 1/variance, and 0 where nothing was measured",
                )
            )
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        return per_sample(0.5 * self.weights * (v - y).abs().square())

    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return self.weights * (v - y)

    def prox(self, v: Tensor, y: Tensor, step: StepSize) -> Tensor:
        t = spread(step, v) * self.weights
        return (v + t * y) / (1 + t)

    def lipschitz(self) -> float:
        return float(self.weights.max())

    def restrict(self, rows: Tensor, axis: int) -> WeightedLeastSquares:
        if self.weights.ndim < -axis or self.weights.shape[axis] == 1:
            return self
        return WeightedLeastSquares(self.weights.index_select(axis, rows.to(self.weights.device)))


class KullbackLeibler(Fidelity):
    """D(v; y) = Σ v - y + y log(y / v), the Poisson negative log-likelihood up to a constant.

    With T(u) = exp(-μPu) its gradient in u is [∂T(u)]*(1 - y/T(u)) = -μP*(T(u) - y) (Adler, Öktem
    2017, section 5.2). It needs v > 0 and y ≥ 0; 0·log 0 is 0. In log(v) and 1/v, v is at least the
    root of the smallest normal number, 1e-19 in float32, where 1/v² is finite: a prediction that
    underflows does not give infinity. Where v < 0, D is infinite, and the gradient is that at the
    smallest v. Its proximal map, ½(v - t + √((v - t)² + 4ty)), maps every v to a non-negative one.
    """

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        value = v - y + torch.xlogy(y, y) - torch.xlogy(y, _raised(v))
        return per_sample(torch.where(v < 0, torch.inf, value))

    def contains(self, v: Tensor, y: Tensor) -> Tensor:
        """True where v > 0 wherever y > 0, and v ≥ 0 elsewhere, (batch,), bool."""
        return ((v > 0) | ((v == 0) & (y == 0))).flatten(1).all(1)

    def check_data(self, y: Tensor) -> None:
        """Check that data are real and non-negative, as counts of a Poisson process are.

        Raises:
            DtypeError: The data are complex.
            DataError: A value is negative.
        """
        if y.is_complex():
            raise DtypeError(
                describe(
                    expected="real data for the Kullback-Leibler divergence",
                    found=str(y.dtype),
                    fix="use LeastSquares",
                )
            )
        if torch.compiler.is_compiling() or y.device.type == "meta" or not bool((y < 0).any()):
            return
        raise DataError(
            describe(
                expected="data y ≥ 0 for the Kullback-Leibler divergence, such as photon counts",
                found=f"{int((y < 0).sum())} negative values, the smallest {float(y.min()):g}",
                fix="clip them at 0, or use LeastSquares for data with Gaussian noise",
            )
        )

    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return 1 - y / _raised(v)

    def prox(self, v: Tensor, y: Tensor, step: StepSize) -> Tensor:
        t = spread(step, v)
        shifted, product = v - t, 4 * t * y
        positive_part = product > 0
        root = torch.where(positive_part, shifted.square() + product, 1).sqrt()
        # For v < t the sum of shifted and root cancels; the product of both roots is -ty.
        large = (shifted.abs() + root) / 2
        solution = torch.where(shifted >= 0, large, t * y / large)
        return torch.where(positive_part, solution, shifted.clamp(min=0))


class Huber(Fidelity):
    """D(v; y) = Σ h_δ(|v - y|), with h_δ(r) = r²/2 for r ≤ δ and δ(r - δ/2) beyond.

    It is robust against outliers (Huber, Ann. Math. Statist. 35(1), 1964).

    Args:
        delta: Threshold δ > 0 between the quadratic and the linear part.

    Raises:
        ConfigError: δ is not positive.
    """

    def __init__(self, delta: float) -> None:
        super().__init__()
        self.delta = positive(delta, "delta")

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        return per_sample(huber((v - y).abs(), self.delta))

    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return huber_slope(v - y, self.delta)

    def prox(self, v: Tensor, y: Tensor, step: StepSize) -> Tensor:
        return y + shrink_huber(v - y, self.delta, spread(step, v))

    def lipschitz(self) -> float:
        return 1.0


def _raised(v: Tensor) -> Tensor:
    return v.clamp(min=torch.finfo(v.dtype).tiny ** 0.5)
