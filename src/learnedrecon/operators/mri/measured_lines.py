"""Measured lines of k-space, so that a Cartesian transform computes these only."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor

_ACROSS = (
    2  # transforms that leave out the last axis take twice as long, as their result lies across
)


class Grid(NamedTuple):
    """Sizes and constants of a Cartesian transform: image → padded → Fourier → rows.

    Attributes:
        shape: Shape of the image.
        encoded: Shape of the grid, whose centred part is the image.
        row_axis: Axis of the rows, negative.
        rows: Rows of the grid along ``row_axis`` in the order of the data; None for all.
    """

    shape: tuple[int, ...]
    encoded: tuple[int, ...]
    row_axis: int
    rows: tuple[int, ...] | None

    @property
    def out(self) -> tuple[int, ...]:
        """The shape of the data, without coils."""
        if self.rows is None:
            return self.encoded
        sizes = list(self.encoded)
        sizes[self.row_axis] = len(self.rows)
        return tuple(sizes)

    @property
    def offsets(self) -> tuple[int, ...]:
        """First index of the image in the grid along every axis, so that n // 2 is at N // 2."""
        return tuple(N // 2 - n // 2 for n, N in zip(self.shape, self.encoded, strict=True))

    @property
    def axes(self) -> tuple[int, ...]:
        """All axes, negative."""
        return tuple(range(-len(self.shape), 0))


class Lines(NamedTuple):
    """Measured lines, which run along the axes that are not in ``axes``.

    Attributes:
        axes: Adjacent axes, negative and increasing, that together number the lines.
        places: For every mask, the lines in the grid and the same lines in the data, as indices
            into the product of ``axes``.
        repeated: True if the data contain a line of the grid twice.
    """

    axes: tuple[int, ...]
    places: tuple[tuple[Tensor, Tensor], ...]
    repeated: bool


def varying_axes(mask: Tensor | None, grid: Grid) -> tuple[int, ...]:
    """The axes along which a mask is not constant, or rows are selected.

    Args:
        mask: Mask (*lead, *axes of the grid or 1), or None.
        grid: Sizes and constants of the transform.
    """
    chosen = () if grid.rows is None else (grid.row_axis,)
    if mask is None:
        return chosen
    return tuple(a for a in grid.axes if a in chosen or not _is_constant(mask, a))


def measured_lines(mask: Tensor | None, grid: Grid, varying: tuple[int, ...]) -> Lines | None:
    """The lines to compute, or None where these are all or nearly all of the grid.

    Args:
        mask: Boolean mask (*lead, *axes of the data or 1), or None.
        grid: Sizes and constants of the transform.
        varying: Result of :func:`varying_axes`.
    """
    number = len(grid.shape)
    neighbours = (
        varying == tuple(range(varying[0], varying[0] + len(varying))) if varying else False
    )
    if not neighbours or len(varying) == number:
        if grid.rows is None:
            return None
        varying = (grid.row_axis,)
    seen = torch.ones([1] * number, dtype=torch.bool) if mask is None else mask.cpu()
    for axis in grid.axes:
        if axis not in varying:
            seen = seen.any(axis, keepdim=True)
    sizes = [n if axis in varying else 1 for axis, n in zip(grid.axes, grid.out, strict=True)]
    seen = seen.expand(*seen.shape[:-number], *sizes).reshape(-1, math.prod(sizes))
    in_grid = _numbers_in_grid(grid, varying)
    if grid.rows is None and not _is_faster(grid, varying, float(seen.float().mean())):
        return None
    kept = [one.nonzero().flatten() for one in seen]
    repeated = grid.rows is not None and len(set(grid.rows)) < len(grid.rows)
    return Lines(varying, tuple((in_grid[places], places) for places in kept), repeated)


def _is_faster(grid: Grid, first: tuple[int, ...], share: float) -> bool:
    """True if lines are faster than the whole grid: one-dimensional transforms, times sizes.

    Args:
        grid: the constants.
        first: the axes that number the lines.
        share: of the lines that are measured.
    """
    rest = [axis for axis in grid.axes if axis not in first]
    lines = math.prod(grid.encoded[axis] for axis in first)
    before = lines * math.prod(grid.shape[axis] for axis in rest) * len(first)
    on_lines = share * math.prod(grid.encoded) * len(rest)
    across = 1 if first[-1] == -1 else _ACROSS
    return across * before + on_lines < math.prod(grid.encoded) * len(grid.axes)


def _is_constant(mask: Tensor, axis: int) -> bool:
    return mask.shape[axis] == 1 or bool((mask == mask.narrow(axis, 0, 1)).all())


def _numbers_in_grid(grid: Grid, axes: tuple[int, ...]) -> Tensor:
    """For every line of the data its number in the grid."""
    numbers = torch.zeros(1, dtype=torch.int64)
    for axis in axes:
        rows = grid.rows if axis == grid.row_axis and grid.rows is not None else None
        along = torch.arange(grid.encoded[axis]) if rows is None else torch.tensor(rows)
        numbers = (numbers[:, None] * grid.encoded[axis] + along).flatten()
    return numbers
