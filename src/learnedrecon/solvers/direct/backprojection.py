"""Pixel-driven backprojection with linear interpolation on the detector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from learnedrecon.compiling import constant, open_function
from learnedrecon.operators.ray.beam2d import RayVectors2D
from learnedrecon.operators.ray.curved import CurvedFanBeam
from learnedrecon.operators.ray.geometry2d import Beam, FanBeam, ParallelBeam
from learnedrecon.solvers.direct.poses import lengthened, planar_poses
from learnedrecon.solvers.direct.views import widened

if TYPE_CHECKING:
    from learnedrecon.operators.ray.planar import PlanarGeometry, RotatingGeometry
    from learnedrecon.solvers.direct.views import FloatArray

_LOOKUPS = 1 << 21
_WIDE = torch.float64


class Backprojection:
    """b(x) = Σ_θ U_θ(x)⁻² q_θ(s_θ(x)), a kernel for :func:`operators.autograd.apply_kernel`.

    s_θ(x) is where the ray through x meets the detector; q_θ is interpolated linearly between the
    detector pixels and falls to 0 one pitch beyond them. For a fan beam U = (distance of x from the
    source along the central ray, for an arc along its own ray) / (source to axis); for parallel
    beams U = 1. It is not the transpose of the ray transform, which is ray-driven.

    The weights are computed in blocks of views of a fixed size, so memory does not grow with the
    number of views; those of scans that fit into one block are stored for the next call.

    Args:
        geometry: Geometry of the scan.
        added: Number of pixels of the data before the first and after the last one of the detector.

    Shapes: (..., angle, detector) to (..., ny, nx), and back for the transpose.
    """

    def __init__(self, geometry: PlanarGeometry, added: tuple[int, int] = (0, 0)) -> None:
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
    geometry: PlanarGeometry,
    added: tuple[int, int],
    views: tuple[int, int],
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Rows of the table of these views for every pixel, and their weights, (pixel, 2·view)."""
    geometry = _longer(geometry, added)
    position, scale = _positions(geometry, _Grid(geometry, views, dtype, device))
    width = geometry.data_shape[1] + 2
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


class _Grid:
    """The pixels of a scan, and functions on them for all views, (ny, nx, view)."""

    def __init__(
        self,
        geometry: PlanarGeometry,
        views: tuple[int, int],
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        (ny, nx), (dy, dx) = geometry.shape, geometry.pixel
        self.views = slice(*views)
        self._y = (torch.arange(ny, dtype=_WIDE) - (ny - 1) / 2)[:, None] * dy
        self._x = (torch.arange(nx, dtype=_WIDE) - (nx - 1) / 2)[:, None] * dx
        self._dtype, self._device = dtype, device

    def plane(self, along_y: Tensor, along_x: Tensor, constant: Tensor | float) -> Tensor:
        """y·along_y + x·along_x + constant, each (view,) and float64."""
        rows, columns = self._y * along_y + constant, self._x * along_x
        return rows.to(self._device, self._dtype)[:, None] + columns.to(self._device, self._dtype)

    def frame(self, geometry: RotatingGeometry) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the angles."""
        theta = torch.tensor(geometry.angle_values[self.views], dtype=_WIDE)
        return theta.cos(), theta.sin()


@open_function
def _positions(geometry: PlanarGeometry, grid: _Grid) -> tuple[Tensor, Tensor | None]:
    """Detector positions in pixels, (ny, nx, view), and U⁻² or None where it is 1."""
    raise NotImplementedError(type(geometry).__name__)


@_positions.register(ParallelBeam)
def _(geometry: ParallelBeam, grid: _Grid) -> tuple[Tensor, Tensor | None]:
    pitch = geometry.detector.pitch
    cos, sin = grid.frame(geometry)
    return grid.plane(sin / pitch, cos / pitch, _centre(geometry)), None


@_positions.register(FanBeam)
def _(geometry: FanBeam, grid: _Grid) -> tuple[Tensor, Tensor | None]:
    cos, sin = grid.frame(geometry)
    distance, pitch = geometry.source_origin, geometry.detector.pitch / geometry.magnification
    depth = grid.plane(cos / distance, -sin / distance, 1.0).reciprocal_()
    position = grid.plane(sin / pitch, cos / pitch, 0.0).mul_(depth).add_(_centre(geometry))
    return position, depth.square()


@_positions.register(CurvedFanBeam)
def _(geometry: CurvedFanBeam, grid: _Grid) -> tuple[Tensor, Tensor | None]:
    """U = (distance of the pixel from the source) / (source to axis)."""
    cos, sin = grid.frame(geometry)
    distance = geometry.source_origin
    depth = grid.plane(cos / distance, -sin / distance, 1.0)
    beside = grid.plane(sin / distance, cos / distance, 0.0)
    position = torch.atan2(beside, depth).div_(geometry.detector.pitch).add_(_centre(geometry))
    return position, (depth.square() + beside.square()).reciprocal_()


@_positions.register(RayVectors2D)
def _(geometry: RayVectors2D, grid: _Grid) -> tuple[Tensor, Tensor | None]:
    """U = λ for fans, see :class:`learnedrecon.solvers.direct.poses.Poses`."""
    poses = planar_poses(geometry)
    inverse, origin = poses.inverse()[grid.views], poses.origin[grid.views]
    constants = -np.einsum("vij,vj->vi", inverse, origin)
    share, column = (
        grid.plane(*(torch.from_numpy(part[:, i]) for part in (*_yx(inverse), constants)))
        for i in (0, 1)
    )
    if not len(poses.scale):
        return column, None
    share = share.reciprocal_()
    scale = torch.from_numpy(poses.scale[grid.views]).to(share)
    return column.mul_(share), share.square().mul_(scale)


def _yx(inverse: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Factors of y and x in rows of a matrix, (view, row)."""
    return inverse[:, :, 1], inverse[:, :, 0]


@open_function
def _longer(geometry: PlanarGeometry, added: tuple[int, int]) -> PlanarGeometry:
    """The scan with more detector pixels at either end."""
    raise NotImplementedError(type(geometry).__name__)


@_longer.register(Beam)
def _(geometry: RotatingGeometry, added: tuple[int, int]) -> RotatingGeometry:
    return widened(geometry, added)


@_longer.register(RayVectors2D)
def _(geometry: RayVectors2D, added: tuple[int, int]) -> RayVectors2D:
    return lengthened(geometry, added)


def _centre(geometry: RotatingGeometry) -> float:
    """The position of the axis on the detector, in pixels."""
    detector = geometry.detector
    return detector.axis_offset / detector.pitch + (detector.pixels - 1) / 2


def _edged(v: Tensor) -> Tensor:
    """(batch, angle, detector) to (angle, detector + 2, batch), with 0 beyond either end."""
    return torch.nn.functional.pad(v, (1, 1)).permute(1, 2, 0).contiguous()
