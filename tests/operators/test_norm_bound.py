"""Bounds of norms: never below the largest singular value, and close where they can be."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import Dense, largest_singular_value, normal
from torch import Tensor

from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.imaging.blur import Blur, PointSpread
from learnedrecon.operators.matrix import MatrixOperator
from learnedrecon.operators.norm import non_negative_norm_bound, power_iteration, upper_norm
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.operators.space import Space
from learnedrecon.operators.stack import BlockDiagonal, HorizontalStack, Stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.operators.linear import LinearOperator

PARALLEL = ParallelBeam((10, 9), AngleRange(7), FlatDetector(15))
RAY = RayTransform(PARALLEL, torch.float64)
SPACE = Space((4, 5), torch.float64)
DOUBLE = torch.float64


# name → (operator, how far above the norm its bound may be)
BOUNDED: dict[str, tuple[Callable[[], LinearOperator], float]] = {
    "parallel": (lambda: RAY, 1e-3),
    "narrow": (
        lambda: RayTransform(ParallelBeam((8, 8), AngleRange(3), FlatDetector(5)), DOUBLE),
        1e-3,
    ),
    "one ray": (
        lambda: RayTransform(ParallelBeam((3, 5), (0.3,), FlatDetector(1)), DOUBLE),
        1e-3,
    ),
    "fan": (
        lambda: RayTransform(
            FanBeam((9, 9), AngleRange(6, arc=6.28), FlatDetector(16, 1.7), 40.0, 25.0), DOUBLE
        ),
        1e-3,
    ),
    "cone": (
        lambda: RayTransform3D(
            ConeBeam((4, 5, 6), AngleRange(4, arc=6.28), FlatPanel(6, 8), 30.0, 10.0), DOUBLE
        ),
        1e-3,
    ),
    "gradient": (lambda: FiniteDifference(SPACE), 1e-12),
    "diagonal": (lambda: Diagonal(SPACE, normal(4, 5)), 1e-12),
    "adjoint": (lambda: RAY.H, 1e-3),
    "multiple": (lambda: -0.3 * RAY, 1e-3),
    "sum": (lambda: RAY + 2 * RAY, 1e-3),
    "normal": (lambda: RAY.H @ RAY, 2e-3),
    "matrix": (lambda: MatrixOperator(normal(5, 4)), 1e-12),
    "column": (lambda: Stack([RAY, 2.0 * RAY]), 1e-3),
    "row": (lambda: HorizontalStack([RAY.H, RAY.H]), 1e-3),
    "blocks": (lambda: BlockDiagonal([RAY, 2.0 * RAY]), 1e-3),
    "circular blur": (lambda: Blur(PointSpread((6, 5), ((1.0, 2.0), (-0.5, 0.3))), DOUBLE), 1e-5),
    "composition": (lambda: FiniteDifference(SPACE) @ Diagonal(SPACE, normal(4, 5)), 2.0),
}


@pytest.mark.parametrize("name", BOUNDED)
def test_bounds_are_above_the_norm_and_close(name: str) -> None:
    make, excess = BOUNDED[name]
    operator = make()
    bound, norm = operator.norm_bound(), largest_singular_value(operator)
    assert bound is not None
    assert norm * (1 - 1e-13) <= bound <= norm * (1 + excess)
    assert upper_norm(operator) == bound


@pytest.mark.parametrize("seed", range(10))
def test_any_matrix_without_negative_entries(seed: int) -> None:
    """Also sparse ones that fall into blocks, with rows and columns of zeros."""
    matrix = normal(8, 7, seed=seed).abs() * (normal(8, 7, seed=seed + 100) > 0.8)
    bound, norm = non_negative_norm_bound(Dense(matrix)), float(torch.linalg.matrix_norm(matrix, 2))
    assert norm * (1 - 1e-13) <= bound
    dense = matrix + 0.1
    bound, norm = non_negative_norm_bound(Dense(dense)), float(torch.linalg.matrix_norm(dense, 2))
    assert norm * (1 - 1e-13) <= bound <= norm * (1 + 1e-3)


def test_power_iteration_alone_would_be_too_small() -> None:
    """Two singular values that are close: what it says is below the larger one."""
    matrix = torch.diag(torch.tensor([1.0, 0.9999, 0.9998, 0.9997], dtype=DOUBLE))
    estimate = power_iteration(Dense(matrix), iterations=5).norm
    assert estimate < 1 <= non_negative_norm_bound(Dense(matrix), iterations=5)


def test_one_iteration_is_a_bound_already() -> None:
    assert non_negative_norm_bound(RAY, iterations=1) >= largest_singular_value(RAY)


def test_an_operator_of_zeros_has_the_bound_zero() -> None:
    assert non_negative_norm_bound(Dense(torch.zeros(3, 2, dtype=DOUBLE))) == 0


def test_poses_of_each_sample_have_a_bound_of_their_own() -> None:
    angles = torch.stack([torch.linspace(0, 1, 7), torch.linspace(0, 3, 7)]).double()
    twin = RAY.with_tensors({"angles": angles[:, None]})
    norms = [largest_singular_value(RAY.with_tensors({"angles": each})) for each in angles]
    bound = twin.norm_bound()
    assert isinstance(bound, Tensor)
    assert all(
        exact <= each <= exact * 1.001 for exact, each in zip(norms, bound[:, 0], strict=True)
    )
    one = RAY.with_tensors({"angles": angles[1]})
    assert norms[1] <= one.norm_bound() <= norms[1] * 1.001


def test_without_a_bound_the_estimate_gets_a_margin_and_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    operator = Dense(normal(4, 3))
    assert operator.norm_bound() is None
    assert (operator + operator).norm_bound() is None
    assert (operator.H @ operator).norm_bound() is None
    assert (2.0 * operator).norm_bound() is None
    with caplog.at_level(logging.INFO, "learnedrecon"):
        value = upper_norm(operator)
    assert value == pytest.approx(1.05 * largest_singular_value(operator), rel=1e-5)
    assert "knows no bound" in caplog.text


def test_units_scale_the_bound() -> None:
    matrix: Tensor = normal(5, 4).abs()
    for unit in (1e-20, 1e-3, 1e3, 1e20):
        scaled = non_negative_norm_bound(Dense(unit * matrix))
        assert scaled == pytest.approx(unit * non_negative_norm_bound(Dense(matrix)))
