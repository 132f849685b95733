"""Division of a Cartesian transform into blocks along the axes where its mask is constant."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.mri.cartesian_spec import Cartesian
    from learnedrecon.operators.mri.measured_lines import Grid


def grid_of_places(grid: Grid, axes: tuple[int, ...]) -> Grid:
    """Sizes of one block, with 1 for every divided axis.

    Args:
        grid: Sizes of the whole transform.
        axes: Divided axes, negative.
    """
    sizes = [
        tuple(1 if axis in axes else n for axis, n in zip(grid.axes, whole, strict=True))
        for whole in (grid.shape, grid.encoded)
    ]
    return grid._replace(shape=sizes[0], encoded=sizes[1])


def spec_of_places(spec: Cartesian, grid: Grid) -> Cartesian:
    """The scan of one block.

    Args:
        spec: Whole scan.
        grid: Result of :func:`grid_of_places`.
    """
    return replace(spec, shape=grid.shape, encoded=grid.encoded)


def mask_of_places(mask: Tensor | None, axes: tuple[int, ...]) -> Tensor | None:
    """The mask that all blocks share.

    Args:
        mask: Mask (..., *k-space or 1), constant along ``axes``, or None.
        axes: Divided axes, negative.
    """
    for axis in axes:
        mask = mask if mask is None else mask.narrow(axis, 0, 1)
    return mask


def maps_of_places(maps: Tensor | None, axes: tuple[int, ...], grid: Grid) -> Tensor | None:
    """Coil maps with the places along the divided axes as a leading axis.

    Args:
        maps: Maps (coil, *image) or (sample, 1, coil, *image), or None.
        axes: Divided axes, negative.
        grid: Result of :func:`grid_of_places`.

    Returns:
        Maps (place, coil, *grid.shape) or (sample, place, coil, *grid.shape), or None.
    """
    if maps is None:
        return None
    number = len(grid.shape) + 1
    if maps.ndim > number:
        maps = maps.squeeze(-number - 1)
    before = maps.ndim - number
    moved = maps.movedim(axes, tuple(range(before, before + len(axes))))
    lead = moved.shape[:before]
    return moved.reshape(*lead, -1, maps.shape[-number], *grid.shape)


def smooth_image(shape: tuple[int, ...]) -> Tensor:
    """A bump in the middle, whose spectrum lies within the few central points of k-space.

    Args:
        shape: Shape of the image.
    """
    bump = torch.ones((), dtype=torch.float64)
    for n in shape:
        line = torch.exp(-4.5 * torch.linspace(-1, 1, n, dtype=torch.float64) ** 2)
        bump = bump[..., None] * line
    return bump
