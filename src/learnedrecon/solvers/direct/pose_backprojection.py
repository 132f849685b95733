"""Voxel-driven backprojection along poses that are given view by view."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from learnedrecon.solvers.direct.poses import spatial_poses

if TYPE_CHECKING:
    from learnedrecon.operators.ray.beam3d import RayVectors3D

_WIDE = torch.float64
_BILINEAR, _ZEROS = 0, 0


class PoseBackprojection:
    """b(x) = Σ_v scale_v·λ_v(x)⁻² q_v(s_v(x)).

    A kernel for :func:`operators.autograd.apply_kernel`. The projective map of every pose stands in
    place of that of the circle, otherwise it is
    :class:`learnedrecon.solvers.direct.voxel_backprojection.VoxelBackprojection`, and equal to
    rounding for the poses of an ideal circle. It runs view by view in PyTorch.

    Args:
        scan: Poses of a cone beam near a circle, see :mod:`learnedrecon.solvers.direct.poses`.

    Shapes: (..., angle, row, column) to (..., nz, ny, nx), and back for the transpose.
    """

    def __init__(self, scan: RayVectors3D) -> None:
        self.scan = scan
        poses = spatial_poses(scan)
        inverse = poses.inverse()
        constants = -np.einsum("vij,vj->vi", inverse, poses.origin)
        self._planes = torch.from_numpy(np.concatenate([inverse, constants[..., None]], axis=2))
        self._scale = poses.scale

    def forward(self, v: Tensor) -> Tensor:
        """Σ_v scale_v·λ⁻² q_v(s_v(x))."""
        data = v.reshape(-1, *self.scan.data_shape)
        volume = v.new_zeros(len(data), math.prod(self.scan.shape[:2]), self.scan.shape[2])
        for view in range(data.shape[1]):
            grid, scale = self._lookups(view, v)
            taken = torch.ops.aten.grid_sampler_2d(
                data[None, :, view], grid, _BILINEAR, _ZEROS, align_corners=False
            )
            volume.addcmul_(taken[0], scale)
        return volume.reshape(*v.shape[:-3], *self.scan.shape)

    def adjoint(self, u: Tensor) -> Tensor:
        """The exact transpose of :meth:`forward`."""
        volumes = u.reshape(1, -1, math.prod(self.scan.shape[:2]), self.scan.shape[2])
        angles, rows, columns = self.scan.data_shape
        data = u.new_empty(volumes.shape[1], angles, rows, columns)
        for view in range(angles):
            grid, scale = self._lookups(view, u)
            given, _ = torch.ops.aten.grid_sampler_2d_backward(
                volumes * scale,
                data[None, :, view],
                grid,
                _BILINEAR,
                _ZEROS,
                align_corners=False,
                output_mask=[True, False],
            )
            data[:, view] = given[0]
        return data.reshape(*u.shape[:-3], angles, rows, columns)

    def _lookups(self, view: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """The detector positions of the voxels, (1, nz·ny, nx, 2) in [-1, 1], and their factors."""
        share, column, row = (self._plane(coefficients) for coefficients in self._planes[view])
        share = share.reciprocal_()
        _, rows, columns = self.scan.data_shape
        places = [
            axis.mul_(share).mul_(2 / number).add_(1 / number - 1)
            for axis, number in ((column, columns), (row, rows))
        ]
        scale = share.square().mul_(float(self._scale[view]))
        return torch.stack(places, dim=-1)[None].to(like), scale.to(like)

    def _plane(self, coefficients: Tensor) -> Tensor:
        """c₀x + c₁y + c₂z + c₃ for every voxel, (nz·ny, nx)."""
        z, y, x = (
            (torch.arange(number, dtype=_WIDE) - (number - 1) / 2) * size
            for number, size in zip(self.scan.shape, self.scan.pixel, strict=True)
        )
        c = coefficients.tolist()
        lines = (c[2] * z + c[3])[:, None] + c[1] * y
        return lines.reshape(-1, 1) + c[0] * x
