"""The ray transform of two-dimensional tomography."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from learnedrecon.kernels import joseph
from learnedrecon.operators.autograd import apply_kernel, apply_kernel_adjoint
from learnedrecon.operators.geometry import Beam
from learnedrecon.operators.geometry_checks import require_kind
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.norm import estimated_norm
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.geometry import FlatDetector, Geometry

_logger = logging.getLogger("learnedrecon")


class RayTransform(LinearOperator):
    """Line integrals of an image by Joseph's method, in mm times the unit of the image.

    Each ray is sampled once per pixel row (or column, where it runs more along the columns), with
    linear interpolation between the two neighbouring pixels. The adjoint uses the same weights, so
    it is the exact transpose (Joseph, IEEE Trans. Med. Imaging 1(3), 1982).

    Args:
        geometry: a parallel or a fan beam; it is the whole configuration of this operator.
        dtype: float32 or float64, of the elements that the spaces make. The operator itself works
            in the precision of what it is given.

    Raises:
        GeometryError: not a geometry.

    A detector that covers less than half of the image's diameter is allowed, and logged as a
    warning once.

    Shapes: image (..., ny, nx) to sinogram (..., angle, detector).
    """

    row_axis = -2

    def __init__(self, geometry: Geometry, dtype: torch.dtype = torch.float32) -> None:
        require_kind(geometry, Beam, "RayTransform(ParallelBeam(shape, angles, detector))")
        _warn_of_a_narrow_detector(geometry.seen, geometry.shape, geometry.pixel, geometry.detector)
        super().__init__(Space(geometry.shape, dtype), Space(geometry.data_shape, dtype))
        self.geometry = geometry
        self.kernel = JosephKernel(geometry.rays())

    def evaluate(self, u: Tensor) -> Tensor:
        return apply_kernel(self.kernel, u)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return apply_kernel_adjoint(self.kernel, v)

    def restrict(self, rows: tuple[int, ...]) -> RayTransform:
        return RayTransform(self.geometry.subset(rows), self.domain.dtype)

    def compute_norm(self) -> float:
        """‖T‖ in mm, computed once per geometry, however many operators share it."""
        return _norm_of(self.geometry)

    def extra_repr(self) -> str:
        return repr(self.geometry)


class JosephKernel:
    """Joseph's method as a pair (T, T*) on plain tensors."""

    def __init__(self, rays: joseph.RayGeometry2D) -> None:
        self.rays = rays

    def forward(self, u: Tensor) -> Tensor:
        """T u."""
        return joseph.forward(u, self.rays)

    def adjoint(self, v: Tensor) -> Tensor:
        """T* v."""
        return joseph.adjoint(v, self.rays)


@lru_cache(maxsize=128)
def _warn_of_a_narrow_detector(
    seen: float, shape: tuple[int, int], pixel: tuple[float, float], detector: FlatDetector
) -> None:
    """Once for each image and detector, however many operators and subsets of angles there are."""
    if seen >= 0.5:
        return
    _logger.warning(
        "Expected a detector that covers most of the image. Found one (%s pixels of %g mm) that "
        "covers %.0f %% of the diameter of the image (%s pixels of %s mm). What to do: compare "
        "the pitch, the axis offset and the pixel size, all in mm.",
        detector.pixels,
        detector.pitch,
        100 * seen,
        shape,
        pixel,
    )


@lru_cache(maxsize=128)
def _norm_of(geometry: Geometry) -> float:
    return estimated_norm(RayTransform(geometry, torch.float64))
