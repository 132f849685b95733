"""How far an inverse is off, relative to the state."""

from __future__ import annotations

import pytest
import torch

from learnedrecon.models.learned_primal_dual import PrimalDual
from learnedrecon.schemes.units import relative_error


def state(primal: float, dual: float) -> PrimalDual:
    return PrimalDual(torch.full((1, 1, 4), primal), torch.full((1, 1, 9), dual))


def test_the_largest_gap_is_divided_by_the_largest_field() -> None:
    """Norms of constants: √4 |a| and √9 |b|."""
    found = relative_error(state(1.0, 2.0), state(1.5, 2.0), state(0.0, 4.0))
    assert found == pytest.approx(0.5 * 2 / (4.0 * 3))


def test_states_of_zeros_are_recovered_exactly() -> None:
    assert relative_error(state(0.0, 0.0), state(0.0, 0.0), state(0.0, 0.0)) == 0.0
    assert relative_error(state(0.0, 0.0), state(0.0, 1.0), state(0.0, 0.0)) == pytest.approx(3.0)
