"""The ray transform of three-dimensional tomography."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from learnedrecon.kernels.sizes import Sizes
from learnedrecon.operators.fields import require_kind
from learnedrecon.operators.leading import largest
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.norm import (
    Memory,
    content_of,
    lanczos_norm,
    non_negative_norm_bound,
    require_settled,
)
from learnedrecon.operators.ray.autograd import ray_adjoint, ray_forward
from learnedrecon.operators.ray.beam3d import Beam3D
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from learnedrecon.operators.ray.geometry3d import Geometry3D

_logger = logging.getLogger("learnedrecon")


class RayTransform3D(LinearOperator):
    """Line integrals of a volume by Joseph's method, in mm times the unit of the volume.

    Each ray is sampled once per slice across the axis along which it moves most voxels, with
    bilinear interpolation between the four neighbouring voxels. The adjoint uses the same weights,
    so it is the exact transpose (Joseph, IEEE Trans. Med. Imaging 1(3), 1982). The plane of a
    circular cone beam is the two-dimensional :class:`RayTransform` of the fan beam.

    Args:
        geometry: Parallel or cone beam, or poses: the whole configuration of this operator.
        dtype: float32 or float64, the dtype of elements that the spaces create. The operator itself
            works in the precision of its argument.

    Attributes:
        vectors: Poses of source and detector as in `RayGeometry3D`, (angles, 12) float64.
        sizes: The constants of the scan.

    Raises:
        GeometryError: The geometry is not three-dimensional.

    A panel that covers less than half of the volume's shadow is allowed, and logged as a warning
    once.

    Shapes: volume (..., nz, ny, nx) to projections (..., angle, detector row, detector column).
    """

    precise = ("vectors",)
    row_axis = -3
    divisible = True
    spec: Geometry3D
    vectors: Tensor

    def __init__(self, geometry: Geometry3D, dtype: torch.dtype = torch.float32) -> None:
        require_kind(geometry, Beam3D, "RayTransform3D(ConeBeam(shape, angles, FlatPanel(...)))")
        _warn_of_a_small_panel(geometry.seen, geometry.shape, geometry.pixel, geometry.detector)
        super().__init__(Space(geometry.shape, dtype), Space(geometry.data_shape, dtype))
        self.geometry = self.spec = geometry
        rays = geometry.rays()
        self.sizes = Sizes(rays.cone, rays.detectors, rays.shape, rays.pixel)
        self.register_buffer("vectors", torch.tensor(rays.vectors), persistent=False)

    def evaluate(self, u: Tensor) -> Tensor:
        return ray_forward(u, self.vectors, self.sizes)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return ray_adjoint(v, self.vectors, self.sizes)

    def restrict(self, rows: tuple[int, ...]) -> RayTransform3D:
        return RayTransform3D(self.geometry.subset(rows), self.domain.dtype)

    def compute_norm(self) -> float:
        """‖T‖ in mm, computed once per geometry and shared by all its operators."""
        return self._of_the_scan(_NORMS, _lanczos)

    def norm_bound(self) -> float:
        """An upper bound of ‖T‖ in mm, computed once per geometry; all weights are non-negative."""
        return self._of_the_scan(_BOUNDS, non_negative_norm_bound)

    def _of_the_scan(self, memory: Memory, compute: Callable[[RayTransform3D], float]) -> float:
        """A number of the scan, in double precision on the CPU."""
        vectors = self.vectors.cpu()
        key = content_of(self.sizes, vectors)

        def computed(_: list[int]) -> list[float]:
            twin = RayTransform3D(self.geometry, torch.float64)
            twin.vectors = vectors
            return [compute(twin)]

        return memory.recall([key], computed)[0]

    def extra_repr(self) -> str:
        return f"{self.geometry!r:.500}"


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


_NORMS, _BOUNDS = Memory(), Memory()


def _lanczos(operator: RayTransform3D) -> float:
    return largest(require_settled(lanczos_norm(operator), type(operator).__name__))
