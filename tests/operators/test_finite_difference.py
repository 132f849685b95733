"""The discrete gradient in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.norm import power_iteration
from learnedrecon.operators.space import Space
from learnedrecon.testing import dense_matrix

SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple)


@given(shape=SHAPES)
@settings(max_examples=25, deadline=None)
def test_values_are_forward_differences_with_a_still_border(shape: tuple[int, ...]) -> None:
    u = torch.randn(2, *shape, dtype=torch.float64)
    value = FiniteDifference(Space(shape, torch.float64))(u)
    assert value.shape == (2, len(shape), *shape)
    for axis in range(len(shape)):
        last = np.take(u.numpy(), [-1], axis=axis + 1)
        expected = np.diff(u.numpy(), axis=axis + 1, append=last)
        np.testing.assert_array_equal(value[:, axis].numpy(), expected)


@given(shape=SHAPES)
@settings(max_examples=25, deadline=None)
def test_norm_has_a_closed_form(shape: tuple[int, ...]) -> None:
    operator = FiniteDifference(Space(shape, torch.float64))
    exact = float(torch.linalg.matrix_norm(dense_matrix(operator), 2))
    assert operator.norm() == pytest.approx(exact, rel=1e-12, abs=1e-12)


def test_norm_tends_to_the_square_root_of_four_per_axis() -> None:
    norms = [FiniteDifference(Space((n, n))).norm() for n in (8, 64, 512)]
    assert norms == sorted(norms)
    assert math.sqrt(8) * (1 - 1e-5) < norms[-1] < math.sqrt(8)


def test_power_iteration_says_how_it_ended() -> None:
    operator = FiniteDifference(Space((12, 12), torch.float64))
    short = power_iteration(operator, iterations=3)
    assert not short.converged
    assert short.iterations == 3
    assert short.norm < operator.norm()
    long = power_iteration(operator, iterations=20_000, tolerance=1e-12)
    assert long.converged
    assert long.norm == pytest.approx(operator.norm(), rel=1e-6)
    assert long.norm <= operator.norm() * (1 + 1e-12)
    assert power_iteration(operator, seed=3) == power_iteration(operator, seed=3)


def test_norm_of_nothing_is_zero() -> None:
    operator = FiniteDifference(Space((1, 1), torch.float64))
    assert power_iteration(operator).norm == operator.norm() == 0.0
