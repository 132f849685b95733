"""The ray transform of three-dimensional tomography."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from learnedrecon.kernels import joseph3d
from learnedrecon.operators.autograd import apply_kernel, apply_kernel_adjoint
from learnedrecon.operators.beam3d import Beam3D
from learnedrecon.operators.geometry_checks import require_kind
from learnedrecon.operators.lanczos import lanczos_norm, require_settled
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.geometry3d import Geometry3D

_logger = logging.getLogger("learnedrecon")


class RayTransform3D(LinearOperator):
    """Line integrals of a volume by Joseph's method, in mm times the unit of the volume.

    Each ray is sampled once per slice across the axis along which it moves most voxels, with
    bilinear interpolation between the four neighbouring voxels. The adjoint uses the same weights,
    so it is the exact transpose (Joseph, IEEE Trans. Med. Imaging 1(3), 1982). The plane of a
    circular cone beam is the two-dimensional :class:`RayTransform` of the fan beam.

    Args:
        geometry: a parallel or a cone beam, or poses; it is the whole configuration of this
            operator.
        dtype: float32 or float64, of the elements that the spaces make. The operator itself works
            in the precision of what it is given.

    Raises:
        GeometryError: not a three-dimensional geometry.

    A panel that covers less than half of the volume's shadow is allowed, and logged as a warning
    once.

    Shapes: volume (..., nz, ny, nx) to projections (..., angle, detector row, detector column).
    """

    row_axis = -3

    def __init__(self, geometry: Geometry3D, dtype: torch.dtype = torch.float32) -> None:
        require_kind(geometry, Beam3D, "RayTransform3D(ConeBeam(shape, angles, FlatPanel(...)))")
        _warn_of_a_small_panel(geometry.seen, geometry.shape, geometry.pixel, geometry.detector)
        super().__init__(Space(geometry.shape, dtype), Space(geometry.data_shape, dtype))
        self.geometry = geometry
        self.kernel = JosephKernel3D(geometry.rays())

    def evaluate(self, u: Tensor) -> Tensor:
        return apply_kernel(self.kernel, u)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return apply_kernel_adjoint(self.kernel, v)

    def restrict(self, rows: tuple[int, ...]) -> RayTransform3D:
        return RayTransform3D(self.geometry.subset(rows), self.domain.dtype)

    def compute_norm(self) -> float:
        """‖T‖ in mm, computed once per geometry, however many operators share it."""
        return _norm_of(self.geometry)

    def extra_repr(self) -> str:
        return f"{self.geometry!r:.500}"


class JosephKernel3D:
    """Joseph's method in three dimensions as a pair (T, T*) on plain tensors."""

    def __init__(self, rays: joseph3d.RayGeometry3D) -> None:
        self.rays = rays

    def forward(self, u: Tensor) -> Tensor:
        """T u."""
        return joseph3d.forward(u, self.rays)

    def adjoint(self, v: Tensor) -> Tensor:
        """T* v."""
        return joseph3d.adjoint(v, self.rays)


@lru_cache(maxsize=128)
def _warn_of_a_small_panel(
    seen: float, shape: tuple[int, int, int], pixel: tuple[float, float, float], detector: object
) -> None:
    """Once for each volume and panel, however many operators and subsets of angles there are."""
    if seen >= 0.5:
        return
    _logger.warning(
        "Expected a panel that covers most of the volume. Found one (%s) that covers %.0f %% of the"
        " volume's shadow (%s voxels of %s mm). What to do: compare the pitch, the offsets, the"
        " voxel size, and the order of rows and columns, all in mm.",
        detector,
        100 * seen,
        shape,
        pixel,
    )


@lru_cache(maxsize=128)
def _norm_of(geometry: Geometry3D) -> float:
    operator = RayTransform3D(geometry, torch.float64)
    return require_settled(lanczos_norm(operator), type(operator).__name__)
