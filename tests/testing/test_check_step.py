"""The kit finds steps that break their promises, and ways to differentiate that are wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import pytest
import torch
from tests.helpers import normal
from torch import Tensor, nn

from learnedrecon.errors import DifferentiationError, PropertyError
from learnedrecon.functionals.base import Regulariser, per_sample
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem, Problem
from learnedrecon.schemes.backward import Backprop, Backward, Checkpointed
from learnedrecon.schemes.step import Step
from learnedrecon.testing import check_step
from learnedrecon.testing.steps import Sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch.autograd.function import FunctionCtx

    from learnedrecon.operators.base import Operator
    from learnedrecon.schemes.backward import Update

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]
SHAPE = (2, 1, 3, 4)


class ImageState(NamedTuple):
    image: Tensor
    memory: Tensor


class Other(NamedTuple):
    image: Tensor
    memory: Tensor


class Sound(Step[ImageState]):
    """u ← u - tanh(w·∇D(u) + s), s ← s/2 + u."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))

    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        u, s = state
        change = (self.weight * problem.gradient(u) + s).tanh()
        return ImageState(u - change, s / 2 + u)


class WritesIntoState(Sound):
    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        result = super().forward(state, problem)
        if not state.image.requires_grad:
            state.image.add_(1)
        return result


class WritesIntoData(Sound):
    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        result = super().forward(state, problem)
        if not problem.data.requires_grad:
            problem.data.mul_(0.5)
        return result


class WritesIntoOperator(Sound):
    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        result = super().forward(state, problem)
        for tensor in getattr(problem, "operator", nn.Module()).buffers():
            tensor.data.add_(1)
        return result


class ChangesType(Sound):
    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        return Other(*super().forward(state, problem))  # type: ignore[return-value]


class ChangesShape(Sound):
    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        image, memory = super().forward(state, problem)
        return ImageState(image, torch.cat([memory, memory], 1))


class ChangesPrecision(Sound):
    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        image, memory = super().forward(state, problem)
        return ImageState(image.float(), memory)


class Random(Sound):
    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        image, memory = super().forward(state, problem)
        return ImageState(image + 1e-6 * torch.rand_like(image), memory)


class Remembers(Sound):
    calls = 0

    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        self.calls += 1
        image, memory = super().forward(state, problem)
        return ImageState(image + self.calls, memory)


class TouchesOperator(Sound):
    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        assert problem.operator.domain.ndim == 2
        return super().forward(state, problem)


class NeedsMeasured(Sound):
    """Behaves differently where another problem stands in."""

    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        image, memory = super().forward(state, problem)
        return ImageState(image + isinstance(problem, InverseProblem), memory)


class MixesTheBatch(Sound):
    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        image, memory = super().forward(state, problem)
        return ImageState(image - image.mean(), memory)


class SharesTheMemory(Sound):
    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        image, memory = super().forward(state, problem)
        return ImageState(image, memory - 1e-6 * memory.mean(0, keepdim=True))


class ReadsTheMemory(Sound):
    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        return ImageState(super().forward(state, problem).image, state.memory)


class Unsealed(Sealed):
    """A problem that is no dataclass."""

    @property
    def operator(self) -> Operator:  # type: ignore[override]
        return self._problem.operator


BROKEN: dict[type[Sound], str] = {
    WritesIntoState: "given state is left alone",
    WritesIntoData: "problem is left alone",
    WritesIntoOperator: "problem is left alone",
    ChangesType: "keeps its type",
    ChangesShape: "keeps shapes",
    ChangesPrecision: "keeps shapes and types",
    Random: "the same twice",
    Remembers: "the same twice",
    TouchesOperator: r"does not use problem\.operator",
    NeedsMeasured: "another problem can stand in",
    MixesTheBatch: "a batch is a stack of singles",
    SharesTheMemory: "a batch is a stack of singles",
}


def start() -> ImageState:
    return ImageState(normal(*SHAPE), normal(*SHAPE, seed=1))


class Weighted(Regulariser):
    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, u: Tensor) -> Tensor:
        return per_sample(0.5 * self.weight * u.square())

    def gradient(self, u: Tensor) -> Tensor:
        return self.weight * u


class UsesRegulariser(Sound):
    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        assert problem.regulariser is not None
        u = state.image - problem.regulariser.gradient(state.image)
        return super().forward(ImageState(u, state.memory), problem)


def problem() -> InverseProblem:
    operator = Diagonal(Space((3, 4), torch.float64), normal(3, 4).requires_grad_())
    weight = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    return InverseProblem(operator, normal(*SHAPE, seed=2), regulariser=Weighted(weight))


@pytest.mark.parametrize("step", [Sound(), UsesRegulariser()], ids=lambda s: type(s).__name__)
def test_sound_steps_pass(step: Sound) -> None:
    report = check_step(step, start(), problem())
    assert not report.skipped
    # two of the state, data, operator, regulariser, and three weights in the chain
    assert report.measured("Chain, Checkpointed(every=2): gradients of 8 leaves") == 0
    assert report.measured("Repeat, Checkpointed(every=2): gradients of 6 leaves") == 0


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_finds_a_broken_step(kind: type[Sound]) -> None:
    with pytest.raises(PropertyError, match=BROKEN[kind]):
        check_step(kind(), start(), problem())


def like(state: S, *tensors: Tensor) -> S:
    make: Callable[..., S] = type(state)
    return make(*tensors)


@dataclass(frozen=True)
class DetachesProblem(Backward):
    """Forgets the gradients in the data."""

    def run(self, steps: Sequence[Update[S]], state: S, problem: Problem) -> S:
        assert isinstance(problem, InverseProblem)
        blind = InverseProblem(
            problem.operator, problem.data.detach(), regulariser=problem.regulariser
        )
        return Backprop().run(steps, state, blind)


@dataclass(frozen=True)
class Truncated(Backward):
    """Differentiates the last step only."""

    def run(self, steps: Sequence[Update[S]], state: S, problem: Problem) -> S:
        with torch.no_grad():
            state = Backprop().run(steps[:-1], state, problem)
        return steps[-1](state, problem)


@dataclass(frozen=True)
class SlightlyOff(Backward):
    """The right value, and a gradient that is wrong by 1e-6."""

    def run(self, steps: Sequence[Update[S]], state: S, problem: Problem) -> S:
        image, memory = Backprop().run(steps, state, problem)
        return like(state, image + 1e-6 * (image - image.detach()), memory)


@dataclass(frozen=True)
class OnceOnly(Backward):
    """Right once, wrong the second time: the curvature of one term is dropped."""

    def run(self, steps: Sequence[Update[S]], state: S, problem: Problem) -> S:
        image, memory = Backprop().run(steps, state, problem)
        start = state[0]
        zero = start**3 - 3 * start.detach() ** 2 * start + 2 * start.detach() ** 3
        return like(state, image + zero, memory)


class _Refuse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        del ctx
        return x.clone()

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> Tensor:
        del ctx
        return _RefuseBackward.apply(grad)


class _RefuseBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        del ctx
        return x.clone()

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> Tensor:
        raise DifferentiationError(f"{ctx}: {grad.shape}")


@dataclass(frozen=True)
class RefusesTwice(Backward):
    """As Reversible and Implicit do, it raises on double backward."""

    def run(self, steps: Sequence[Update[S]], state: S, problem: Problem) -> S:
        image, memory = Backprop().run(steps, state, problem)
        return like(state, _Refuse.apply(image), _Refuse.apply(memory))


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (DetachesProblem(), r"gradients of 8 leaves.*worst: data"),
        (Truncated(), "gradients of 8 leaves"),
        (SlightlyOff(), "gradients of 8 leaves"),
        (OnceOnly(), r"second derivatives of 8 leaves.*worst: state\.image"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_finds_a_wrong_way_to_differentiate(mode: Backward, words: str) -> None:
    with pytest.raises(PropertyError, match=words):
        check_step(Sound(), start(), problem(), modes=[Checkpointed(1), mode])


def test_a_refused_second_derivative_is_noted() -> None:
    report = check_step(Sound(), start(), problem(), modes=[RefusesTwice()])
    assert [f.note for f in report.skipped] == ["refused", "refused"]
    assert report.measured("Chain, RefusesTwice(): gradients of 8 leaves") == 0


def test_nothing_of_the_callers_is_changed() -> None:
    step, state, given = Sound(), start(), problem()
    before = [t.detach().clone() for t in (*state, given.data, *step.parameters())]
    check_step(step, state, given)
    assert all(map(torch.equal, before, (*state, given.data, *step.parameters())))
    assert not given.data.requires_grad
    assert step.weight.grad is None


def test_a_sealed_problem_gives_no_operator_and_the_same_else() -> None:
    given = InverseProblem(Diagonal(Space((3, 4), torch.float64), normal(3, 4)), normal(*SHAPE))
    sealed = Sealed(given)
    u = normal(*SHAPE, seed=5)
    assert torch.equal(sealed.forward(u), given.forward(u))
    assert torch.equal(sealed.adjoint(u, at=u), given.adjoint(u, at=u))
    assert torch.equal(sealed.to("cpu").gradient(u), given.gradient(u))
    with pytest.raises(PropertyError, match=r"does not use problem\.operator"):
        _ = sealed.operator


def test_a_batch_that_cannot_be_split_is_said_to_be_so() -> None:
    title = "a batch is a stack of singles"

    def note(given: Problem, state: ImageState) -> str:
        report = check_step(MixesTheBatch(), state, given, modes=[])
        return {finding.name: finding.note for finding in report.skipped}[title]

    space, y = Space((3, 4), torch.float64), normal(*SHAPE)
    single = ImageState(*(tensor[:1] for tensor in start()))
    per_sample_operator = InverseProblem(Diagonal(space, normal(*SHAPE, seed=2)), y)
    weighted = InverseProblem(
        Diagonal(space, normal(3, 4)), y, regulariser=Weighted(normal(*SHAPE))
    )
    assert note(replace(problem(), data=y[:1]), single) == "a batch of one"
    assert note(per_sample_operator, start()) == "the operator has tensors for each sample"
    assert note(weighted, start()) == "the regulariser has tensors for each sample"
    assert note(Unsealed(weighted), start()) == "Unsealed cannot be given other data"
    shared = start()._replace(memory=normal(1, 1, 3, 4))
    report = check_step(ReadsTheMemory(), shared, problem(), modes=[])
    assert [f.note for f in report.skipped] == ["the state has tensors without a batch axis"]
