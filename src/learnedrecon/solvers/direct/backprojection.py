"""Pixel-driven backprojection with linear interpolation on the detector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.compiling import constant
from learnedrecon.operators.ray.geometry2d import FanBeam
from learnedrecon.solvers.direct.views import widened

if TYPE_CHECKING:
    from learnedrecon.operators.ray.geometry2d import Geometry

_LOOKUPS = 1 << 21


class Backprojection:
    """b(x) = Σ_θ U_θ(x)⁻² q_θ(s_θ(x)), a kernel for :func:`operators.autograd.apply_kernel`.

    s_θ(x) is where the ray through x meets the detector; q_θ is interpolated linearly between the
    detector pixels and falls to 0 one pitch beyond them. For a fan beam U = (distance of x from the
    source along the central ray) / (source to axis); for parallel beams U = 1. It is not the
    transpose of the ray transform, which is ray-driven.

    The weights are computed in blocks of views of a fixed size, so memory does not grow with the
    number of views; those of scans that fit into one block are stored for the next call.

    Args:
        geometry: Geometry of the scan.
        added: Number of pixels of the data before the first and after the last one of the detector.

    Shapes: (..., angle, detector) to (..., ny, nx), and back for the transpose.
    """

    def __init__(self, geometry: Geometry, added: tuple[int, int] = (0, 0)) -> None:
        self.geometry = geometry
        self.added = added
        angles, detectors = geometry.data_shape
        self.data_shape = angles, detectors + sum(added)

    def forward(self, v: Tensor) -> Tensor:
        """The backprojection Σ_θ U⁻² q_θ(s_θ(x))."""
        geometry = self.geometry
        stack = _edged(v.reshape(-1, *self.data_shape))
        angles, _, batch = stack.shape
        image = stack.new_zeros(math.prod(geometry.shape), batch)
        for first, last in self._blocks(angles):
            index, weight = self._lookups(first, last, v.dtype, v.device)
            table = stack[first:last].reshape(-1, batch)
            image += torch.nn.functional.embedding_bag(
                index, table, mode="sum", per_sample_weights=weight
            )
        return image.T.reshape(*v.shape[:-2], *geometry.shape)

    def adjoint(self, u: Tensor) -> Tensor:
        """The exact transpose of :meth:`forward`."""
        geometry = self.geometry
        images = u.reshape(-1, math.prod(geometry.shape)).T
        angles, detectors = self.data_shape
        parts = []
        for first, last in self._blocks(angles):
            index, weight = self._lookups(first, last, u.dtype, u.device)
            table = u.new_zeros((last - first) * (detectors + 2), images.shape[1])
            for column in range(index.shape[1]):
                table.index_add_(0, index[:, column], weight[:, column, None] * images)
            parts.append(table.view(last - first, detectors + 2, -1)[:, 1:-1])
        return torch.cat(parts).permute(2, 0, 1).reshape(*u.shape[:-2], angles, detectors)

    def _blocks(self, angles: int) -> list[tuple[int, int]]:
        size = max(1, _LOOKUPS // (2 * math.prod(self.geometry.shape)))
        return [(first, min(first + size, angles)) for first in range(0, angles, size)]

    def _lookups(
        self, first: int, last: int, dtype: torch.dtype, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        whole = last - first == self.geometry.data_shape[0]
        compute = _kept_lookups if whole else _lookups
        return compute(self.geometry, self.added, (first, last), dtype, device)


def _lookups(
    geometry: Geometry,
    added: tuple[int, int],
    views: tuple[int, int],
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Rows of the table of these views for every pixel, and their weights, (pixel, 2·view)."""
    geometry = widened(geometry, added)
    position, scale = _positions(geometry, views, dtype, device)
    width = geometry.detector.pixels + 2
    position = (position + 1).clamp_(0, width - 1)
    lower = position.floor().clamp_(max=width - 2)
    fraction = position - lower
    index = lower.int() + width * torch.arange(len(position[0, 0]), device=device).int()
    weight = torch.stack([1 - fraction, fraction], dim=-1)
    if scale is not None:
        weight *= scale[..., None]
    pixels = math.prod(geometry.shape)
    return torch.stack([index, index + 1], -1).view(pixels, -1), weight.view(pixels, -1)


_kept_lookups = constant(maxsize=4)(_lookups)


def _positions(
    geometry: Geometry, views: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """Detector positions in pixels, (ny, nx, view), and U⁻² or None where it is 1."""
    (ny, nx), (dy, dx) = geometry.shape, geometry.pixel
    wide = torch.float64
    y = (torch.arange(ny, dtype=wide) - (ny - 1) / 2)[:, None] * dy
    x = (torch.arange(nx, dtype=wide) - (nx - 1) / 2)[:, None] * dx
    theta = torch.tensor(geometry.angle_values[slice(*views)], dtype=wide)
    detector = geometry.detector
    centre = detector.axis_offset / detector.pitch + (detector.pixels - 1) / 2

    def plane(along_y: Tensor, along_x: Tensor, constant: float) -> Tensor:
        return (y * along_y + constant).to(device, dtype)[:, None] + (x * along_x).to(device, dtype)

    cos, sin = theta.cos(), theta.sin()
    if not isinstance(geometry, FanBeam):
        return plane(sin / detector.pitch, cos / detector.pitch, centre), None
    distance = geometry.source_origin
    depth = plane(cos / distance, -sin / distance, 1.0).reciprocal_()
    pitch = detector.pitch / geometry.magnification
    return plane(sin / pitch, cos / pitch, 0.0).mul_(depth).add_(centre), depth.square()


def _edged(v: Tensor) -> Tensor:
    """(batch, angle, detector) to (angle, detector + 2, batch), with 0 beyond either end."""
    return torch.nn.functional.pad(v, (1, 1)).permute(1, 2, 0).contiguous()
