"""Extensions against NumPy's, and their transposes against matrices."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learnedrecon.operators.imaging.boundary import Boundary, extend, fold, matrix_of, multiplicity

MODES = {
    "circular": "wrap",
    "symmetric": "symmetric",
    "reflect": "reflect",
    "edge": "edge",
    "zero": "constant",
}
axes = st.lists(
    st.tuples(st.integers(1, 5), st.tuples(st.integers(0, 7), st.integers(0, 7))),
    min_size=1,
    max_size=4,
)


def test_every_boundary_is_tested() -> None:
    assert set(MODES) == set(get_args(Boundary))


@pytest.mark.parametrize("boundary", MODES)
@given(axes=axes)
@settings(max_examples=40, deadline=None)
def test_extensions_are_those_of_numpy(
    boundary: Boundary, axes: list[tuple[int, tuple[int, int]]]
) -> None:
    shape, margins = zip(*axes, strict=True)
    x = torch.randn(2, *shape, dtype=torch.float64)
    wide = extend(x, margins, boundary)
    expected = np.pad(x.numpy(), [(0, 0), *margins], mode=MODES[boundary])  # type: ignore[call-overload]
    np.testing.assert_array_equal(wide.numpy(), expected)
    v = torch.randn_like(wide)
    folded = fold(v, margins, boundary)
    assert folded.shape == x.shape
    assert float((folded * x).sum()) == pytest.approx(float((v * wide).sum()), abs=1e-10)


@pytest.mark.parametrize("boundary", MODES)
@pytest.mark.parametrize("margin", [(0, 0), (2, 1), (0, 4), (9, 6)])
def test_the_matrix_of_an_axis(boundary: Boundary, margin: tuple[int, int]) -> None:
    matrix = matrix_of(4, *margin, boundary)
    x = torch.randn(4, dtype=torch.float64)
    np.testing.assert_array_equal(matrix @ x.numpy(), extend(x, [margin], boundary).numpy())
    v = torch.randn(len(matrix), dtype=torch.float64)
    np.testing.assert_allclose(matrix.T @ v.numpy(), fold(v, [margin], boundary), atol=1e-14)
    assert multiplicity(4, *margin, boundary) == matrix.sum(axis=0).max()


@pytest.mark.parametrize("boundary", MODES)
def test_nothing_is_written_into_the_arguments(boundary: Boundary) -> None:
    v = torch.randn(3, 8)
    before = v.clone()
    fold(v, [(2, 2)], boundary)
    assert torch.equal(v, before)
