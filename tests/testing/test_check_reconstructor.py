"""The kit finds methods that mix samples, have dead weights, or cannot be stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, PropertyError
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem, Problem
from learnedrecon.schemes.reconstructor import Estimate, Reconstructor
from learnedrecon.testing import check_reconstructor
from learnedrecon.testing.steps import Sealed

if TYPE_CHECKING:
    from collections.abc import Iterator

SCAN = ParallelBeam((6, 5), AngleRange(4), FlatDetector(9))


class Sound(Reconstructor):
    """A convolution of the scaled back projection."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(1, 2, 3, padding=1, dtype=torch.float64)
        self.last = nn.Conv2d(2, 1, 3, padding=1, dtype=torch.float64)

    def features(self, problem: Problem) -> Tensor:
        hidden: Tensor = self.first(0.1 * problem.adjoint(problem.data)).tanh()
        return hidden

    def forward(self, problem: Problem) -> Estimate:
        return Estimate(self.last(self.features(problem)))


class ZeroLast(Sound):
    """A sound start at zero, behind which no gradient passes before the first update."""

    def __init__(self) -> None:
        super().__init__()
        nn.init.zeros_(self.last.weight)


class Unlearned(Reconstructor):
    def forward(self, problem: Problem) -> Estimate:
        return Estimate(problem.adjoint(problem.data))


class WrongShape(Sound):
    def forward(self, problem: Problem) -> Estimate:
        return Estimate(super().forward(problem).image[..., 1:])


class NoBatch(Sound):
    def forward(self, problem: Problem) -> Estimate:
        return Estimate(super().forward(problem).image[:1])


class Narrow(Sound):
    def forward(self, problem: Problem) -> Estimate:
        return Estimate(super().forward(problem).image.float())


class NotFinite(Sound):
    def forward(self, problem: Problem) -> Estimate:
        image = super().forward(problem).image
        return Estimate(image / (image > image.amax(-1, keepdim=True) - 1e-9).logical_not())


class NegativeVariance(Sound):
    def forward(self, problem: Problem) -> Estimate:
        image = super().forward(problem).image
        return Estimate(image, variance=-image.abs())


class Normalised(Sound):
    """Batch statistics, as BatchNorm in training mode uses them."""

    def features(self, problem: Problem) -> Tensor:
        hidden = super().features(problem)
        return hidden - 1e-4 * hidden.mean(0, keepdim=True)


class SizeOfBatch(Sound):
    """Ignores the other samples' values, but not how many there are."""

    def features(self, problem: Problem) -> Tensor:
        return super().features(problem) * problem.data.shape[0]


class Random(Sound):
    def features(self, problem: Problem) -> Tensor:
        hidden = super().features(problem)
        return hidden + 1e-6 * torch.rand_like(hidden)


class Mutating(Sound):
    def forward(self, problem: Problem) -> Estimate:
        estimate = super().forward(problem)
        problem.data.add_(1)
        return estimate


class OtherIterates(Sound):
    def iterates(self, problem: Problem) -> Iterator[Estimate]:
        yield self(problem)
        yield Estimate(1.001 * self(problem).image)


class Dead(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(2, 2)


class CutOff(Sound):
    def features(self, problem: Problem) -> Tensor:
        return super().features(problem).detach()


class InfiniteGradient(Sound):
    def features(self, problem: Problem) -> Tensor:
        hidden = super().features(problem)
        return hidden + (hidden - hidden.detach()).abs().sqrt()


def _forget_mean(module: nn.Module, keys: object) -> None:
    assert keys is not None
    module.mean = torch.zeros(())


class Hidden(Sound):
    """Keeps a number outside the state that is stored, which loading resets."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.ones(()), persistent=False)
        self.register_load_state_dict_post_hook(_forget_mean)

    def features(self, problem: Problem) -> Tensor:
        return super().features(problem) * self.mean


class Forgets(Sound):
    """A pickle loses what was set after building."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = 2.0

    def __reduce__(self) -> tuple[type[Forgets], tuple[()]]:
        return Forgets, ()

    def __deepcopy__(self, memo: dict[int, object]) -> Forgets:
        twin = Forgets()
        twin.gain = self.gain
        memo[id(self)] = twin
        return twin

    def features(self, problem: Problem) -> Tensor:
        return super().features(problem) * self.gain


BROKEN: dict[type[Sound], str] = {
    WrongShape: r"\(batch, channel, \*domain\.shape\)",
    NoBatch: r"\(batch, channel, \*domain\.shape\)",
    Narrow: "data's precision",
    NotFinite: "image is finite",
    NegativeVariance: "is not negative",
    Normalised: "ignores the others",
    SizeOfBatch: "stack of singles",
    Random: "the same twice",
    Mutating: "problem is left alone",
    OtherIterates: "last of iterates",
    Dead: r"reach every parameter.*unused\.weight, unused\.bias",
    CutOff: r"reach every parameter.*first\.weight",
    InfiniteGradient: "gradients are finite",
    Hidden: "stored state",
}


def problem(batch: int = 3) -> InverseProblem:
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(batch, 1, 4, 9, dtype=torch.float64, generator=generator)
    return InverseProblem(RayTransform(SCAN, torch.float64), data)


@pytest.mark.parametrize("kind", [Sound, ZeroLast])
def test_sound_methods_pass(kind: type[Sound]) -> None:
    assert not check_reconstructor(kind(), problem()).skipped


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_finds_a_broken_method(kind: type[Sound]) -> None:
    with pytest.raises(PropertyError, match=BROKEN[kind]):
        check_reconstructor(kind(), problem())


def test_finds_what_a_pickle_loses() -> None:
    model = Forgets()
    model.gain = 3.0
    with pytest.raises(PropertyError, match="a pickle gives the same image"):
        check_reconstructor(model, problem())


def test_methods_without_weights_pass_and_say_so() -> None:
    report = check_reconstructor(Unlearned(), problem(1))
    assert {f.name: f.note for f in report.skipped} == {
        "a sample ignores the others": "a batch of one",
        "gradients reach every parameter": "nothing is learned",
    }


def test_operators_with_a_tensor_per_sample_are_not_split() -> None:
    space = Space((6, 5), torch.float64)
    operator = Diagonal(space, space.random(leading=(3, 1)))
    report = check_reconstructor(Sound(), InverseProblem(operator, space.random(leading=(3, 1))))
    assert [f.note for f in report.skipped] == ["the operator has tensors for each sample"]


def test_the_model_is_left_alone() -> None:
    model = Sound()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    check_reconstructor(model, problem())
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_a_problem_must_take_other_data() -> None:
    with pytest.raises(ConfigError, match="Sealed"):
        check_reconstructor(Sound(), Sealed(problem()))
