"""Tolerances and numbers of iterations: both sides of every limit."""

from __future__ import annotations

import math

import pytest
import torch
from tests.helpers import Dense, normal

from learnedrecon.errors import ConfigError
from learnedrecon.solvers.arguments import checked_limits
from learnedrecon.solvers.cg import cg


def test_one_iteration_is_a_number_of_iterations() -> None:
    """It is all that CG needs for a multiple of the identity."""
    b = normal(2, 5)
    result = cg(Dense(3 * torch.eye(5, dtype=torch.float64)), b, max_iterations=1)
    torch.testing.assert_close(result.solution, b / 3)
    assert result.converged.all()


@pytest.mark.parametrize("number", [0, -1])
def test_no_iteration_is_refused(number: int) -> None:
    with pytest.raises(ConfigError, match="at least one iteration"):
        checked_limits(1e-5, number)


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -1e-9, math.nan])
def test_a_tolerance_lies_between_zero_and_one(tolerance: float) -> None:
    checked_limits(math.nextafter(0.0, 1.0), 1)
    checked_limits(math.nextafter(1.0, 0.0), 1)
    with pytest.raises(ConfigError, match="relative tolerance"):
        checked_limits(tolerance, 1)
