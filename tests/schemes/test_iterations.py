"""More or fewer iterations with the same weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from learnedrecon.errors import ConfigError
from learnedrecon.models.deep_gradient import DeepGradientStep
from learnedrecon.models.equilibrium import EquilibriumGradient, FixedPointSolver, PotentialLayers
from learnedrecon.models.invertible_primal_dual import InvertiblePrimalDual
from learnedrecon.models.learned_gradient import LearnedGradient
from learnedrecon.models.post_processing import PostProcessing
from learnedrecon.models.subsets import Order, SubsetGradient, Subsets
from learnedrecon.networks.unet import UNetSpec
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.iterations import (
    CyclicChain,
    iterations,
    model_with_iterations,
    with_iterations,
)
from learnedrecon.schemes.state import Image
from learnedrecon.schemes.step import Chain, Repeat
from learnedrecon.schemes.subsets import OnSubset
from learnedrecon.testing import check_step
from learnedrecon.testing.steps import perturb

RAY = RayTransform(ParallelBeam((5, 6), AngleRange(6), FlatDetector(9)), torch.float64)


def step(seed: int) -> DeepGradientStep:
    torch.manual_seed(seed)
    return DeepGradientStep(nn.Conv2d(2, 1, 3, padding=1, dtype=torch.float64))


def start() -> Image:
    generator = torch.Generator().manual_seed(3)
    return Image(torch.rand(2, 1, 5, 6, generator=generator, dtype=torch.float64))


def problem(draws: tuple[int, ...] = ()) -> InverseProblem:
    return InverseProblem(RAY, RAY(start().image), draws=draws)


def run(steps: list[DeepGradientStep]) -> Tensor:
    state = start()
    for each in steps:
        state = each(state, problem())
    return state.image


@pytest.mark.parametrize("number", [1, 2, 3, 4, 7])
def test_a_chain_is_cut_or_begins_anew(number: int) -> None:
    steps = [step(0), step(1), step(2)]
    longer = with_iterations(Chain(steps), number)
    expected = run([steps[k % 3] for k in range(number)])
    torch.testing.assert_close(longer(start(), problem()).image, expected)
    iterates = list(longer.iterates(start(), problem()))
    assert len(iterates) == number == iterations(longer)
    torch.testing.assert_close(iterates[-1].image, expected)
    assert {id(p) for p in longer.parameters()} <= {id(p) for s in steps for p in s.parameters()}


@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_repeated_step_is_repeated_more_or_less_often(number: int) -> None:
    one = step(0)
    longer = with_iterations(Repeat(one, 2), number)
    assert isinstance(longer, Repeat)
    torch.testing.assert_close(longer(start(), problem()).image, run([one] * number))


def test_nested_compositions_are_counted_as_they_are_iterated() -> None:
    a, b, c = step(0), step(1), step(2)
    scheme = Chain([Repeat(a, 2), Chain([b, c])])
    assert iterations(scheme) == 4 == len(list(scheme.iterates(start(), problem())))
    for number in (1, 3, 4, 6):
        expected = run([a, a, b, c, a, a][:number])
        found = with_iterations(scheme, number)(start(), problem()).image
        torch.testing.assert_close(found, expected)
    twice = with_iterations(Repeat(Chain([a, b]), 2), 5)
    torch.testing.assert_close(twice(start(), problem()).image, run([a, b, a, b, a]))
    again = with_iterations(with_iterations(Chain([a, b]), 3), 4)
    torch.testing.assert_close(again(start(), problem()).image, run([a, b, a, b]))


@pytest.mark.parametrize("order", ["cyclic", "random"])
def test_parts_go_on_where_the_last_turn_ended(order: Order) -> None:
    """With 2 steps on 3 parts, the third iteration has the weights of the first and part 2."""
    model = SubsetGradient(2, 4, subsets=Subsets(3, order), start="adjoint").double()
    perturb(model, seed=1)
    draws = (1, 1, 0, 2, 2)
    at = problem(draws)
    longer = with_iterations(model.scheme, 5)
    state = start()
    assert isinstance(model.scheme, Chain)
    for k in range(5):
        on_part = model.scheme[k % 2]
        assert isinstance(on_part, OnSubset)
        part = draws[k] if order == "random" else k % 3
        state = on_part.step(state, at.subset(slice(part, None, 3)))
    torch.testing.assert_close(longer(start(), at).image, state.image)
    assert [s.k for s in model.scheme] == [0, 1], "the scheme is as it was"


def test_a_cycle_passes_the_kit_and_can_be_reversible() -> None:
    check_step(CyclicChain([step(0), step(1)], 3), start(), problem())
    model = InvertiblePrimalDual(2, 4).double()
    perturb(model, seed=0)
    longer = model_with_iterations(model, 5)
    assert longer.scheme.backward_mode == model.scheme.backward_mode
    longer(problem()).image.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_fixed_point_allows_as_many_evaluations() -> None:
    model = EquilibriumGradient(
        network=PotentialLayers(width=4, filters=6), solver=FixedPointSolver(1e-9)
    ).double()
    longer = model_with_iterations(model, 7)
    assert iterations(model.scheme) == FixedPointSolver().max_iterations
    assert iterations(longer.scheme) == 7 == len(list(longer.iterates(problem())))


def test_the_model_shares_its_weights_and_keeps_its_mode() -> None:
    model = LearnedGradient(2, 1, 4).double().eval()
    longer = model_with_iterations(model, 6)
    assert not longer.training
    images = [e.image for e in longer.iterates(problem())]
    assert len(images) == 6
    torch.testing.assert_close(images[1], model(problem()).image)
    assert {id(p) for p in longer.parameters()} == {id(p) for p in model.parameters()}


def test_what_makes_no_sense_is_refused() -> None:
    unet = PostProcessing(network=UNetSpec(base=2, depth=1, groups=1))
    with pytest.raises(ConfigError, match=r"learned iterative scheme.*PostProcessing"):
        model_with_iterations(unet, 3)
    for scheme in (Chain([step(0)]), Repeat(step(0), 2), step(0)):
        with pytest.raises(ConfigError, match="at least one iteration"):
            with_iterations(scheme, 0)
    with pytest.raises(ConfigError, match="0 steps"):
        CyclicChain([], 2)
