"""Chains and repetitions, and every exact way to differentiate them."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from tests.helpers import normal
from torch import Tensor, nn

from learnedrecon.errors import ConfigError
from learnedrecon.functionals.regularisers import Dirichlet
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem, Problem
from learnedrecon.schemes.backward import Backprop, Backward, Checkpointed
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.iterations import CyclicChain
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.scaling import NoScaling
from learnedrecon.schemes.state import Image
from learnedrecon.schemes.step import Chain, Repeat, Step
from learnedrecon.testing import check_step

SCAN = ParallelBeam((4, 5), AngleRange(6), FlatDetector(7))


class ImageState(NamedTuple):
    image: Tensor
    memory: Tensor


class ToyStep(Step[ImageState]):
    """A learned gradient step with one convolution."""

    def __init__(self, seed: int, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.network = nn.Conv2d(3, 2, 3, padding=1, dtype=dtype)
        for parameter in self.parameters():
            draw = torch.randn(parameter.shape, generator=generator, dtype=dtype)
            parameter.data.copy_(0.1 * draw)

    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        gradient = 0.01 * problem.gradient(state.image)
        update = self.network(torch.cat([state.image, gradient, state.memory], 1)).tanh()
        return ImageState(state.image + update[:, :1], update[:, 1:])


class WithRegulariser(ToyStep):
    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        assert problem.regulariser is not None
        moved = state.image - 0.1 * problem.regulariser.gradient(state.image)
        return super().forward(ImageState(moved, state.memory), problem)


def problem(dtype: torch.dtype = torch.float64) -> InverseProblem:
    return InverseProblem(RayTransform(SCAN, dtype), normal(2, 1, 6, 7, dtype=dtype))


def start(dtype: torch.dtype = torch.float64) -> ImageState:
    return ImageState(normal(2, 1, 4, 5, dtype=dtype), normal(2, 1, 4, 5, dtype=dtype, seed=1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_checkpointing_passes_the_kit(dtype: torch.dtype) -> None:
    modes = tuple(Checkpointed(every) for every in (1, 2, 3, 7))
    report = check_step(ToyStep(0, dtype), start(dtype), problem(dtype), modes=modes)
    compared = [finding for finding in report.findings if "Checkpointed" in finding.name]
    assert len(compared) == len(modes) * 2 * 2
    assert all(finding.measured == 0 for finding in compared)


def test_tensors_of_operator_and_regulariser_are_leaves() -> None:
    space = Space((4, 5), torch.float64)
    weights = normal(4, 5).requires_grad_()
    report = check_step(
        WithRegulariser(0),
        start(),
        InverseProblem(Diagonal(space, weights), normal(2, 1, 4, 5), regulariser=Dirichlet()),
    )
    # image, memory, data, the diagonal, and kernel and bias of one step or of three
    assert report.measured("Repeat, Checkpointed(every=1): gradients of 6 leaves") == 0
    assert report.measured("Chain, Checkpointed(every=2): gradients of 10 leaves") == 0
    assert report.measured("Chain, Checkpointed(every=2): second derivatives of 10 leaves") == 0


@pytest.mark.parametrize("mode", [Backprop(), Checkpointed(1), Checkpointed(2)])
def test_a_chain_is_the_composition(mode: Backward) -> None:
    steps = [ToyStep(k) for k in range(4)]
    state, given = start(), problem()
    result = Chain(steps, mode)(state, given)
    for step in steps:
        state = step(state, given)
    assert all(map(torch.equal, result, state))
    repeated = Repeat(steps[0], 4, mode)(start(), given)
    by_hand = start()
    for _ in range(4):
        by_hand = steps[0](by_hand, given)
    assert all(map(torch.equal, repeated, by_hand))


@pytest.mark.parametrize("mode", [Backprop(), Checkpointed(2)])
def test_gradients_of_a_repetition_are_the_sums_over_an_unshared_chain(mode: Backward) -> None:
    step, given = ToyStep(0), problem()
    copies = [copy.deepcopy(step) for _ in range(3)]
    shared = torch.autograd.grad(
        Repeat(step, 3, mode)(start(), given).image.square().sum(), list(step.parameters())
    )
    apart = torch.autograd.grad(
        Chain(copies, mode)(start(), given).image.square().sum(),
        [p for c in copies for p in c.parameters()],
    )
    for index, total in enumerate(shared):
        torch.testing.assert_close(total, sum(apart[index :: len(shared)]))


def test_the_last_iterate_is_the_result() -> None:
    nested = Chain([ToyStep(0), Repeat(ToyStep(1), 3), Chain([ToyStep(2), ToyStep(3)])])
    iterates = list(nested.iterates(start(), problem()))
    assert len(iterates) == 6
    assert torch.equal(iterates[-1].image, nested(start(), problem()).image)
    assert torch.equal(iterates[0].image, nested[0](start(), problem()).image)
    assert torch.equal(iterates[3].image, nested[:2](start(), problem()).image)


class Own(ToyStep):
    """A step with a beginning, an image and more results of its own."""

    @property
    def size(self) -> Tensor:
        bias = self.network.bias
        assert bias is not None
        return bias[0]

    def begin(self, image: Tensor, problem: Problem) -> ImageState:  # noqa: ARG002
        return ImageState(image, image + self.size)

    def image(self, state: ImageState) -> Tensor:
        return state.image + self.size

    def extra(self, state: ImageState) -> dict[str, Tensor]:
        return {"of": self.image(state)}


def test_the_first_step_begins_and_the_last_one_ends() -> None:
    first, last = Own(0), Own(1)
    chain, state = Chain([first, ToyStep(2), last]), start()
    begun = chain.begin(state.image, problem())
    assert torch.equal(begun.memory, state.image + first.size)
    for image in (chain.image(state), chain.extra(state)["of"]):
        assert torch.equal(image, state.image + last.size)


def test_slices_share_their_weights() -> None:
    chain = Chain([ToyStep(k) for k in range(3)], Checkpointed(2))
    head = chain[:2]
    assert isinstance(head, Chain)
    assert len(head) == 2
    assert head.backward_mode == Checkpointed(2)
    assert {id(p) for p in head.parameters()} < {id(p) for p in chain.parameters()}
    first = chain[0]
    assert isinstance(first, ToyStep)
    with torch.no_grad():
        first.network.weight.add_(1)
    assert head[0] is chain[0] is next(iter(chain))
    assert chain[-1] is chain[2]
    with pytest.raises(ConfigError, match="at least one step"):
        chain[3:]


def test_with_times_shares_its_weights() -> None:
    twice = Repeat(ToyStep(0), 2, Checkpointed(1))
    longer = twice.with_times(5)
    assert longer.step is twice.step
    assert (longer.times, twice.times) == (5, 2)
    assert longer.backward_mode == Checkpointed(1)
    assert len(list(longer.iterates(start(), problem()))) == 5


def test_a_chain_refuses_the_same_step_twice_however_deep() -> None:
    step = ToyStep(0)
    for steps in (
        [step, step],
        [step, ToyStep(1), Repeat(step, 2)],
        [Chain([step]), Chain([ToyStep(1), step])],
    ):
        with pytest.raises(ConfigError, match=r"Repeat\(step, n\)"):
            Chain(steps)
    with pytest.raises(ConfigError, match="at least one step"):
        Chain([])


def test_counts_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="at least one repetition"):
        Repeat(ToyStep(0), 0)
    with pytest.raises(ConfigError, match="every >= 1"):
        Checkpointed(0)


def test_checkpointing_repeats_random_numbers() -> None:
    class Noisy(ToyStep):
        def forward(self, state: ImageState, problem: Problem) -> ImageState:
            state = super().forward(state, problem)
            noise = torch.rand(state.image.shape, dtype=state.image.dtype)
            return ImageState(state.image * noise, state.memory)

    steps = [Noisy(k) for k in range(3)]
    results = []
    for mode in (Backprop(), Checkpointed(2)):
        torch.manual_seed(0)
        chain = Chain(steps, mode)
        loss = chain(start(), problem()).image.square().sum()
        results.append(torch.autograd.grad(loss, list(chain.parameters())))
    assert all(map(torch.equal, *results))


def test_checkpointing_evaluates_twice_and_stores_less() -> None:
    class Counting(ToyStep):
        calls = 0

        def forward(self, state: ImageState, problem: Problem) -> ImageState:
            self.calls += 1
            return super().forward(state, problem)

    stored: dict[str, int] = {}
    for mode in (Backprop(), Checkpointed(1)):
        step = Counting(0)
        sizes: list[int] = []

        def pack(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            image = Repeat(step, 6, mode)(start(), problem()).image
        stored[type(mode).__name__] = sum(sizes)
        assert step.calls == 6
        image.sum().backward()
        assert step.calls == (6 if isinstance(mode, Backprop) else 12)
    assert stored["Checkpointed"] < stored["Backprop"] / 5


def test_a_step_without_iterates_yields_its_result() -> None:
    (only,) = ToyStep(0).iterates(start(), problem())
    assert torch.equal(only.image, ToyStep(0)(start(), problem()).image)


def test_a_composition_ignores_what_is_not_asked_to_be_differentiated() -> None:
    given = replace(problem(), data=normal(2, 1, 6, 7).requires_grad_())
    with torch.no_grad():
        assert not Chain([ToyStep(0)], Checkpointed(1))(start(), given).image.requires_grad


@pytest.mark.parametrize(
    "scheme",
    [
        Chain([ToyStep(0)]),
        Repeat(ToyStep(0), 2),
        CyclicChain([ToyStep(0)], 2),
        FixedPoint(ToyStep(0)),
    ],
    ids=lambda scheme: type(scheme).__name__,
)
def test_a_state_of_another_type_is_an_error_that_names_both(scheme: Step[ImageState]) -> None:
    """A bare tensor would be unpacked along its batch: sample 0 as image, sample 1 as memory."""
    image = start().image
    for wrong in (image, Image(image)):
        words = rf"type ImageState for {type(scheme).__name__}.*type {type(wrong).__name__}"
        with pytest.raises(ConfigError, match=words):
            scheme(wrong, problem())
        with pytest.raises(ConfigError, match=words):
            list(scheme.iterates(wrong, problem()))  # type: ignore[arg-type]


def test_a_start_that_gives_another_state_is_refused_by_any_scheme() -> None:
    for scheme in (ToyStep(0), Chain([ToyStep(0)])):
        method = Iterative(scheme, lambda given: Image(given.adjoint(given.data)), NoScaling())
        with pytest.raises(ConfigError, match=r"type ImageState.*type Image"):
            method(problem())
        unready = Iterative(scheme, lambda given: given.adjoint(given.data), NoScaling())
        with pytest.raises(ConfigError, match=r"ToyStep.begin\(image, problem\)"):
            unready(problem())
