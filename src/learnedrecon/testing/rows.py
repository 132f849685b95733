"""Checks of row subsets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from learnedrecon.operators.linear import LinearOperator
from learnedrecon.testing.numbers import distance

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.base import Operator
    from learnedrecon.testing.numbers import Draw
    from learnedrecon.testing.report import Checklist

_PARTS = 3


def check_subsets(checks: Checklist, operator: Operator, image: Tensor, draw: Draw) -> None:
    """Checks that subsets of T and of T* or [∂T(u)]* add up, in any order, also subsets of subsets.

    Args:
        checks: List of the findings.
        operator: T.
        image: Image, (..., *domain.shape).
        draw: Random images and data.
    """
    _check_entries(checks, operator, image)
    star = "T*" if isinstance(operator, LinearOperator) else "T'(u)*"
    names = ("subsets of rows make the whole T", f"subsets of rows make the whole {star}")
    if operator.row_axis is None:
        for name in names:
            checks.skip(name, "no row axis")
        return
    axis, number = operator.row_axis, operator.codomain.shape[operator.row_axis]
    value, derivative = operator.linearise(image)
    v = draw.data()
    whole, back = torch.zeros_like(value), torch.zeros_like(image)
    for first in range(min(_PARTS, number)):
        rows = list(range(first, number, _PARTS))
        index = torch.tensor(rows, device=v.device)
        part, slope = operator.subset(rows).linearise(image)
        whole.index_copy_(axis, index, part)
        back = back + slope.adjoint(v.index_select(axis, index))
    fix = "restrict every row alike"
    checks.require(names[0], distance(whole, value), fix)
    checks.require(names[1], distance(back, derivative.adjoint(v)), fix)
    _check_order(checks, operator, image, value)
    _check_parts(checks, operator, image, value)


def _check_entries(checks: Checklist, operator: Operator, image: Tensor) -> None:
    """A pointwise operator can be had on some entries of any axis, in any order."""
    name = "a pointwise T on some entries is T there"
    if not operator.pointwise:
        checks.skip(name, "not pointwise")
        return
    gaps = []
    for axis in range(-operator.domain.ndim, 0):
        rows = (image.shape[axis] - 1, 0)
        index = torch.tensor(rows, device=image.device)
        part = operator.at_rows(rows, axis)(image.index_select(axis, index))
        gaps.append(distance(part, operator(image).index_select(axis, index)))
    checks.require(name, max(gaps), "set pointwise only where this holds, and write at_rows")


def _check_order(checks: Checklist, operator: Operator, image: Tensor, value: Tensor) -> None:
    assert operator.row_axis is not None
    number = value.shape[operator.row_axis]
    rows = [number - 1, 0][:number]
    chosen = value.index_select(operator.row_axis, torch.tensor(rows, device=value.device))
    checks.require(
        "a subset keeps the order that was asked for",
        distance(operator.subset(rows)(image), chosen),
        "do not sort the rows",
    )


def _check_parts(checks: Checklist, operator: Operator, image: Tensor, value: Tensor) -> None:
    assert operator.row_axis is not None
    number = value.shape[operator.row_axis]
    part = operator.subset(slice(None, None, -1))
    checks.require_true(
        "a subset has the rows of the whole",
        part.row_axis == operator.row_axis and part.codomain.shape == operator.codomain.shape,
        "give the part the row axis and the codomain of its rows",
    )
    last = value.narrow(operator.row_axis, number - 1, 1)
    checks.require(
        "a subset of a subset", distance(part.subset([0])(image), last), "restrict a part again"
    )
