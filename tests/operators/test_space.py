"""Spaces and their inner product."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from learnedrecon.errors import DtypeError, ShapeError
from learnedrecon.operators.space import Space, inner


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int32, torch.bool])
def test_spaces_are_of_float32_or_better(dtype: torch.dtype) -> None:
    with pytest.raises(DtypeError, match="float32, float64, complex64 or complex128"):
        Space((2,), dtype)


def test_shapes_become_tuples_of_plain_numbers() -> None:
    for shape in ([5, 4], np.array([5, 4]), torch.Size((5, 4))):
        space = Space(shape)  # type: ignore[arg-type]
        assert space == Space((5, 4))
        assert hash(space) == hash(Space((5, 4)))
        assert all(type(size) is int for size in space.shape)


@pytest.mark.parametrize("shape", [5, (), (0,), (3, -1), (2.5, 2), "ab", None])
def test_what_is_not_a_shape_is_refused(shape: Any) -> None:
    with pytest.raises(ShapeError, match=r"at least one size.*Space\(\(\d+,\)\)"):
        Space(shape)


def test_a_number_gets_the_call_for_vectors() -> None:
    with pytest.raises(ShapeError, match=r"Found 5\. .*Space\(\(5,\)\)"):
        Space(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "found", "call"),
    [
        (np.zeros((2, 3)), r"numpy\.ndarray", "torch.from_numpy"),
        ([[0.0] * 3] * 2, "list", "torch.as_tensor"),
    ],
)
def test_what_is_not_a_tensor_is_named(value: Any, found: str, call: str) -> None:
    with pytest.raises(DtypeError, match=rf"x as a torch tensor\. Found {found}\. .*{call}"):
        Space((2, 3)).check(value, "x")


def test_elements() -> None:
    space = Space((2, 3), torch.complex64)
    assert (space.size, space.ndim, space.is_complex) == (6, 2, True)
    draw = [space.random(torch.Generator().manual_seed(1), (4,)) for _ in range(2)]
    assert torch.equal(*draw)
    assert draw[0].shape == (4, 2, 3)
    assert draw[0].dtype == torch.complex64
    assert not space.zeros((1,)).any()
    assert space.zeros((1,)).shape == (1, 2, 3)


def test_admit_takes_any_leading_axes() -> None:
    space = Space((2, 3))
    for leading in ((), (1,), (4, 5)):
        x = torch.zeros(*leading, 2, 3)
        assert space.check(x, "x") is x
    with pytest.raises(ShapeError, match=r"x with last axes \(2, 3\)"):
        space.check(torch.zeros(3), "x")


def test_admit_keeps_the_precision_and_lifts_real_to_complex() -> None:
    space = Space((2,), torch.complex64)
    assert space.check(torch.zeros(2), "x").dtype == torch.complex64
    assert space.check(torch.zeros(2).double(), "x").dtype == torch.complex128
    assert space.check(torch.zeros(2).half(), "x").dtype == torch.complex64
    with pytest.raises(DtypeError, match="complex floats"):
        space.check(torch.zeros(2, dtype=torch.int64), "x")


def test_inner_product_is_real_unweighted_and_summed_in_double() -> None:
    a = torch.randn(3, 4, dtype=torch.complex128)
    b = torch.randn(3, 4, dtype=torch.complex128)
    expected = torch.stack([torch.vdot(x, y).real for x, y in zip(a, b, strict=True)])
    torch.testing.assert_close(inner(a, b, 1), expected)
    torch.testing.assert_close(inner(a, b, 2), expected.sum())
    torch.testing.assert_close(inner(a, 1j * a, 2), torch.zeros((), dtype=torch.float64))
    ones = torch.full((1 << 20,), 1.0 + 2.0**-23)
    assert float(inner(ones, ones, 1)) == (1 << 20) * (1.0 + 2.0**-23) ** 2
