"""Derivatives of line integrals in the vectors of a two-dimensional scan, on plain tensors.

The formulas are explicit, as `torch.autograd` does not run inside of operators of `torch.library`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from learnedrecon.errors import GeometryError, describe
from learnedrecon.kernels.moments import Lines, moments

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.kernels.sizes import Sizes


class _Rays(NamedTuple):
    """All (angles, detectors). The walk is the axis of a ray's steps, the cross axis the other."""

    lines: Lines
    along: Tensor
    """The component of the ray's direction along its main axis, in pixels."""
    walk: Tensor
    """The position of the detector pixel on the main axis, in pixels."""
    stretch: Tensor
    """∂weight/∂slope."""


def gradient(image: Tensor, data: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
    """∂⟨Tu, v⟩/∂vectors, which is ∂⟨u, T*v⟩/∂vectors too, summed over a batch.

    Args:
        image: u, (batch, ny, nx).
        data: v, (batch, angles, detectors).
        vectors: Poses, (angles, 6) float64.
        sizes: Sizes and constants of the scan.

    Returns:
        Gradient (angles, 6) float64, on the device of the vectors.

    Raises:
        GeometryError: The scan is three-dimensional.
    """
    rays = _rays_of(vectors, sizes)
    weight, sums = rays.lines.weight, vectors.new_zeros((3, *rays.walk.shape))
    for u, v in zip(image, data, strict=True):
        sums += (moments(u, rays.lines) * v).to(vectors.device)
    of_intercept, of_slope, of_weight = weight * sums[0], weight * sums[1], sums[2]
    of_slope = of_slope - rays.walk * of_intercept + rays.stretch * of_weight
    turns, shifts = _partials(rays, sizes)
    pulled = turns * of_slope
    pulled[:2] += shifts * of_intercept
    d = torch.arange(weight.shape[1], dtype=vectors.dtype, device=vectors.device)
    centre, first, step = pulled[:2].sum(-1), pulled[2:].sum(-1), (pulled[:2] * d).sum(-1)
    return torch.cat([first, centre, step]).T


def tangent(image: Tensor, vectors: Tensor, direction: Tensor, sizes: Sizes) -> Tensor:
    """The derivative of Tu along a direction in the vectors.

    Args:
        image: u, (batch, ny, nx).
        vectors: Poses, (angles, 6) float64.
        direction: Direction in the vectors, (angles, 6) float64.
        sizes: Sizes and constants of the scan.

    Returns:
        Derivative (batch, angles, detectors), of the dtype of the image.

    Raises:
        GeometryError: The scan is three-dimensional.
    """
    rays = _rays_of(vectors, sizes)
    weight = rays.lines.weight
    d = torch.arange(weight.shape[1], dtype=vectors.dtype, device=vectors.device)
    first, pixel, step = direction.T[:, :, None].split(2)
    centre = pixel + d * step
    turns, shifts = _partials(rays, sizes)
    slope = (turns * torch.cat([centre, first.expand_as(centre)])).sum(0)
    intercept = (shifts * centre).sum(0) - rays.walk * slope
    pushed = torch.stack([weight * intercept, weight * slope, rays.stretch * slope])
    pushed = pushed.to(image.device)
    data = image.new_empty((len(image), *weight.shape))
    for u, values in zip(image, data, strict=True):
        values.copy_((moments(u, rays.lines) * pushed).sum(0))
    return data


def _rays_of(vectors: Tensor, sizes: Sizes) -> _Rays:
    """The expressions are those of `RayGeometry2D.table`, in the same order."""
    if len(sizes.shape) != 2:
        raise GeometryError(
            describe(
                expected="a scan in two dimensions for derivatives in its geometry",
                found=f"images of shape {sizes.shape}",
                fix="detach the tensors of this geometry",
            )
        )
    (ny, nx), (dy, dx), (detectors,) = sizes.shape, sizes.pixel, sizes.detectors
    d = torch.arange(detectors, dtype=vectors.dtype, device=vectors.device)
    first_x, first_y, pixel_x, pixel_y, step_x, step_y = vectors.detach().T[:, :, None]
    centre_x, centre_y = pixel_x + d * step_x, pixel_y + d * step_y
    along_x = (centre_x - first_x if sizes.diverging else first_x.expand_as(centre_x)) / dx
    along_y = (centre_y - first_y if sizes.diverging else first_y.expand_as(centre_y)) / dy
    index_x, index_y = centre_x / dx + 0.5 * (nx - 1), centre_y / dy + 0.5 * (ny - 1)
    by_rows = along_y.abs() >= along_x.abs()
    along, across = along_y.where(by_rows, along_x), along_x.where(by_rows, along_y)
    walk, cross = index_y.where(by_rows, index_x), index_x.where(by_rows, index_y)
    slope = across / along
    run, size = _walk_and_cross(by_rows, dy, dx)
    rise = slope * size
    weight = (run * run + rise * rise).sqrt()
    lines = Lines(by_rows, cross - slope * walk, slope, weight)
    return _Rays(lines, along, walk, rise * size / weight)


def _walk_and_cross(by_rows: Tensor, dy: float, dx: float) -> tuple[Tensor, Tensor]:
    """The pixel sizes of the two axes, (angles, detectors)."""
    y, x = (torch.full_like(by_rows, size, dtype=torch.float64) for size in (dy, dx))
    return y.where(by_rows, x), x.where(by_rows, y)


def _partials(rays: _Rays, sizes: Sizes) -> tuple[Tensor, Tensor]:
    """Of the slope, and of the intercept where the slope is held.

    With the coordinates c of the cross axis and w of the walk in pixels, slope = direction_c /
    direction_w and intercept = centre_c - slope · centre_w. The direction is the first column of a
    parallel beam, and centre - first of a fan.

    Returns:
        (4, angles, detectors) in the centre x, centre y, first x, first y; and (2, angles,
        detectors) in the centre x, centre y.
    """
    by_rows, _, slope, _ = rays.lines
    walk_size, cross_size = _walk_and_cross(by_rows, *sizes.pixel)
    cross, walk = 1 / cross_size, -slope / walk_size
    shifts = torch.stack([cross.where(by_rows, walk), walk.where(by_rows, cross)])
    turns = shifts / rays.along
    if sizes.diverging:
        return torch.cat([turns, -turns]), shifts
    return torch.cat([torch.zeros_like(turns), turns]), shifts
