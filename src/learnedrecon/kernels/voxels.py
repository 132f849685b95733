"""Voxel-driven backprojection and its exact transpose, by the fastest available kernel.

CPU tensors go to the compiled kernels (cpp/voxels/), all others, or all of them where the
package was installed without a C++ compiler, to :mod:`learnedrecon.kernels.oracle_voxels`. Autograd
does not record these functions.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING

import torch

from learnedrecon.kernels import oracle_voxels
from learnedrecon.kernels.joseph import current_isa
from learnedrecon.kernels.voxel_geometry import VoxelGeometry

with suppress(ImportError):  # installed without a C++ compiler
    from learnedrecon.kernels import _joseph

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["VoxelGeometry", "backproject", "project"]


@torch.no_grad()
def backproject(data: Tensor, geometry: VoxelGeometry) -> Tensor:
    """The sum over the views of the data at every voxel's detector position, interpolated.

    Args:
        data: Data (*lead, angles, rows, columns), float32 or float64, on any device.
        geometry: Detector positions of the voxels.

    Returns:
        Volumes (*lead, nz, ny, nx) of the same dtype.

    Raises:
        ConfigError: LEARNEDRECON_SIMD names an instruction set that is not available.
    """
    lead = data.shape[:-3]
    batch = math.prod(lead)
    views = data.detach().reshape(batch, geometry.angles, *geometry.detectors)
    edged = torch.nn.functional.pad(views, (1, 1, 1, 1)).permute(1, 3, 0, 2).contiguous()
    if not _use_compiled(data):
        return oracle_voxels.gather(edged, geometry).reshape(*lead, *geometry.shape)
    volume = data.new_empty((batch, *geometry.shape))
    _joseph.gather_voxels(
        edged.numpy(), volume.numpy(), geometry.views, geometry.placement, torch.get_num_threads()
    )
    return volume.reshape(*lead, *geometry.shape)


@torch.no_grad()
def project(volume: Tensor, geometry: VoxelGeometry) -> Tensor:
    """The exact transpose of :func:`backproject`.

    Args:
        volume: Volumes (*lead, nz, ny, nx), float32 or float64, on any device.
        geometry: Detector positions of the voxels.

    Returns:
        Data (*lead, angles, rows, columns) of the same dtype.
    """
    lead, (rows, columns) = volume.shape[:-3], geometry.detectors
    batch = math.prod(lead)
    samples = volume.detach().reshape(batch, *geometry.shape).contiguous()
    if _use_compiled(volume):
        edged = volume.new_zeros((geometry.angles, columns + 2, batch, rows + 2))
        _joseph.scatter_voxels(
            samples.numpy(),
            edged.numpy(),
            geometry.views,
            geometry.placement,
            torch.get_num_threads(),
        )
    else:
        edged = oracle_voxels.scatter(samples, geometry)
    inner = edged[:, 1:-1, :, 1:-1].permute(2, 0, 3, 1)
    return inner.reshape(*lead, geometry.angles, rows, columns)


def _use_compiled(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and current_isa() is not None
