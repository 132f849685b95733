"""Voxel-driven backprojection with bilinear interpolation on the detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from learnedrecon.kernels import voxels
from learnedrecon.kernels.voxel_geometry import VoxelGeometry
from learnedrecon.operators.ray.geometry3d import ConeBeam

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.ray.geometry3d import RotatingBeam3D


class VoxelBackprojection:
    """b(x) = Σ_θ U_θ(x)⁻² q_θ(s_θ(x)), a kernel for :func:`operators.autograd.apply_kernel`.

    s_θ(x) is where the ray through x meets the panel; q_θ is interpolated bilinearly between the
    detector pixels and falls to 0 one pitch beyond them. For a cone beam U = (distance of x from
    the source along the central ray) / (source to axis); for parallel beams U = 1. In one plane it
    is :class:`learnedrecon.solvers.direct.backprojection.Backprojection`. Memory is that of the
    volume and twice the data.

    Args:
        geometry: Geometry of a circular scan.

    Shapes: (..., angle, row, column) to (..., nz, ny, nx), and back for the transpose.
    """

    def __init__(self, geometry: RotatingBeam3D) -> None:
        self.geometry = _placed(geometry)

    def forward(self, v: Tensor) -> Tensor:
        """The backprojection Σ_θ U⁻² q_θ(s_θ(x))."""
        return voxels.backproject(v, self.geometry)

    def adjoint(self, u: Tensor) -> Tensor:
        """The exact transpose of :meth:`forward`."""
        return voxels.project(u, self.geometry)


def _placed(scan: RotatingBeam3D) -> VoxelGeometry:
    panel, (dv, du), (dz, dy, dx) = scan.detector, scan.detector.pitches, scan.pixel
    theta = np.asarray(scan.angle_values, dtype=np.float64)
    cos, sin, nearer = np.cos(theta), np.sin(theta), 0.0
    if isinstance(scan, ConeBeam):
        nearer = 1 / scan.source_origin
    along = scan.magnification / du
    return VoxelGeometry(
        views=np.stack([along * cos, along * sin, -nearer * sin, nearer * cos], axis=1),
        detectors=(panel.rows, panel.columns),
        shape=scan.shape,
        pixel=(dy, dx),
        centre=(
            panel.vertical_offset / dv + (panel.rows - 1) / 2 + 1,
            panel.axis_offset / du + (panel.columns - 1) / 2 + 1,
        ),
        rise=scan.magnification * dz / dv,
        bottom=-(scan.shape[0] - 1) / 2 - scan.height / dz,
    )
