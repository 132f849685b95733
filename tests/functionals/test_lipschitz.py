"""Lipschitz constants of gradients from both sides: never passed, and nearly attained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import normal
from torch import Tensor

from learnedrecon.functionals.combined import FunctionalMultiple, FunctionalOf, Misfit
from learnedrecon.functionals.fidelities import (
    Huber,
    KullbackLeibler,
    LeastSquares,
    WeightedLeastSquares,
)
from learnedrecon.functionals.norms import L1, GroupL1, HuberNorm
from learnedrecon.functionals.regularisers import Dirichlet, TotalVariation
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from learnedrecon.functionals.base import Regulariser

SHAPE = (2, 1, 12, 11)
PIXEL = 1e-4


def largest_slope(functional: Regulariser, at: Tensor, steps: int = 200) -> float:
    """‖∇R(u + d) - ∇R(u)‖/‖d‖ for the small d that power iteration finds."""
    direction, worst = normal(*at.shape, seed=9), 0.0
    for _ in range(steps):
        direction = PIXEL * direction / direction.norm()
        change = functional.gradient(at + direction) - functional.gradient(at)
        worst = max(worst, float(change.norm()) / PIXEL)
        direction = change
    return worst


WEIGHTS = 0.2 + normal(12, 11, seed=3).abs()
DIAGONAL = Diagonal(Space((12, 11), torch.float64), 0.3 + 0.6 * normal(12, 11, seed=4).tanh())
DATA = normal(*SHAPE, seed=1)
FLAT = torch.zeros(SHAPE, dtype=torch.float64)
CASES: dict[str, tuple[Regulariser, Tensor, float, float]] = {
    # the functional, where its slope is largest, its constant, and the part of it that is attained
    "least squares": (Misfit(LeastSquares(), DATA), FLAT, 1.0, 1 - 1e-9),
    "weighted": (Misfit(WeightedLeastSquares(WEIGHTS), DATA), FLAT, float(WEIGHTS.max()), 0.999),
    "Huber": (Misfit(Huber(0.3), DATA), DATA, 1.0, 1 - 1e-9),
    "Huber norm": (HuberNorm(0.3, -3), FLAT, 1.0, 1 - 1e-9),
    "Dirichlet, 1 axis": (Dirichlet(1), FLAT, 4.0, 0.97),
    "Dirichlet, 2 axes": (Dirichlet(), FLAT, 8.0, 0.97),
    "smoothed TV, 1 axis": (TotalVariation(1, 0.5), FLAT, 8.0, 0.97),
    "smoothed TV, 2 axes": (TotalVariation(2, 0.1), FLAT, 80.0, 0.97),
    "one weight": (FunctionalMultiple(Dirichlet(), 0.3), FLAT, 2.4, 0.97),
    "a weight each": (
        FunctionalMultiple(Dirichlet(), torch.tensor([0.2, 0.7])), FLAT, 5.6, 0.97
    ),
    "behind an operator": (
        FunctionalOf(Misfit(WeightedLeastSquares(torch.full((12, 11), 3.0)), DATA), DIAGONAL),
        FLAT,
        3.0 * float(DIAGONAL.diagonal.abs().max()) ** 2,
        0.99,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_constant_is_nearly_attained_and_never_passed(name: str) -> None:
    functional, at, expected, share = CASES[name]
    constant = functional.lipschitz()
    assert constant == pytest.approx(expected, rel=1e-6)
    found = largest_slope(functional, at)
    assert share * expected < found <= expected * (1 + 1e-6)
    for seed in range(3):
        u, w = 2 * normal(*SHAPE, seed=seed), normal(*SHAPE, seed=10 + seed)
        change = functional.gradient(u) - functional.gradient(w)
        assert float(change.norm()) <= expected * float((u - w).norm())


def test_functionals_with_kinks_have_no_constant() -> None:
    kinked = (L1(), GroupL1(), TotalVariation(), Misfit(KullbackLeibler(), DATA.abs()))
    for functional in kinked:
        assert functional.lipschitz() is None
        assert FunctionalMultiple(functional, 2.0).lipschitz() is None
