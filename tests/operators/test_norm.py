"""The norm by Lanczos against singular values, also where these lie close together."""

from __future__ import annotations

import math

import pytest
import torch

from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.leading import largest
from learnedrecon.operators.norm import PowerResult, lanczos_norm, power_iteration, require_settled
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space
from learnedrecon.testing import dense_matrix


def test_the_largest_singular_value_of_a_ray_transform() -> None:
    scan = ParallelBeam((7, 9), AngleRange(6), FlatDetector(11))
    operator = RayTransform(scan, torch.float64)
    exact = torch.linalg.svdvals(dense_matrix(operator))[0].item()
    result = lanczos_norm(operator)
    assert result.converged
    assert result.norm == pytest.approx(exact, rel=1e-9)


def crowded() -> Diagonal:
    """Singular values 1, 0.999, 0.998, ..."""
    space = Space((1000,), torch.float64)
    return Diagonal(space, 1 - torch.arange(1000, dtype=torch.float64) / 1000)


def test_crowded_singular_values_take_tens_of_steps_where_power_iteration_takes_hundreds() -> None:
    result = lanczos_norm(crowded())
    assert result.converged
    assert result.norm == pytest.approx(1, rel=1e-8)
    slow = power_iteration(crowded())
    assert slow.iterations > 2 * result.iterations
    assert abs(largest(slow.norm) - 1) > abs(largest(result.norm) - 1)


def test_lost_orthogonality_does_no_harm() -> None:
    """Far more steps than the space has dimensions."""
    space = Space((12,), torch.float64)
    operator = Diagonal(space, torch.logspace(0, -6, 12, dtype=torch.float64))
    result = lanczos_norm(operator, tolerance=0.0)
    assert result.norm == pytest.approx(1, rel=1e-12)


def test_complex_and_small_and_zero() -> None:
    values = torch.tensor([-3.0, 1.0, 2.0], dtype=torch.float64)
    assert lanczos_norm(Diagonal(Space((3,), torch.complex128), values)).norm == pytest.approx(3)
    one = Diagonal(Space((1,), torch.float64), torch.tensor([-4.0], dtype=torch.float64))
    assert lanczos_norm(one).norm == pytest.approx(4)
    zero = Diagonal(Space((3,), torch.float64), torch.zeros(3, dtype=torch.float64))
    assert lanczos_norm(zero) == PowerResult(0.0, 1, converged=True)


def test_the_same_seed_gives_the_same_norm() -> None:
    operator = FiniteDifference(Space((9, 8), torch.float64))
    assert lanczos_norm(operator) == lanczos_norm(operator)
    exact = math.sqrt(sum((2 * math.cos(math.pi / (2 * n))) ** 2 for n in (9, 8)))
    assert lanczos_norm(operator).norm == pytest.approx(exact, rel=1e-9)


def test_not_settling_is_said(caplog: pytest.LogCaptureFixture) -> None:
    result = lanczos_norm(crowded(), iterations=3)
    assert not result.converged
    assert result.norm < 1
    with caplog.at_level("WARNING", logger="learnedrecon"):
        assert require_settled(result, "Diagonal") == result.norm
        assert require_settled(lanczos_norm(crowded()), "Diagonal") > 0.99
    (record,) = caplog.records
    assert "Diagonal has not settled after 3 iterations" in record.getMessage()
