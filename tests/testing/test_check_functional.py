"""The kit finds functionals whose gradient or whose batch is wrong."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from learnedrecon.errors import ConfigError, PropertyError
from learnedrecon.functionals.base import Fidelity, Regulariser, StepSize, per_sample, spread
from learnedrecon.functionals.constraints import Box
from learnedrecon.functionals.fidelities import KullbackLeibler, LeastSquares
from learnedrecon.functionals.norms import L1
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
    assert [finding.name for finding in report.skipped] == ["the proximal map minimises"]
    assert report.measured("order of the central differences, below 2 by") < 0.01


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_finds_a_broken_functional(kind: type[Quartic]) -> None:
    with pytest.raises(PropertyError, match=BROKEN[kind]):
        check_functional(kind(), at=at())


class WrongThreshold(L1):
    def prox(self, u: Tensor, step: StepSize) -> Tensor:
        return super().prox(u, 1.0001 * step)


class OneThresholdOff(L1):
    """In one entry only."""

    def prox(self, u: Tensor, step: StepSize) -> Tensor:
        wrong = super().prox(u, step)
        wrong[..., 0, 0] = super().prox(u, 1.001 * step)[..., 0, 0]
        return wrong


class Hard(L1):
    """Hard thresholding, the proximal map of something that is not convex."""

    def prox(self, u: Tensor, step: StepSize) -> Tensor:
        return torch.where(u.abs() > spread(step, u), u, 0)


class Forgetful(L1):
    """Knows nothing of the step."""

    def prox(self, u: Tensor, step: StepSize) -> Tensor:  # noqa: ARG002 - what other classes look at
        return super().prox(u, 1.0)


class OneStep(L1):
    """Takes the step of the first sample for all."""

    def prox(self, u: Tensor, step: StepSize) -> Tensor:
        return super().prox(u, step.flatten()[0] if isinstance(step, Tensor) else step)


class WritingProx(L1):
    def prox(self, u: Tensor, step: StepSize) -> Tensor:
        return u.copy_(super().prox(u, step))


class NarrowProx(L1):
    def prox(self, u: Tensor, step: StepSize) -> Tensor:
        return super().prox(u, step).float()


class WrongConjugate(L1):
    def prox_conjugate(self, p: Tensor, step: StepSize) -> Tensor:
        return 1.001 * super().prox_conjugate(p, step)


class AntiMonotone(L1):
    """Right where it is compared with other points, but not a proximal map as a whole."""

    def prox(self, u: Tensor, step: StepSize) -> Tensor:
        right = super().prox(u, step)
        return torch.where(u.abs() > 20, -right, right)


class OpenBox(Box):
    """Projects onto a larger box than it says."""

    def prox(self, u: Tensor, step: StepSize) -> Tensor:  # noqa: ARG002 - what other classes look at
        return u.clamp(self.lower, self.upper + 1e-3)


BROKEN_PROX: dict[type[Regulariser], str] = {
    WrongThreshold: "minimises",
    OneThresholdOff: "minimises",
    Hard: "minimises",
    Forgetful: "minimises",
    OneStep: "one step per sample",
    WritingProx: "leaves its arguments alone",
    NarrowProx: "keeps shape and type",
    WrongConjugate: "Moreau",
    AntiMonotone: "non-expansive",
    OpenBox: "minimises",
}


@pytest.mark.parametrize("kind", BROKEN_PROX, ids=lambda kind: kind.__name__)
def test_finds_a_broken_proximal_map(kind: type[Regulariser]) -> None:
    functional = kind(-3.0, 3.0) if issubclass(kind, Box) else kind()
    with pytest.raises(PropertyError, match=BROKEN_PROX[kind]):
        check_functional(functional, at=at())


class WrongRoot(KullbackLeibler):
    """The other sign of t in the quadratic equation."""

    def prox(self, v: Tensor, y: Tensor, step: StepSize) -> Tensor:
        t = spread(step, v)
        return (v + t + ((v + t).square() + 4 * t * y).sqrt()) / 2


def test_finds_a_broken_proximal_map_of_a_data_term() -> None:
    with pytest.raises(PropertyError, match="minimises"):
        check_functional(WrongRoot(), at=at().exp(), data=at().abs())


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
