"""Joseph's ray transform in 2D in plain PyTorch, for tests and devices without compiled kernels.

P. M. Joseph, 'An improved algorithm for reprojecting rays through pixel images', IEEE TMI 1982.
A ray steps along the image axis in which it moves more (in pixels; rows if equal). In every step it
takes the linear interpolation of two neighbours along the other axis, times its length per step.
The image is zero outside.

Both functions loop over the angles and need memory for one of them; positions are computed in
float64 for every dtype of the image. They run on any device, and gradients flow through both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from learnedrecon.kernels.geometry import RayGeometry2D, RayTable


class Taps(NamedTuple):
    """The matrix entries of some rays of one angle.

    Attributes:
        rays: Indices of the rays.
        pixels: Indices of the pixels.
        weights: Values of the entries.
    """

    rays: Tensor
    """(rays,) detector pixels."""
    pixels: Tensor
    """(2, steps, rays) indices into the flat image."""
    weights: Tensor
    """(2, steps, rays), zero where a tap is outside the image."""


def forward(image: Tensor, geometry: RayGeometry2D) -> Tensor:
    """Line integrals of images along rays.

    Args:
        image: Images (*lead, ny, nx), float32 or float64.
        geometry: Rays of the scan.

    Returns:
        Data (*lead, angles, detectors) in mm times the unit of the image.
    """
    flat = image.flatten(-2)
    rows = []
    for taps in _angles(geometry, image):
        row = flat.new_zeros((*flat.shape[:-1], geometry.detectors))
        for part in taps:
            values = (flat[..., part.pixels] * part.weights).sum(dim=(-3, -2))
            row = row.index_add(-1, part.rays, values)
        rows.append(row)
    if not rows:
        return flat.new_zeros((*flat.shape[:-1], 0, geometry.detectors))
    return torch.stack(rows, dim=-2)


def adjoint(data: Tensor, geometry: RayGeometry2D) -> Tensor:
    """The transpose of `forward`.

    Args:
        data: Data (*lead, angles, detectors), float32 or float64.
        geometry: Rays of the scan.

    Returns:
        Images (*lead, ny, nx).
    """
    ny, nx = geometry.shape
    flat = data.new_zeros((*data.shape[:-2], ny * nx))
    for angle, taps in enumerate(_angles(geometry, data)):
        for part in taps:
            values = data[..., angle, part.rays][..., None, None, :] * part.weights
            flat = flat.index_add(-1, part.pixels.flatten(), values.flatten(-3))
    return flat.unflatten(-1, (ny, nx))


def _angles(geometry: RayGeometry2D, like: Tensor) -> Iterator[list[Taps]]:
    """The taps of every angle: rays along rows, rays along columns."""
    table = geometry.table()
    for angle in range(geometry.angles):
        parts = []
        for by_rows in (True, False):
            rays = np.flatnonzero(table.by_rows[angle] == by_rows)
            if rays.size:
                parts.append(_taps(table, geometry, angle, rays, like))
        yield parts


def _taps(
    table: RayTable, geometry: RayGeometry2D, angle: int, rays: NDArray[np.intp], like: Tensor
) -> Taps:
    (ny, nx) = geometry.shape
    by_rows = bool(table.by_rows[angle, rays[0]])
    steps, across = (ny, nx) if by_rows else (nx, ny)
    step_stride, across_stride = (nx, 1) if by_rows else (1, nx)
    # MPS has no float64.
    device = torch.device("cpu") if like.device.type == "mps" else like.device
    intercept, slope, weight = (
        torch.as_tensor(column[angle, rays], device=device)
        for column in (table.intercept, table.slope, table.weight)
    )
    step = torch.arange(steps, device=device)[:, None]
    position = (intercept + slope * step.double()).clamp(-2.0, across + 1.0)
    first = position.floor()
    fraction = position - first
    neighbours = torch.stack((first, first + 1)).long()
    inside = (neighbours >= 0) & (neighbours < across)
    weights = torch.stack((1 - fraction, fraction)) * weight * inside
    pixels = step * step_stride + neighbours.clamp(0, across - 1) * across_stride
    return Taps(
        torch.as_tensor(rays, device=like.device),
        pixels.to(like.device),
        weights.to(like.dtype).to(like.device),
    )
