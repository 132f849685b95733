"""Sparsity-promoting norms, with proximal maps in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from learnedrecon.errors import ConfigError, describe
from learnedrecon.functionals.base import Regulariser, per_sample, positive, require_type, spread
from learnedrecon.functionals.pointwise import (
    direction,
    huber,
    huber_slope,
    lengths,
    shrink,
    shrink_huber,
)
from learnedrecon.operators.linear import LinearOperator

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.functionals.base import StepSize

UNITARY = 1e-4
"""The largest ‖W*Wx - x‖/‖x‖ of a transform W that counts as unitary."""


class L1(Regulariser):
    """R(u) = Σ |Wu| for real or complex u; its proximal map is W* soft(Wu).

    The gradient is the subgradient that is 0 where Wu = 0.

    Args:
        transform: W with W* = W⁻¹, such as an orthogonal wavelet transform, or None for the
            identity.

    Raises:
        ConfigError: W is not a linear operator, or W* is not the inverse of W, tested on a random
            image; the proximal map would be wrong.
    """

    def __init__(self, transform: LinearOperator | None = None) -> None:
        super().__init__()
        self.transform = transform
        if transform is not None:
            require_type(transform, "transform", LinearOperator)
            _require_unitary(transform)

    def forward(self, u: Tensor) -> Tensor:
        return per_sample(lengths(self._analyse(u)))

    def gradient(self, u: Tensor) -> Tensor:
        return self._synthesise(direction(self._analyse(u)))

    def prox(self, u: Tensor, step: StepSize) -> Tensor:
        coefficients = self._analyse(u)
        return self._synthesise(shrink(coefficients, spread(step, coefficients)))

    def _analyse(self, u: Tensor) -> Tensor:
        return u if self.transform is None else self.transform(u)

    def _synthesise(self, v: Tensor) -> Tensor:
        return v if self.transform is None else self.transform.adjoint(v)


class GroupL1(Regulariser):
    """R(v) = Σ |v|₂ with Euclidean lengths along one axis: the ℓ2,1 norm of a vector field.

    For a gradient v = ∇u, (..., axes, *space), R is the isotropic total variation. The gradient is
    the subgradient that is 0 where v = 0.

    Args:
        axis: Axis along which lengths are taken, negative: -3 for gradients of images.
    """

    def __init__(self, axis: int = -3) -> None:
        super().__init__()
        self.axis = _negative(axis)

    def forward(self, u: Tensor) -> Tensor:
        return per_sample(lengths(u, self.axis))

    def gradient(self, u: Tensor) -> Tensor:
        return direction(u, self.axis)

    def prox(self, u: Tensor, step: StepSize) -> Tensor:
        return shrink(u, spread(step, u), self.axis)


class HuberNorm(Regulariser):
    """R(v) = Σ h_δ(|v|), with h_δ(r) = r²/2 for r ≤ δ and δ(r - δ/2) beyond.

    Args:
        delta: Threshold δ > 0. R/δ tends to the ℓ1 norm for δ → 0.
        axis: Axis along which lengths are taken, negative; if None, each entry has its own length.
            For a gradient R is Huber total variation, which avoids staircasing.

    Raises:
        ConfigError: δ is not positive, or the axis is not negative.
    """

    def __init__(self, delta: float, axis: int | None = None) -> None:
        super().__init__()
        self.delta = positive(delta, "delta")
        self.axis = None if axis is None else _negative(axis)

    def forward(self, u: Tensor) -> Tensor:
        return per_sample(huber(lengths(u, self.axis), self.delta))

    def gradient(self, u: Tensor) -> Tensor:
        return huber_slope(u, self.delta, self.axis)

    def prox(self, u: Tensor, step: StepSize) -> Tensor:
        return shrink_huber(u, self.delta, spread(step, u), self.axis)

    def lipschitz(self) -> float:
        return 1.0


def _negative(axis: int) -> int:
    if not isinstance(axis, int) or isinstance(axis, bool) or axis >= 0:
        raise ConfigError(
            describe(
                expected="an axis that is counted from the last, a whole number below 0",
                found=f"axis = {axis}",
                fix="write -3 for the gradients of images, -4 for those of volumes",
            )
        )
    return axis


def _require_unitary(transform: LinearOperator) -> None:
    device = next((b.device for b in transform.buffers()), torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for there in (transform, transform.H):
        x = there.domain.random(generator).to(device)
        worst = max(worst, float((there.adjoint(there(x)) - x).norm() / x.norm()))
    if not worst <= UNITARY:
        raise ConfigError(
            describe(
                expected="a transform W with W*W = WW* = I",
                found=f"{type(transform).__name__}, which misses it by {worst:.1e}",
                fix="use an orthogonal one, or pdhg with the terms (W, L1())",
            )
        )
