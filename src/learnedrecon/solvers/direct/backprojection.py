"""Pixel-driven backprojection with linear interpolation on the detector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from learnedrecon.compiling import constant, open_function
from learnedrecon.kernels import pixels
from learnedrecon.kernels.pixel_sizes import PixelSizes
from learnedrecon.operators.ray.beam2d import RayVectors2D
from learnedrecon.operators.ray.curved import CurvedFanBeam
from learnedrecon.operators.ray.geometry2d import FanBeam, ParallelBeam
from learnedrecon.solvers.direct.poses import planar_poses

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.kernels.pixel_sizes import Kind
    from learnedrecon.operators.ray.planar import PlanarGeometry, RotatingGeometry


class Backprojection:
    """b(x) = Σ_θ U_θ(x)⁻² q_θ(s_θ(x)), a kernel for :func:`operators.autograd.apply_kernel`.

    s_θ(x) is where the ray through x meets the detector; q_θ is interpolated linearly between the
    detector pixels and falls to 0 one pitch beyond them. For a fan beam U = (distance of x from the
    source along the central ray, for an arc along its own ray) / (source to axis), for poses U = λ,
    see :class:`learnedrecon.solvers.direct.poses.Poses`; for parallel beams U = 1. It is not the
    transpose of the ray transform, which is ray-driven.

    Args:
        geometry: Geometry of the scan.
        added: Number of pixels of the data before the first and after the last one of the detector.

    Shapes: (..., angle, detector) to (..., ny, nx), and back for the transpose.
    """

    def __init__(self, geometry: PlanarGeometry, added: tuple[int, int] = (0, 0)) -> None:
        self.views = _views(geometry, added)
        self.sizes = PixelSizes(*_constants(geometry, added))

    def forward(self, v: Tensor) -> Tensor:
        """The backprojection Σ_θ U⁻² q_θ(s_θ(x))."""
        return pixels.backproject(v, self.views, self.sizes)

    def adjoint(self, u: Tensor) -> Tensor:
        """The exact transpose of :meth:`forward`."""
        return pixels.project(u, self.views, self.sizes)


@constant()
def _views(geometry: PlanarGeometry, added: tuple[int, int]) -> Tensor:
    """The coefficients of :class:`PixelSizes`, (angle, 8) float64."""
    columns = np.broadcast_arrays(*_coefficients(geometry))
    views = np.stack(columns, axis=-1, dtype=np.float64)
    views[:, -1] += added[0]
    return torch.from_numpy(views)


@constant()
def _constants(geometry: PlanarGeometry, added: tuple[int, int]) -> tuple[Any, ...]:
    """The fields of :class:`PixelSizes`, which compiled code knows as numbers."""
    kind, rate = _kind(geometry)
    detectors = geometry.data_shape[1] + sum(added)
    return kind, rate, detectors, geometry.shape, geometry.pixel


@open_function
def _kind(geometry: PlanarGeometry) -> tuple[Kind, float]:
    """The kind of the detector, and its pixels per radian."""
    raise NotImplementedError(type(geometry).__name__)


@_kind.register(ParallelBeam)
def _(geometry: ParallelBeam) -> tuple[Kind, float]:  # noqa: ARG001 - one of several
    return "parallel", 0.0


@_kind.register(FanBeam)
def _(geometry: FanBeam) -> tuple[Kind, float]:  # noqa: ARG001 - one of several
    return "flat", 0.0


@_kind.register(CurvedFanBeam)
def _(geometry: CurvedFanBeam) -> tuple[Kind, float]:
    return "arc", 1 / geometry.detector.pitch


@_kind.register(RayVectors2D)
def _(geometry: RayVectors2D) -> tuple[Kind, float]:
    return ("parallel", 0.0) if geometry.beam == "parallel" else ("flat", 0.0)


@open_function
def _coefficients(geometry: PlanarGeometry) -> tuple[np.ndarray | float, ...]:
    """The eight coefficients of every view, or one number for all."""
    raise NotImplementedError(type(geometry).__name__)


@_coefficients.register(ParallelBeam)
def _(geometry: ParallelBeam) -> tuple[np.ndarray | float, ...]:
    cos, sin = _frame(geometry)
    pitch = geometry.detector.pitch
    return cos / pitch, sin / pitch, 0.0, 0.0, 0.0, 1.0, 1.0, _centre(geometry)


@_coefficients.register(FanBeam)
def _(geometry: FanBeam) -> tuple[np.ndarray | float, ...]:
    cos, sin = _frame(geometry)
    distance, pitch = geometry.source_origin, geometry.detector.pitch / geometry.magnification
    beside = cos / pitch, sin / pitch, 0.0
    return *beside, -sin / distance, cos / distance, 1.0, 1.0, _centre(geometry)


@_coefficients.register(CurvedFanBeam)
def _(geometry: CurvedFanBeam) -> tuple[np.ndarray | float, ...]:
    cos, sin = _frame(geometry)
    distance = geometry.source_origin
    beside = cos / distance, sin / distance, 0.0
    return *beside, -sin / distance, cos / distance, 1.0, 1.0, _centre(geometry)


@_coefficients.register(RayVectors2D)
def _(geometry: RayVectors2D) -> tuple[np.ndarray | float, ...]:
    poses = planar_poses(geometry)
    inverse = poses.inverse()
    share, column = (
        (inverse[:, i, 0], inverse[:, i, 1], -np.einsum("vj,vj->v", inverse[:, i], poses.origin))
        for i in (0, 1)
    )
    if not len(poses.scale):
        return *column, 0.0, 0.0, 1.0, 1.0, 0.0
    return *column, *share, poses.scale, 0.0


def _frame(geometry: RotatingGeometry) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines of the angles."""
    theta = np.asarray(geometry.angle_values, dtype=np.float64)
    return np.cos(theta), np.sin(theta)


def _centre(geometry: RotatingGeometry) -> float:
    """The position of the axis on the detector, in pixels."""
    detector = geometry.detector
    return detector.axis_offset / detector.pitch + (detector.pixels - 1) / 2
