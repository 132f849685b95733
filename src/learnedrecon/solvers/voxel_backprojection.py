"""Voxel-driven backprojection: what a voxel receives from every view, bilinear in the detector."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from learnedrecon.operators.geometry3d import ConeBeam

if TYPE_CHECKING:
    from collections.abc import Iterator

    from learnedrecon.operators.geometry3d import RotatingBeam3D

_BLOCK = 1 << 18
_BLOCK_OF_ACCELERATORS = 1 << 24


class VoxelBackprojection:
    """b(x) = Σ_θ U_θ(x)⁻² q_θ(s_θ(x)), a kernel for :func:`operators.autograd.apply_kernel`.

    s_θ(x) is where the ray through x meets the panel; q_θ is interpolated bilinearly between the
    detector pixels and falls to 0 one pitch beyond them. For a cone beam U = (distance of x from
    the source along the central ray) / (source to axis); for parallel beams U = 1. In one plane it
    is :class:`learnedrecon.solvers.backprojection.Backprojection`.

    In a circular scan the column that a voxel meets depends on its x and y alone, and the row is
    linear in z: a block of (x, y) takes its columns first, and interpolates in them. Memory is that
    of the volume, the data, and one block.

    Args:
        geometry: of a circular scan.

    Shapes: (..., angle, row, column) to (..., nz, ny, nx), and back for the transpose.
    """

    def __init__(self, geometry: RotatingBeam3D) -> None:
        self.geometry = geometry

    def forward(self, v: Tensor) -> Tensor:
        """Σ_θ U⁻² q_θ(s_θ(x))."""
        geometry = self.geometry
        stack = _edged(v.reshape(-1, *geometry.data_shape))
        angles, width, batch, height = stack.shape
        nz, ny, nx = geometry.shape
        volume = v.new_empty(batch, nz, ny * nx)
        tables = stack.view(angles, width, batch * height)
        for pixels in self._blocks(batch, v.device):
            total = v.new_zeros(len(pixels), batch, nz)
            for view in range(angles):
                taps = self._taps(view, pixels, v.dtype)
                lines = torch.nn.functional.embedding_bag(
                    taps.columns, tables[view], mode="sum", per_sample_weights=taps.shares
                )
                total += _along_columns(lines.view(-1, batch, height), taps)
            volume[..., pixels] = total.permute(1, 2, 0)
        return volume.reshape(*v.shape[:-3], nz, ny, nx)

    def adjoint(self, u: Tensor) -> Tensor:
        """The exact transpose of :meth:`forward`."""
        nz, ny, nx = self.geometry.shape
        angles, rows, columns = self.geometry.data_shape
        volume = u.reshape(-1, nz, ny * nx)
        batch = len(volume)
        stack = u.new_zeros(angles, columns + 2, batch, rows + 2)
        for pixels in self._blocks(batch, u.device):
            values = volume[..., pixels].permute(2, 0, 1)
            for view in range(angles):
                taps = self._taps(view, pixels, u.dtype)
                lines = u.new_zeros(len(pixels), batch, rows + 2)
                lower = taps.rows[:, None].expand_as(values)
                upper = values * taps.fractions[:, None]
                lines.scatter_add_(2, lower, values - upper).scatter_add_(2, lower + 1, upper)
                for side in (0, 1):
                    shares = taps.shares[:, side, None, None]
                    stack[view].index_add_(0, taps.columns[:, side], shares * lines)
        inner = stack[:, 1:-1, :, 1:-1].permute(2, 0, 3, 1)
        return inner.reshape(*u.shape[:-3], angles, rows, columns)

    def _blocks(self, batch: int, device: torch.device) -> Iterator[Tensor]:
        """Indices of (x, y) pairs."""
        nz, ny, nx = self.geometry.shape
        limit = _BLOCK if device.type == "cpu" else _BLOCK_OF_ACCELERATORS
        size = max(1, limit // (nz * max(batch, 1)))
        yield from torch.arange(ny * nx, device=device).split(size)

    def _taps(self, view: int, pixels: Tensor, dtype: torch.dtype) -> Taps:
        geometry, panel = self.geometry, self.geometry.detector
        (nz, ny, nx), (dz, dy, dx) = geometry.shape, geometry.pixel
        dv, du = panel.pitches
        wide = torch.float64 if pixels.device.type != "mps" else torch.float32
        y = (pixels // nx - (ny - 1) / 2).to(wide) * dy
        x = (pixels % nx - (nx - 1) / 2).to(wide) * dx
        steps = torch.arange(nz, dtype=wide, device=pixels.device) - (nz - 1) / 2
        z = steps * dz - geometry.height
        theta = torch.tensor(geometry.angle_values[view], dtype=torch.float64)
        cos, sin = float(theta.cos()), float(theta.sin())
        scale, weight = torch.ones_like(x), torch.ones_like(x)
        if isinstance(geometry, ConeBeam):
            depth = 1 / (1 + (cos * y - sin * x) / geometry.source_origin)
            scale, weight = geometry.magnification * depth, depth.square()
        column = (sin * y + cos * x) * scale / du + _centre(panel.columns, panel.axis_offset, du)
        columns, fraction = _split(column, panel.columns)
        row = (scale / dv).to(dtype)[:, None] * z.to(dtype)
        rows, fractions = _split(row + _centre(panel.rows, panel.vertical_offset, dv), panel.rows)
        shares = torch.stack([(1 - fraction) * weight, fraction * weight], 1).to(dtype)
        return Taps(torch.stack([columns, columns + 1], 1), shares, rows, fractions)


class Taps(NamedTuple):
    """Where the voxels above some (x, y) meet the panel in one view, its edges counted as pixels.

    Attributes:
        columns: (pixel, 2).
        shares: of the two columns, times U⁻², (pixel, 2).
        rows: the lower one, (pixel, nz).
        fractions: the share of the upper one, (pixel, nz).
    """

    columns: Tensor
    shares: Tensor
    rows: Tensor
    fractions: Tensor


def _along_columns(lines: Tensor, taps: Taps) -> Tensor:
    """Interpolates (pixel, batch, row + 2) at the rows of the taps."""
    lower = taps.rows[:, None].expand(-1, lines.shape[1], -1)
    below, above = lines.gather(2, lower), lines.gather(2, lower + 1)
    return torch.lerp(below, above, taps.fractions[:, None])


def _centre(pixels: int, offset: float, pitch: float) -> float:
    """Where the central ray meets the detector, in pixels from the edge that is added below."""
    return offset / pitch + (pixels - 1) / 2 + 1


def _split(position: Tensor, pixels: int) -> tuple[Tensor, Tensor]:
    """The pixel below a position, and the fraction beyond it; both ends are clamped."""
    position = position.clamp(0, pixels + 1)
    lower = position.floor().clamp_(max=pixels)
    return lower.long(), position - lower


def _edged(v: Tensor) -> Tensor:
    """(batch, angle, row, column) to (angle, column + 2, batch, row + 2), 0 around the panel."""
    return torch.nn.functional.pad(v, (1, 1, 1, 1)).permute(1, 3, 0, 2).contiguous()
