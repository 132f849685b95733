"""The discrete gradient in closed form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learnedrecon.errors import GeometryError
from learnedrecon.operators.finite_difference import Border, Differences, FiniteDifference
from learnedrecon.operators.norm import power_iteration
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.operators.space import Space
from learnedrecon.specs import build, named_from_plain, named_to_plain
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


@given(shape=SHAPES, spacing=st.lists(st.floats(0.1, 10), min_size=3, max_size=3))
@settings(max_examples=25, deadline=None)
def test_other_borders(shape: tuple[int, ...], spacing: list[float]) -> None:
    u = torch.randn(2, *shape, dtype=torch.float64)
    space, sizes = Space(shape, torch.float64), spacing[: len(shape)]
    periodic = FiniteDifference(space, "periodic", sizes)(u)
    zero = FiniteDifference(space, "zero", sizes)(u)
    still = FiniteDifference(space, "neumann", sizes)(u)
    for a, h in enumerate(sizes):
        first = u.narrow(a + 1, 0, 1)
        ends = (first, torch.zeros_like(first), u.narrow(a + 1, shape[a] - 1, 1))
        for found, end in zip((periodic, zero, still), ends, strict=True):
            expected = torch.diff(u, dim=a + 1, append=end) / h
            torch.testing.assert_close(found[:, a], expected, rtol=1e-12, atol=1e-12)


@given(shape=SHAPES, border=st.sampled_from(["neumann", "periodic", "zero"]))
@settings(max_examples=25, deadline=None)
def test_norms_across_other_borders_have_closed_forms(
    shape: tuple[int, ...], border: Border
) -> None:
    operator = FiniteDifference(Space(shape, torch.float64), border, (0.5, 3.0, 1.2)[: len(shape)])
    exact = float(torch.linalg.matrix_norm(dense_matrix(operator), 2))
    assert operator.norm() == pytest.approx(exact, rel=1e-12, abs=1e-12)


def test_plain_data_and_back() -> None:
    spec = Differences((4, 3), "periodic", (0.5, 2.0))
    assert named_from_plain(OPERATORS, named_to_plain(OPERATORS, spec)) == spec
    assert build(OPERATORS, spec)(torch.rand(4, 3)).shape == (2, 4, 3)


@pytest.mark.parametrize(
    "arguments",
    [("dirichlet",), ("zero", -1.0), ("zero", (1.0, 1.0, 1.0)), ("zero", float("nan"))],
)
def test_errors(arguments: Any) -> None:
    with pytest.raises(GeometryError, match="one positive spacing"):
        FiniteDifference(Space((4, 4)), *arguments)
