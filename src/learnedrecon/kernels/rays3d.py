"""The ray transform in 3D for poses in a tensor, as `learnedrecon.kernels.joseph` has it in 2D."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learnedrecon.kernels import joseph3d
from learnedrecon.kernels.geometry3d import RayGeometry3D

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.kernels.sizes import Sizes


def project(volume: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
    """Integrates volumes along rays.

    Args:
        volume: (*lead, nz, ny, nx), float32 or float64.
        vectors: (angles, 12) float64 as in :class:`RayGeometry3D`.
        sizes: of the scan.

    Returns:
        (*lead, angles, rows, columns).
    """
    return joseph3d.forward(volume, _geometry(vectors, sizes))


def backproject(data: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
    """The exact transpose of `project`."""
    return joseph3d.adjoint(data, _geometry(vectors, sizes))


def _geometry(vectors: Tensor, sizes: Sizes) -> RayGeometry3D:
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
