"""Joseph's ray transform in 3D in plain PyTorch, for tests and devices without compiled kernels.

P. M. Joseph, 'An improved algorithm for reprojecting rays through pixel images', IEEE TMI 1982. A
ray steps along the axis in which it moves most voxels. In every slice across that axis it takes the
bilinear interpolation of four neighbours, times its length per slice. The volume is zero outside.

Both functions loop over the angles, and over pieces of a large detector; positions are computed in
float64 for every dtype of the volume. They run on any device, and gradients flow through both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from learnedrecon.kernels.geometry3d import OTHERS, X, Y, Z

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from learnedrecon.kernels.geometry3d import RayGeometry3D, RayTable3D

_PIECE = 1 << 20
"""Samples whose taps are in memory at the same time."""


class Taps3D(NamedTuple):
    """The matrix entries of some rays of one angle.

    Attributes:
        rays: Indices of the rays.
        voxels: Indices of the voxels.
        weights: Values of the entries.
    """

    rays: Tensor
    """(rays,) indices into the flat detector."""
    voxels: Tensor
    """(4, steps, rays) indices into the flat volume."""
    weights: Tensor
    """(4, steps, rays), zero where a tap is outside the volume."""


def forward(volume: Tensor, geometry: RayGeometry3D) -> Tensor:
    """Line integrals of volumes along rays.

    Args:
        volume: Volumes (*lead, nz, ny, nx), float32 or float64.
        geometry: Rays of the scan.

    Returns:
        Data (*lead, angles, rows, columns) in mm times the unit of the volume.
    """
    flat = volume.flatten(-3)
    rows, columns = geometry.detectors
    views = []
    for angle in range(geometry.angles):
        view = flat.new_zeros((*flat.shape[:-1], rows * columns))
        for taps in _taps_of(geometry, angle, volume):
            values = (flat[..., taps.voxels] * taps.weights).sum(dim=(-3, -2))
            view = view.index_add(-1, taps.rays, values)
        views.append(view)
    if not views:
        return flat.new_zeros((*flat.shape[:-1], 0, rows, columns))
    return torch.stack(views, dim=-2).unflatten(-1, (rows, columns))


def adjoint(data: Tensor, geometry: RayGeometry3D) -> Tensor:
    """The transpose of `forward`.

    Args:
        data: Data (*lead, angles, rows, columns), float32 or float64.
        geometry: Rays of the scan.

    Returns:
        Volumes (*lead, nz, ny, nx).
    """
    views = data.flatten(-2)
    nz, ny, nx = geometry.shape
    flat = data.new_zeros((*data.shape[:-3], nz * ny * nx))
    for angle in range(geometry.angles):
        for taps in _taps_of(geometry, angle, data):
            values = views[..., angle, taps.rays][..., None, None, :] * taps.weights
            flat = flat.index_add(-1, taps.voxels.flatten(), values.flatten(-3))
    return flat.unflatten(-1, geometry.shape)


def _taps_of(geometry: RayGeometry3D, angle: int, like: Tensor) -> Iterator[Taps3D]:
    """The taps of one angle, in pieces that share a main axis."""
    table = geometry.table(slice(angle, angle + 1))
    axis = table.axis.reshape(-1)
    for main in (Z, Y, X):
        rays = np.flatnonzero(axis == main)
        size = max(_PIECE // geometry.shape[main], 1)
        for start in range(0, rays.size, size):
            yield _taps(table, geometry, main, rays[start : start + size], like)


def _taps(
    table: RayTable3D, geometry: RayGeometry3D, main: int, rays: NDArray[np.intp], like: Tensor
) -> Taps3D:
    # MPS has no float64.
    device = torch.device("cpu") if like.device.type == "mps" else like.device
    steps, strides = geometry.shape[main], _strides(geometry)
    step = torch.arange(steps, device=device)[:, None]
    voxels = [(step * strides[main]).expand(steps, len(rays))]
    weights = [torch.as_tensor(table.weight.reshape(-1)[rays], device=device).expand(steps, -1)]
    for k, other in enumerate(OTHERS[main]):
        size = geometry.shape[other]
        intercept, slope = (
            torch.as_tensor(column.reshape(-1, 2)[rays, k], device=device)
            for column in (table.intercept, table.slope)
        )
        position = (intercept + slope * step.double()).clamp(-2.0, size + 1.0)
        first = position.floor()
        fraction = position - first
        parts = [(first.long(), 1 - fraction), (first.long() + 1, fraction)]
        voxels = [v + i.clamp(0, size - 1) * strides[other] for v in voxels for i, _ in parts]
        weights = [w * p * ((i >= 0) & (i < size)) for w in weights for i, p in parts]
    return Taps3D(
        torch.as_tensor(rays, device=like.device),
        torch.stack(voxels).to(like.device),
        torch.stack(weights).to(like.dtype).to(like.device),
    )


def _strides(geometry: RayGeometry3D) -> tuple[int, int, int]:
    _, ny, nx = geometry.shape
    return ny * nx, nx, 1
