"""Joseph's ray transform in 3D and its exact transpose, by the fastest available kernel.

CPU tensors go to the compiled kernels (cpp/), CUDA tensors to those in Triton, all others, or all
of them where there are none, to `learnedrecon.kernels.oracle3d`. Autograd does not record these
functions. `learnedrecon.kernels.joseph.set_isa` sets their instruction set as well.
"""

from __future__ import annotations

import functools
import logging
import math
from typing import TYPE_CHECKING

import torch

from learnedrecon.errors import ShapeError, describe
from learnedrecon.kernels import joseph, oracle3d, triton3d
from learnedrecon.kernels.entries import check_entries
from learnedrecon.kernels.geometry3d import RayGeometry3D
from learnedrecon.kernels.sizes import Sizes
from learnedrecon.kernels.triton_launch import runs_on

try:
    from learnedrecon.kernels import _joseph
except ImportError:  # installed without a C++ compiler
    _compiled = False
else:
    _compiled = True

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RayGeometry3D", "adjoint", "backproject", "forward", "project"]

_MOST_VOXELS = 1 << 31
"""The compiled kernels count voxels in 32 bits."""

_logger = logging.getLogger("learnedrecon")


@torch.no_grad()
def forward(volume: Tensor, geometry: RayGeometry3D) -> Tensor:
    """Line integrals of volumes along the rays of a scan.

    Args:
        volume: Volumes (*lead, nz, ny, nx), float32 or float64, on any device.
        geometry: Rays of the scan.

    Returns:
        Data (*lead, angles, rows, columns) of the same dtype, in mm times the unit of the volume.

    Raises:
        DtypeError: The volume is neither float32 nor float64.
        ShapeError: The last three axes are not those of the geometry, or the volume has 2³¹ voxels.
        ConfigError: LEARNEDRECON_SIMD names an instruction set that is not available.
    """
    check_entries(volume, geometry.shape, "volume (*lead, nz, ny, nx)")
    if runs_on(volume.device):
        return triton3d.project(volume.detach(), torch.tensor(geometry.vectors), _sizes(geometry))
    if not _use_compiled(volume, geometry):
        return oracle3d.forward(volume.detach(), geometry)
    lead = volume.shape[:-3]
    batch = math.prod(lead)
    stack = volume.detach().reshape(batch, *geometry.shape).contiguous()
    data = volume.new_empty((batch, geometry.angles, *geometry.detectors))
    _joseph.forward3d(
        stack.numpy(),
        data.numpy(),
        geometry.vectors,
        geometry.cone,
        *geometry.pixel,
        torch.get_num_threads(),
    )
    return data.reshape(*lead, geometry.angles, *geometry.detectors)


@torch.no_grad()
def adjoint(data: Tensor, geometry: RayGeometry3D) -> Tensor:
    """The exact transpose of `forward`, backprojection along the rays.

    Args:
        data: Data (*lead, angles, rows, columns), float32 or float64, on any device.
        geometry: Rays of the scan.

    Returns:
        Volumes (*lead, nz, ny, nx) of the same dtype.

    Raises:
        DtypeError: The data are neither float32 nor float64.
        ShapeError: The last three axes are not those of the geometry, or the volume has 2³¹ voxels.
        ConfigError: LEARNEDRECON_SIMD names an instruction set that is not available.
    """
    check_entries(
        data, (geometry.angles, *geometry.detectors), "data (*lead, angles, rows, columns)"
    )
    if runs_on(data.device):
        return triton3d.backproject(data.detach(), torch.tensor(geometry.vectors), _sizes(geometry))
    if not _use_compiled(data, geometry):
        return oracle3d.adjoint(data.detach(), geometry)
    lead = data.shape[:-3]
    batch = math.prod(lead)
    stack = data.detach().reshape(batch, geometry.angles, *geometry.detectors).contiguous()
    volume = data.new_empty((batch, *geometry.shape))
    _joseph.adjoint3d(
        stack.numpy(),
        volume.numpy(),
        geometry.vectors,
        geometry.cone,
        *geometry.pixel,
        torch.get_num_threads(),
    )
    return volume.reshape(*lead, *geometry.shape)


def project(volume: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
    """`forward` without checks, for callers that have checked their arguments.

    Args:
        volume: Volumes (*lead, nz, ny, nx), float32 or float64.
        vectors: Poses (angles, 12), float64, as in :class:`RayGeometry3D`.
        sizes: Sizes and constants of the scan.

    Returns:
        Data (*lead, angles, rows, columns).
    """
    return forward(volume, _geometry_of(vectors, sizes))


def backproject(data: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
    """The exact transpose of `project`.

    Args:
        data: Data (*lead, angles, rows, columns), float32 or float64.
        vectors: Poses, as in `project`.
        sizes: Sizes and constants of the scan.
    """
    return adjoint(data, _geometry_of(vectors, sizes))


def _geometry_of(vectors: Tensor, sizes: Sizes) -> RayGeometry3D:
    rows, columns = sizes.detectors
    nz, ny, nx = sizes.shape
    dz, dy, dx = sizes.pixel
    return RayGeometry3D(
        vectors=vectors.detach().cpu().numpy(),
        cone=sizes.diverging,
        detectors=(rows, columns),
        shape=(nz, ny, nx),
        pixel=(dz, dy, dx),
    )


def _sizes(geometry: RayGeometry3D) -> Sizes:
    return Sizes(geometry.cone, geometry.detectors, geometry.shape, geometry.pixel)


def _use_compiled(tensor: Tensor, geometry: RayGeometry3D) -> bool:
    joseph.current_isa()  # heeds LEARNEDRECON_SIMD
    if tensor.device.type != "cpu":
        _notice(f"There is no compiled ray transform in 3D for {tensor.device.type!r} tensors")
        return False
    if not _compiled:
        _notice("The package was installed without a C++ compiler")
        return False
    if math.prod(geometry.shape) >= _MOST_VOXELS:
        raise ShapeError(
            describe(
                expected=f"a volume of less than {_MOST_VOXELS} voxels",
                found=f"shape {geometry.shape}",
                fix="split the volume into slabs and add their projections",
            )
        )
    return True


@functools.cache
def _notice(reason: str) -> None:
    """Logs once per reason."""
    _logger.warning("%s: the ray transform runs in plain PyTorch, which is slow.", reason)
