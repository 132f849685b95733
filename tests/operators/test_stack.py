"""Stacks against block matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from learnedrecon.errors import GeometryError, LearnedReconError, ShapeError
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.imaging.blur import Blur, PointSpread
from learnedrecon.operators.imaging.inpaint import Inpaint
from learnedrecon.operators.imaging.point_spread import Box
from learnedrecon.operators.imaging.shapes import Crop, Identity, RealToComplex
from learnedrecon.operators.matrix import MatrixOperator
from learnedrecon.operators.space import Space
from learnedrecon.operators.stack import BlockDiagonal, HorizontalStack, Stack
from learnedrecon.testing import dense_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.operators.linear import LinearOperator

DOUBLE = torch.float64
IMAGE = Space((4, 3), DOUBLE)


def matrix(rows: int, columns: int = 6, seed: int = 0) -> MatrixOperator:
    generator = torch.Generator().manual_seed(seed)
    return MatrixOperator(torch.randn(rows, columns, generator=generator, dtype=DOUBLE))


def blur() -> Blur:
    return Blur(PointSpread((4, 3), Box((2, 1))), DOUBLE)


def parts() -> list[LinearOperator]:
    return [blur(), Crop(IMAGE, (2, 3)), Identity(IMAGE)]


def test_a_column_of_blocks() -> None:
    expected = torch.cat([dense_matrix(part) for part in parts()])
    torch.testing.assert_close(dense_matrix(Stack(parts())), expected)
    torch.testing.assert_close(dense_matrix(Stack(parts(), axis=-2)), expected)
    assert Stack(parts(), axis=-2).codomain.shape == (10, 3)
    assert Stack(parts()).codomain.shape == (30,)


def test_a_row_of_blocks_is_the_adjoint_of_a_column_of_adjoints() -> None:
    row = HorizontalStack([part.H for part in parts()], axis=-2)
    torch.testing.assert_close(dense_matrix(row), dense_matrix(Stack(parts(), axis=-2).H))


def test_block_diagonal() -> None:
    operator = BlockDiagonal(parts())
    expected = torch.block_diag(*[dense_matrix(part) for part in parts()])
    torch.testing.assert_close(dense_matrix(operator), expected)
    assert operator.norm() == max(part.norm() for part in parts())


@pytest.mark.parametrize("axis", [None, -1, -2])
def test_split_takes_the_data_apart(axis: int | None) -> None:
    operator = Stack([blur(), Identity(IMAGE)], axis)
    u = IMAGE.random(leading=(2, 5))
    for found, part in zip(operator.split(operator(u)), [blur(), Identity(IMAGE)], strict=True):
        torch.testing.assert_close(found, part(u))


def test_norms() -> None:
    for operator in (Stack(parts()), HorizontalStack([blur(), Identity(IMAGE)])):
        exact = float(torch.linalg.matrix_norm(dense_matrix(operator), 2))
        assert operator.norm() == pytest.approx(exact, rel=1e-8)
    gradient = FiniteDifference(IMAGE)
    assert Stack([gradient, gradient]).norm() == pytest.approx(2**0.5 * gradient.norm(), rel=1e-8)


@pytest.mark.parametrize("rows", [[0], [3, 4, 5], [8, 0, 5, 1, 4], list(range(9))])
def test_rows_count_through_all_blocks_in_the_order_asked_for(rows: list[int]) -> None:
    operator = Stack([matrix(4), matrix(2, seed=1), matrix(3, seed=2)])
    whole = dense_matrix(operator)
    torch.testing.assert_close(dense_matrix(operator.subset(rows)), whole[rows])
    again = operator.subset(rows).subset([0])
    torch.testing.assert_close(dense_matrix(again), whole[rows[:1]])


def test_rows_of_every_block_where_they_are_joined_along_another_axis() -> None:
    lines = [MatrixOperator(matrix(4, 6, seed).matrix, None, (4,)) for seed in (0, 1)]
    row = HorizontalStack(lines)
    torch.testing.assert_close(dense_matrix(row.subset([2, 0])), dense_matrix(row)[[2, 0]])
    assert Stack(parts(), -2).row_axis is None
    assert HorizontalStack([blur(), Identity(IMAGE)]).row_axis is None


def test_tensors_go_to_the_block_that_is_named() -> None:
    stack = Stack([Inpaint(torch.ones(4, 3), DOUBLE), Identity(IMAGE), blur()], axis=-1)
    assert stack.tensor_names == {"0.mask", "2.kernel"}
    mask, kernel = torch.rand(2, 1, 4, 3, dtype=DOUBLE), torch.rand(2, 1, 2, 1, dtype=DOUBLE)
    u = IMAGE.random(leading=(2, 1))
    value = stack.with_tensors({"0.mask": mask, "2.kernel": kernel})(u)
    expected = [mask * u, u, blur().with_tensors({"kernel": kernel})(u)]
    torch.testing.assert_close(value, torch.cat(expected, -1))
    row = HorizontalStack([Identity(IMAGE), blur()]).with_tensors({"1.kernel": kernel})
    assert row.domain.shape == (24,)
    pair = BlockDiagonal([stack, stack]).with_tensors({"1.0.mask": mask})
    assert pair.tensor_names == {"0.0.mask", "0.2.kernel", "1.0.mask", "1.2.kernel"}
    assert stack.with_tensors({}) is stack


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Stack([]), GeometryError, "at least one"),
        (lambda: Stack([IMAGE]), GeometryError, "linear operator"),  # type: ignore[list-item]
        (lambda: Stack([blur(), matrix(2)]), ShapeError, "common domain"),
        (lambda: HorizontalStack([blur(), matrix(2)]), ShapeError, "common codomain"),
        (lambda: Stack(parts(), axis=-1), ShapeError, "joined axis"),
        (lambda: Stack(parts(), axis=0), ShapeError, "negative"),
        (lambda: Stack([blur(), RealToComplex(IMAGE)]), ShapeError, "RealToComplex"),
        (
            lambda: Stack(parts()).with_tensors({"kernel": torch.ones(2, 1)}),
            GeometryError,
            "0.mask",
        ),
        (lambda: Stack(parts()).with_tensors({"7.mask": torch.ones(1)}), GeometryError, "3 parts"),
        (lambda: Stack(parts()).with_tensors({"1.mask": torch.ones(1)}), GeometryError, "Crop"),
    ],
)
def test_errors(make: Callable[[], Any], error: type[LearnedReconError], text: str) -> None:
    with pytest.raises(error, match=text):
        make()
