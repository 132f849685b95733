"""The kit finds functionals whose gradient or whose batch is wrong."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from learnedrecon.errors import ConfigError, PropertyError
from learnedrecon.functionals.base import Fidelity, Regulariser, per_sample
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.testing import check_functional


class Quartic(Regulariser):
    """Σ u⁴/4, soundly differentiated."""

    def forward(self, u: Tensor) -> Tensor:
        return per_sample(u**4 / 4)

    def gradient(self, u: Tensor) -> Tensor:
        return u**3


class WrongFactor(Quartic):
    def gradient(self, u: Tensor) -> Tensor:
        return 1.001 * u**3


class OnePixelOff(Quartic):
    def gradient(self, u: Tensor) -> Tensor:
        wrong = (u**3).clone()
        wrong[..., 0, 0] *= 1.001
        return wrong


class Detached(Quartic):
    def gradient(self, u: Tensor) -> Tensor:
        return u.detach() ** 3


class HalfDetached(Quartic):
    def gradient(self, u: Tensor) -> Tensor:
        return u * u.detach() ** 2


class OneValue(Quartic):
    def forward(self, u: Tensor) -> Tensor:
        return super().forward(u).sum()


class MixedValue(Quartic):
    def forward(self, u: Tensor) -> Tensor:
        value = super().forward(u)
        return value + 1e-3 * value.mean()


class MixedGradient(Quartic):
    def gradient(self, u: Tensor) -> Tensor:
        return u**3 - u.mean(0, keepdim=True)


class Mutating(Quartic):
    def gradient(self, u: Tensor) -> Tensor:
        return u.pow_(3)


class Complex(Quartic):
    def forward(self, u: Tensor) -> Tensor:
        return super().forward(u).to(torch.complex128)


class Infinite(Quartic):
    def forward(self, u: Tensor) -> Tensor:
        return super().forward(u) / 0


class Narrow(Quartic):
    def gradient(self, u: Tensor) -> Tensor:
        return (u**3).float()


BROKEN: dict[type[Quartic], str] = {
    WrongFactor: "gradient against autograd",
    OnePixelOff: "gradient against autograd",
    Detached: "second derivative",
    HalfDetached: "second derivative",
    OneValue: "one real, finite value per sample",
    Complex: "one real, finite value per sample",
    Infinite: "one real, finite value per sample",
    MixedValue: "value of a batch",
    MixedGradient: "gradient of a batch",
    Mutating: "arguments are left alone",
    Narrow: "shape and type",
}


def at(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(2, 1, 3, 4, dtype=dtype, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_sound_functional_passes(dtype: torch.dtype) -> None:
    report = check_functional(Quartic(), at=at(dtype))
    assert not report.skipped
    assert report.measured("order of the central differences, below 2 by") < 0.01


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_finds_a_broken_functional(kind: type[Quartic]) -> None:
    with pytest.raises(PropertyError, match=BROKEN[kind]):
        check_functional(kind(), at=at())


class SwappedArguments(LeastSquares):
    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return y - v


class AutogradIsWrongToo(Fidelity):
    """Value and autograd agree with the gradient in what is wrong; differences do not."""

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        return per_sample((v - y).square() * v.detach())

    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return 2 * (v - y) * v


def test_finds_broken_data_terms() -> None:
    with pytest.raises(PropertyError, match="gradient against autograd"):
        check_functional(SwappedArguments(), at=at(), data=at() + 1)
    with pytest.raises(PropertyError, match="gradient against central differences"):
        check_functional(AutogradIsWrongToo(), at=at(), data=at() + 1)


def test_data_go_with_data_terms_only() -> None:
    with pytest.raises(ConfigError, match="data for a data term"):
        check_functional(LeastSquares(), at=at())
    with pytest.raises(ConfigError, match="none for a regulariser"):
        check_functional(Quartic(), at=at(), data=at())
