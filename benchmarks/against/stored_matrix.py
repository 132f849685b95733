"""The ray transform as a stored matrix: two CSR matrices of torch, T and T*, with int32 indices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from learnedrecon.kernels.geometry import RayGeometry2D, RayTable

NAME = "stored matrix (torch CSR, int32)"


class StoredMatrix:
    """T and T*, each in the order in which it is read.

    Args:
        rays: the scan; the entries are those of Joseph's method in float32.
    """

    def __init__(self, rays: RayGeometry2D) -> None:
        self.shape = rays.shape
        self.data_shape = (rays.angles, rays.detectors)
        forward = _assembled(rays)
        self._adjoint = _to_torch(forward.tocsc().T)
        self._forward = _to_torch(forward)

    def forward(self, image: Tensor) -> Tensor:
        """(ny, nx) to (angles, detectors)."""
        return torch.mv(self._forward, image.flatten()).reshape(self.data_shape)

    def adjoint(self, data: Tensor) -> Tensor:
        """(angles, detectors) to (ny, nx)."""
        return torch.mv(self._adjoint, data.flatten()).reshape(self.shape)

    @property
    def bytes(self) -> int:
        """Of both matrices."""
        return sum(
            part.numel() * part.element_size()
            for matrix in (self._forward, self._adjoint)
            for part in (matrix.values(), matrix.col_indices(), matrix.crow_indices())
        )


def _assembled(rays: RayGeometry2D) -> scipy.sparse.csr_array:
    """The matrix, angle by angle; each angle goes to its place, so that nothing is held twice."""
    table = rays.table()
    counts = [_angle(table, rays, angle)[0] for angle in range(rays.angles)]
    pointers = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    pixels = np.empty(pointers[-1], np.int32)
    values = np.empty(pointers[-1], np.float32)
    at = 0
    for angle in range(rays.angles):
        _, where, what = _angle(table, rays, angle)
        pixels[at : at + where.size] = where
        values[at : at + where.size] = what
        at += where.size
    shape = (rays.angles * rays.detectors, rays.shape[0] * rays.shape[1])
    return scipy.sparse.csr_array((values, pixels, pointers.astype(np.int32)), shape=shape)


def _angle(
    table: RayTable, rays: RayGeometry2D, angle: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Entries in each ray of an angle, their pixels, and their values."""
    ny, nx = rays.shape
    by_rows = table.by_rows[angle][:, None]
    step = np.arange(max(ny, nx))
    position = table.intercept[angle][:, None] + table.slope[angle][:, None] * step
    first = np.floor(position)
    fraction = position - first
    across = np.stack([first, first + 1], axis=2).astype(np.int64)
    weights = np.stack([1 - fraction, fraction], axis=2) * table.weight[angle][:, None, None]
    limit = np.where(by_rows, nx, ny)[:, :, None]
    inside = (across >= 0) & (across < limit) & (weights > 0)
    inside &= (step < np.where(by_rows, ny, nx))[:, :, None]
    along = step[None, :, None]
    pixels = np.where(by_rows[:, :, None], along * nx + across, across * nx + along)
    return inside.sum(axis=(1, 2)), pixels[inside], weights[inside]


def _to_torch(matrix: scipy.sparse.csr_array) -> Tensor:
    return torch.sparse_csr_tensor(
        torch.from_numpy(matrix.indptr.astype(np.int32, copy=False)),
        torch.from_numpy(matrix.indices.astype(np.int32, copy=False)),
        torch.from_numpy(matrix.data),
        size=matrix.shape,
    )
