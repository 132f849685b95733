"""The ray transform of two-dimensional tomography."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Self

import torch

from learnedrecon.operators.base import moved
from learnedrecon.operators.geometry import Beam
from learnedrecon.operators.geometry_checks import require_kind
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.norm import estimated_norm
from learnedrecon.operators.rays import ray_adjoint, ray_forward
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable

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
    vectors: Tensor

    def __init__(self, geometry: Geometry, dtype: torch.dtype = torch.float32) -> None:
        require_kind(geometry, Beam, "RayTransform(ParallelBeam(shape, angles, detector))")
        _warn_of_a_narrow_detector(geometry.seen, geometry.shape, geometry.pixel, geometry.detector)
        super().__init__(Space(geometry.shape, dtype), Space(geometry.data_shape, dtype))
        self.geometry = geometry
        rays = geometry.rays()
        self.sizes = rays.sizes
        self.register_buffer("vectors", torch.tensor(rays.vectors), persistent=False)

    def evaluate(self, u: Tensor) -> Tensor:
        return ray_forward(u, self.vectors, self.sizes)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return ray_adjoint(v, self.vectors, self.sizes)

    def restrict(self, rows: tuple[int, ...]) -> RayTransform:
        return RayTransform(self.geometry.subset(rows), self.domain.dtype)

    def compute_norm(self) -> float:
        """‖T‖ in mm, computed once per geometry, however many operators share it."""
        return _norm_of(self.geometry)

    def extra_repr(self) -> str:
        return repr(self.geometry)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # noqa: FBT001, FBT002
        """Moves to other devices and precisions; the vectors of the rays stay float64."""
        vectors = self.vectors
        self.vectors = vectors.new_empty(0, dtype=torch.float32)  # to see where it goes
        super()._apply(fn, recurse)
        self.vectors = moved(vectors, self.vectors.device)
        return self


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
