"""The ray transform of two-dimensional tomography."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from learnedrecon.operators.fields import require_kind
from learnedrecon.operators.leading import Norm, largest
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.norm import (
    Memory,
    content_of,
    estimated_norm,
    non_negative_norm_bound,
)
from learnedrecon.operators.ray import learnable_geometry
from learnedrecon.operators.ray.autograd import ray_adjoint, ray_forward, transforms_are_active
from learnedrecon.operators.ray.beam2d import Beam2D
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from learnedrecon.kernels.sizes import Sizes
    from learnedrecon.operators.ray.planar import PlanarGeometry

_logger = logging.getLogger("learnedrecon")


class RayTransform(LinearOperator):
    """Line integrals of an image by Joseph's method, in mm times the unit of the image.

    Each ray is sampled once per pixel row (or column, where it runs more along the columns), with
    linear interpolation between the two neighbouring pixels. The adjoint uses the same weights, so
    it is the exact transpose (Joseph, IEEE Trans. Med. Imaging 1(3), 1982).

    Args:
        geometry: Parallel or fan beam, or poses; the whole configuration of this operator.
        dtype: float32 or float64, the dtype of elements that the spaces create. The operator itself
            works in the precision of its argument.

    Attributes:
        vectors: Poses of source and detector as in `RayGeometry2D`, (angles, 6) float64, one for
            each ray where the detector is an arc; with leading axes where samples have geometries
            of their own.
        sizes: The constants of the scan.

    Raises:
        GeometryError: The geometry is not one of these.

    The image has to cover the object, also where the detector does not: T* and iterative methods
    put what lies outside of it into it. Filtered backprojection continues the data, see `fbp`.
    A detector that covers less than half of the image's diameter is allowed, and logged as a
    warning once.

    Shapes: image (..., ny, nx) to sinogram (..., angle, detector).
    """

    precise = ("vectors",)
    row_axis = -2
    divisible = True
    tensor_names = frozenset(learnable_geometry.NAMES)
    vectors: Tensor

    def __init__(self, geometry: PlanarGeometry, dtype: torch.dtype = torch.float32) -> None:
        require_kind(geometry, Beam2D, "RayTransform(ParallelBeam(shape, angles, detector))")
        _warn_of_a_narrow_detector(geometry.seen, geometry.shape, geometry.pixel, geometry.detector)
        rays = geometry.rays()
        self._set(geometry, {}, torch.tensor(rays.vectors), rays.sizes, dtype)

    def _set(
        self,
        geometry: PlanarGeometry,
        tensors: dict[str, Tensor],
        vectors: Tensor,
        sizes: Sizes,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(Space(geometry.shape, dtype), Space(geometry.data_shape, dtype))
        self.sizes = sizes
        self._nominal, self._tensors = geometry, tensors
        self.register_buffer("vectors", vectors, persistent=False)

    @property
    def spec(self) -> PlanarGeometry | None:
        """The geometry, where one geometry describes all samples; otherwise None."""
        return self.geometry if learnable_geometry.is_one_scan(self._tensors) else None

    @property
    def geometry(self) -> PlanarGeometry:
        """The scan with the current values of angles and offset, without gradients.

        Raises:
            GeometryError: No geometry describes the scan: vectors were given, or one geometry for
                each sample.
        """
        return learnable_geometry.with_values(self._nominal, self._tensors)

    def with_tensors(self, tensors: dict[str, Tensor]) -> RayTransform:
        """The operator of the same scan with tensors for its angles, axis offset or vectors.

        T and T* are differentiable in them: any number of times together with the image or the
        data, but once in the geometry itself; T also in forward mode.

        Args:
            tensors: "angles" (*lead, angles) in radians and "axis_offset" (*lead) in mm, as in
                :class:`FlatDetector`; or "vectors" (*lead, angles, 6) in mm, as in
                :class:`RayGeometry2D`. Leading axes are those of the images, or 1, or omitted
                altogether.

        Raises:
            DtypeError: Not tensors of floats.
            ShapeError: Another number of angles, or no channel axis.
            DataError: A number is not finite.
            GeometryError: Other names, or not a scan.
        """
        if not tensors:
            return self
        tensors = {**self._tensors, **tensors}
        learnable_geometry.require_names(tensors, self._nominal)
        learnable_geometry.require_shapes(tensors, self._nominal)
        if not transforms_are_active():  # vmap has no values to look at
            learnable_geometry.require_values(tensors, self._nominal)
        vectors = learnable_geometry.vectors_of(self._nominal, tensors)
        return self._copy(self._nominal, tensors, vectors.to(self.vectors.device))

    def tensors(self) -> dict[str, Tensor]:
        return dict(self._tensors)

    def own_axes(self, name: str) -> int:
        return learnable_geometry.OWN_AXES[name]

    def evaluate(self, u: Tensor) -> Tensor:
        data = ray_forward(u, self.vectors, self.sizes)
        return data if self._rays_per_pose == self.codomain.shape[-1] else self._by_angle(data)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        if self._rays_per_pose != self.codomain.shape[-1]:
            v = v.reshape(*v.shape[:-2], -1, self._rays_per_pose)
        return ray_adjoint(v, self.vectors, self.sizes)

    @property
    def _rays_per_pose(self) -> int:
        """All detector pixels of an angle, or one where rays have poses of their own."""
        return self.sizes.detectors[0]

    def _by_angle(self, data: Tensor) -> Tensor:
        return data.reshape(*data.shape[:-2], -1, self.codomain.shape[-1])

    def restrict(self, rows: tuple[int, ...]) -> RayTransform:
        poses = self.codomain.shape[-1] // self._rays_per_pose
        chosen = torch.tensor(rows, device=self.vectors.device)[:, None] * poses
        chosen = (chosen + torch.arange(poses, device=chosen.device)).flatten()
        tensors = learnable_geometry.rows_of(self._tensors, rows)
        return self._copy(
            self._nominal.subset(rows), tensors, self.vectors.index_select(-2, chosen)
        )

    def _copy(
        self, geometry: PlanarGeometry, tensors: dict[str, Tensor], vectors: Tensor
    ) -> RayTransform:
        """Another operator of the same sizes; nothing is checked."""
        twin = RayTransform.__new__(RayTransform)
        twin._set(geometry, tensors, vectors, self.sizes, self.domain.dtype)  # noqa: SLF001 - of this class
        return twin

    def compute_norm(self) -> Norm:
        """‖T‖ in mm, computed once per scan and shared by all its operators."""
        return self._of_each_scan(_NORMS, lambda twin: largest(estimated_norm(twin)))

    def norm_bound(self) -> Norm:
        """An upper bound of ‖T‖ in mm, computed once per scan; all weights are non-negative."""
        return self._of_each_scan(_BOUNDS, non_negative_norm_bound)

    def _of_each_scan(self, memory: Memory, compute: Callable[[RayTransform], float]) -> Norm:
        """A number of the scan, or of that of each sample, in double precision on the CPU."""
        lead = self.vectors.shape[:-2]
        own = self.vectors.detach().cpu().reshape(-1, *self.vectors.shape[-2:])

        def computed(missing: list[int]) -> list[float]:
            twins = (self._copy(self._nominal, {}, own[k].contiguous()) for k in missing)
            return [compute(twin.to(torch.float64)) for twin in twins]

        found = memory.recall([content_of(self.sizes, vectors) for vectors in own], computed)
        return torch.tensor(found, dtype=torch.float64).reshape(lead) if lead else found[0]

    def extra_repr(self) -> str:
        given = [f"{name}: {tuple(tensor.shape)}" for name, tensor in self._tensors.items()]
        return ", ".join([repr(self._nominal), *given])


@lru_cache(maxsize=128)
def _warn_of_a_narrow_detector(
    seen: float, shape: tuple[int, int], pixel: tuple[float, float], detector: object
) -> None:
    """Once for each image and detector, however many operators and subsets of angles there are."""
    if seen >= 0.5:
        return
    _logger.warning(
        "Expected a detector that covers most of the image. Found one (%s) that covers %.0f %% of"
        " the diameter of the image (%s pixels of %s mm). What to do: compare the pitch, the axis"
        " offset and the pixel size, in mm, or in radians for an arc.",
        detector,
        100 * seen,
        shape,
        pixel,
    )


_NORMS, _BOUNDS = Memory(), Memory()
