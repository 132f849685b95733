"""Parts of the data: which rows, what a step sees of them, and what that costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.helpers import normal
from torch import nn

from learnedrecon.errors import ConfigError, GeometryError
from learnedrecon.models.invertible_primal_dual import InvertiblePrimalDualStep
from learnedrecon.models.learned_primal_dual import PrimalDual, PrimalDualStep
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.backward import Checkpointed
from learnedrecon.schemes.reversible import Reversible
from learnedrecon.schemes.scaling import AdjointScale, ImageScale
from learnedrecon.schemes.step import Chain
from learnedrecon.schemes.subsets import OnSubset, Partition
from learnedrecon.testing import check_step
from learnedrecon.testing.counting import Cost, Counted

SCAN = ParallelBeam((4, 5), AngleRange(6), FlatDetector(7))
RAY = RayTransform(SCAN, torch.float64)


def problem() -> InverseProblem:
    return InverseProblem(RAY, normal(2, 1, 6, 7))


def net(inputs: int, outputs: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(inputs, 3, 3, padding=1, dtype=torch.float64),
        nn.Tanh(),
        nn.Conv2d(3, outputs, 3, padding=1, dtype=torch.float64),
    )


def step(seed: int = 0) -> PrimalDualStep:
    return PrimalDualStep(net(4, 2, seed), net(3, 2, seed + 9))


def start(angles: int) -> PrimalDual:
    return PrimalDual(normal(2, 2, 4, 5), normal(2, 2, angles, 7, seed=1))


@pytest.mark.parametrize("parts", [1, 2, 3, 6])
def test_parts_are_interleaved_and_make_the_whole(parts: int) -> None:
    whole, partition, u = problem(), Partition(parts), normal(2, 1, 4, 5)
    for k in range(parts):
        part = partition.part(whole, k + parts)
        torch.testing.assert_close(part.data, whole.data[:, :, k::parts])
        torch.testing.assert_close(part.forward(u), RAY(u)[:, :, k::parts])
    total = sum(partition.part(whole, k).gradient(u) for k in range(parts))
    torch.testing.assert_close(total, whole.gradient(u))


def test_unequal_parts_are_refused() -> None:
    with pytest.raises(GeometryError, match="4 equal sets"):
        Partition(4).part(problem(), 0)
    with pytest.raises(ConfigError, match="parts >= 1"):
        Partition(0)


def test_steps_take_the_parts_in_turn() -> None:
    steps = [step(k) for k in range(3)]
    chain = Chain([OnSubset(s, Partition(2), k) for k, s in enumerate(steps)])
    expected, given = start(3), problem()
    for k, s in enumerate(steps):
        rows = list(range(k % 2, 6, 2))
        part = InverseProblem(
            RayTransform(SCAN.subset(rows), torch.float64), given.data[:, :, rows]
        )
        expected = s(expected, part)
    found = chain(start(3), given)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)
    last = list(chain.iterates(start(3), given))
    assert len(last) == 3
    torch.testing.assert_close(last[-1].primal, expected.primal)


def test_drawn_parts_come_from_the_problem() -> None:
    drawn = Chain([OnSubset(step(k), Partition(3), k, drawn=True) for k in range(2)])
    fixed = Chain([OnSubset(step(0), Partition(3), 2), OnSubset(step(1), Partition(3), 1)])
    given = replace(problem(), draws=(5, 1))
    for a, b in zip(drawn(start(2), given), fixed(start(2), given), strict=True):
        torch.testing.assert_close(a, b)
    with pytest.raises(GeometryError, match="at least 1 random draws"):
        drawn(start(2), problem())


def test_the_kit() -> None:
    check_step(OnSubset(step(), Partition(2), 1), start(3), problem(), modes=[Checkpointed(2)])
    invertible = InvertiblePrimalDualStep(net(2, 1, 0), net(1, 1, 1))
    begin = PrimalDual(normal(2, 1, 4, 5), normal(2, 1, 3, 7, seed=1))
    check_step(OnSubset(invertible, Partition(2), 1), begin, problem(), modes=[Reversible()])


def test_cost_falls_with_the_number_of_parts() -> None:
    cost = {}
    for parts in (1, 2, 3):
        counted = Counted(problem())
        chain = Chain([OnSubset(step(k), Partition(parts), k) for k in range(6)])
        chain(start(6 // parts), counted)
        cost[parts] = counted.cost
    # 6 steps, a batch of 2: one T and one T* each
    assert cost[1] == Cost(12, 12)
    assert cost[2].total == pytest.approx(12)
    assert cost[3].total == pytest.approx(8)


def test_a_gradient_costs_both() -> None:
    counted = Counted(problem())
    counted.gradient(normal(2, 1, 4, 5))
    counted.adjoint(normal(2, 3, 6, 7))
    assert counted.cost == Cost(2, 8)
    assert counted.to("cpu").cost is counted.cost


def test_a_wrapper_is_scaled_from_within() -> None:
    counted = Counted(problem())
    for scaling in (ImageScale(0.5), AdjointScale()):
        scaled, c = scaling(counted)
        expected, _ = scaling(problem())
        assert isinstance(scaled, Counted)
        torch.testing.assert_close(scaled.data, expected.data)
        u = normal(2, 1, 4, 5)
        torch.testing.assert_close(scaled.gradient(u), expected.gradient(u))
        assert scaled.cost is counted.cost
        assert c is not None
