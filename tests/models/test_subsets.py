"""Schemes on parts of the data: what they unroll, what they cost, and which parts they refuse."""

from __future__ import annotations

import pytest
import torch

from learnedrecon.errors import GeometryError
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.models.deep_gradient import DeepGradientStep
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual, PrimalDualStep
from learnedrecon.models.subsets import Order, SubsetGradient, SubsetPrimalDual, Subsets
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.step import Chain
from learnedrecon.schemes.subsets import OnSubset
from learnedrecon.testing.counting import Cost, Counted
from learnedrecon.testing.steps import perturb

RAY = RayTransform(ParallelBeam((6, 7), AngleRange(6), FlatDetector(9)), torch.float64)
C = 0.5
DRAWS = (5, 1, 7, 3)


def matrix() -> torch.Tensor:
    """(6, 9, 42): T/‖T‖ as a matrix with an axis of angles."""
    unit = torch.eye(42, dtype=torch.float64).reshape(42, 1, 6, 7)
    return RAY(unit)[:, 0].permute(1, 2, 0) / RAY.norm()


def primal_dual(parts: int = 3, order: Order = "cyclic") -> SubsetPrimalDual:
    return SubsetPrimalDual(4, 3, 2, 5, subsets=Subsets(parts, order), image_scale=C).double()


def gradient(parts: int = 3, order: Order = "cyclic") -> SubsetGradient:
    return SubsetGradient(4, 5, subsets=Subsets(parts, order), start="adjoint").double()


def problem(draws: tuple[int, ...] = ()) -> InverseProblem:
    generator = torch.Generator().manual_seed(1)
    return InverseProblem(
        RAY, RAY(torch.rand(2, 1, 6, 7, generator=generator, dtype=torch.float64)), draws=draws
    )


@pytest.mark.parametrize(("order", "parts"), [("cyclic", (0, 1, 2, 0)), ("random", (2, 1, 1, 0))])
def test_primal_dual_is_the_formula(order: Order, parts: tuple[int, ...]) -> None:
    model = primal_dual(order=order)
    perturb(model, seed=2)
    at = problem(DRAWS)
    whole = matrix()
    y = at.data / (C * RAY.norm())
    u = torch.zeros(2, 3, 6, 7, dtype=torch.float64)
    h = torch.zeros(2, 2, 2, 9, dtype=torch.float64)
    assert isinstance(model.scheme, Chain)
    for on_part, i in zip(model.scheme, parts, strict=True):
        assert isinstance(on_part, OnSubset)
        step, rows = on_part.step, whole[i::3]
        assert isinstance(step, PrimalDualStep)
        forward = torch.einsum("adn,bn->bad", rows, u[:, 1].flatten(1))[:, None]
        h = h + step.dual_network(torch.cat([h, forward, y[:, :, i::3]], dim=1))
        back = torch.einsum("adn,bad->bn", rows, h[:, 0]).reshape(2, 1, 6, 7)
        u = u + step.primal_network(torch.cat([u, back], dim=1))
    torch.testing.assert_close(model(at).image, C * u[:, :1])


@pytest.mark.parametrize(("order", "parts"), [("cyclic", (0, 1, 2, 0)), ("random", (2, 1, 1, 0))])
def test_gradient_is_the_formula(order: Order, parts: tuple[int, ...]) -> None:
    model = gradient(order=order)
    perturb(model, seed=2)
    at, whole = problem(DRAWS), matrix()
    y = at.data[:, 0] / RAY.norm()
    u = torch.einsum("adn,bad->bn", whole, y).reshape(2, 1, 6, 7)
    assert isinstance(model.scheme, Chain)
    for on_part, i in zip(model.scheme, parts, strict=True):
        assert isinstance(on_part, OnSubset)
        assert isinstance(on_part.step, DeepGradientStep)
        rows = whole[i::3]
        residual = torch.einsum("adn,bn->bad", rows, u.flatten(1)) - y[:, i::3]
        slope = torch.einsum("adn,bad->bn", rows, residual).reshape(2, 1, 6, 7)
        u = u + on_part.step.network(torch.cat([u, slope], dim=1))
    torch.testing.assert_close(model(at).image, u)


def test_one_part_is_learned_primal_dual() -> None:
    model = primal_dual(parts=1)
    whole = LearnedPrimalDual(4, 3, 2, 5, image_scale=C).double()
    names = {name.replace(".step.", "."): p for name, p in model.state_dict().items()}
    whole.load_state_dict(names)
    torch.testing.assert_close(model(problem()).image, whole(problem()).image)


@pytest.mark.parametrize("parts", [1, 2, 3, 6])
def test_the_cost_falls_by_the_number_of_parts(parts: int) -> None:
    cost, at = Cost(), problem()
    primal_dual(parts=parts)(Counted(at, cost))
    assert cost.forward == pytest.approx(2 * 4 / parts)
    assert cost.adjoint == pytest.approx(2 * 4 / parts)
    cost = Cost()
    gradient(parts=parts)(Counted(at, cost))
    assert cost.forward == pytest.approx(2 * 4 / parts)
    assert cost.adjoint == pytest.approx(2 * (4 / parts + 1)), "one for T*y"


def test_their_sizes() -> None:
    assert count_parameters(SubsetPrimalDual()) == 253_220
    assert count_parameters(SubsetGradient()) == 50_725


@pytest.mark.parametrize("parts", [4, 5, 7])
def test_parts_that_do_not_divide_the_angles_are_named(parts: int) -> None:
    for model in (
        primal_dual(parts=parts),
        gradient(parts=parts),
    ):
        with pytest.raises(GeometryError, match=rf"into {parts} equal sets|{parts}|row"):
            model(problem())


def test_missing_draws_are_named_and_counted() -> None:
    random = primal_dual(order="random")
    assert (random.draws, primal_dual().draws) == (4, 0)
    assert gradient(order="random").draws == 4
    with pytest.raises(GeometryError, match="random draws"):
        random(problem())
