"""Data terms."""

from __future__ import annotations

import torch
from torch import Tensor

from learnedrecon.functionals.base import Fidelity, per_sample


class LeastSquares(Fidelity):
    """D(v; y) = ½‖v - y‖², the negative log-likelihood of white Gaussian noise of variance 1."""

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        return per_sample(0.5 * (v - y).abs().square())

    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return v - y


class KullbackLeibler(Fidelity):
    """D(v; y) = Σ v - y + y log(y / v), the Poisson negative log-likelihood up to a constant.

    With T(u) = exp(-μPu) its gradient in u is [∂T(u)]*(1 - y/T(u)) = -μP*(T(u) - y) (Adler, Öktem
    2017, section 5.2). Needs v > 0 and y ≥ 0; 0·log 0 is 0. In log(v) and 1/v, v is at least the
    root of the smallest normal number, 1e-19 in float32, where 1/v² is finite: a prediction that
    underflows gives no infinity.
    """

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        return per_sample(v - y + torch.xlogy(y, y) - torch.xlogy(y, _raised(v)))

    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return 1 - y / _raised(v)


def _raised(v: Tensor) -> Tensor:
    return v.clamp(min=torch.finfo(v.dtype).tiny ** 0.5)
