"""Voxel-driven backprojection in plain PyTorch, for tests and where there is no compiled kernel.

The detector column of a voxel depends on its x and y only, and the row is linear in z: a block of
(x, y) is interpolated across columns first, and then along them. Memory is that of the volume, the
data, and one block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from learnedrecon.kernels.voxel_geometry import VoxelGeometry

_BLOCK = 1 << 18
_BLOCK_OF_ACCELERATORS = 1 << 24


class Taps(NamedTuple):
    """Detector positions of the voxels above some (x, y) in one view, with interpolation weights.

    Attributes:
        columns: Indices of the columns.
        shares: Interpolation weights of the columns.
        rows: Indices of the rows.
        fractions: Interpolation weights of the rows.
    """

    columns: Tensor
    """(pixel, 2)."""
    shares: Tensor
    """(pixel, 2), of the two columns, times the weight."""
    rows: Tensor
    """(pixel, nz), the lower one."""
    fractions: Tensor
    """(pixel, nz), the share of the upper one."""


def gather(stack: Tensor, geometry: VoxelGeometry) -> Tensor:
    """The backprojection of extended detector data.

    Args:
        stack: Data (angles, columns + 2, batch, rows + 2), float32 or float64.
        geometry: Detector positions of the voxels.

    Returns:
        Volumes (batch, nz, ny, nx).
    """
    nz, ny, nx = geometry.shape
    angles, _, batch, height = stack.shape
    volume = stack.new_empty(batch, nz, ny * nx)
    tables = stack.flatten(2)
    for pixels in _blocks(geometry, batch, stack.device):
        total = stack.new_zeros(len(pixels), batch, nz)
        for view in range(angles):
            taps = _taps(geometry, view, pixels, stack.dtype)
            lines = torch.nn.functional.embedding_bag(
                taps.columns, tables[view], mode="sum", per_sample_weights=taps.shares
            ).view(-1, batch, height)
            lower = taps.rows[:, None].expand(-1, batch, -1)
            below, above = lines.gather(2, lower), lines.gather(2, lower + 1)
            total += torch.lerp(below, above, taps.fractions[:, None])
        volume[..., pixels] = total.permute(1, 2, 0)
    return volume.view(batch, nz, ny, nx)


def scatter(volume: Tensor, geometry: VoxelGeometry) -> Tensor:
    """The transpose of :func:`gather`.

    Args:
        volume: Volumes (batch, nz, ny, nx).
        geometry: Detector positions of the voxels.

    Returns:
        Data (angles, columns + 2, batch, rows + 2).
    """
    flat, batch = volume.flatten(2), len(volume)
    rows, columns = geometry.detectors
    stack = volume.new_zeros(geometry.angles, columns + 2, batch, rows + 2)
    for pixels in _blocks(geometry, batch, volume.device):
        values = flat[..., pixels].permute(2, 0, 1)
        for view in range(geometry.angles):
            taps = _taps(geometry, view, pixels, volume.dtype)
            lines = volume.new_zeros(len(pixels), batch, rows + 2)
            lower = taps.rows[:, None].expand_as(values)
            upper = values * taps.fractions[:, None]
            lines.scatter_add_(2, lower, values - upper).scatter_add_(2, lower + 1, upper)
            for side in (0, 1):
                shares = taps.shares[:, side, None, None]
                stack[view].index_add_(0, taps.columns[:, side], shares * lines)
    return stack


def _blocks(geometry: VoxelGeometry, batch: int, device: torch.device) -> Iterator[Tensor]:
    """Indices of (x, y) pairs."""
    nz, ny, nx = geometry.shape
    limit = _BLOCK if device.type == "cpu" else _BLOCK_OF_ACCELERATORS
    size = max(1, limit // (nz * max(batch, 1)))
    yield from torch.arange(ny * nx, device=device).split(size)


def _taps(geometry: VoxelGeometry, view: int, pixels: Tensor, dtype: torch.dtype) -> Taps:
    (nz, ny, nx), (dy, dx) = geometry.shape, geometry.pixel
    rows, columns = geometry.detectors
    # MPS has no float64.
    wide = torch.float64 if pixels.device.type != "mps" else torch.float32
    y = (pixels // nx - (ny - 1) / 2).to(wide) * dy
    x = (pixels % nx - (nx - 1) / 2).to(wide) * dx
    along_x, along_y, depth_x, depth_y = geometry.views[view].tolist()
    depth = 1 / (1 + depth_x * x + depth_y * y)
    lower, fraction = _split((along_x * x + along_y * y) * depth + geometry.centre[1], columns)
    shares = torch.stack([1 - fraction, fraction], 1) * depth.square()[:, None]
    step = geometry.rise * depth
    first = (geometry.centre[0] + step * geometry.bottom).to(dtype)
    slices = torch.arange(nz, dtype=dtype, device=pixels.device)
    position = first[:, None] + step.to(dtype)[:, None] * slices
    return Taps(torch.stack([lower, lower + 1], 1), shares.to(dtype), *_split(position, rows))


def _split(position: Tensor, pixels: int) -> tuple[Tensor, Tensor]:
    """The pixel below a position, and the fraction beyond it; both ends are clamped."""
    position = position.clamp(0, pixels + 1)
    lower = position.floor().clamp_(max=pixels)
    return lower.long(), position - lower
