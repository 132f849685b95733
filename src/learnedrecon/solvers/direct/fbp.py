"""Filtered backprojection, with the right absolute value for any list of angles."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from learnedrecon.errors import DifferentiationError, GeometryError, describe
from learnedrecon.networks.filters import apply_filter, ramp_response
from learnedrecon.operators.autograd import apply_kernel
from learnedrecon.operators.linear import LinearMultiple
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.non_cartesian import NonCartesianMRI
from learnedrecon.operators.pointwise import ScaledArgument
from learnedrecon.operators.ray.geometry2d import ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.operators.ray.transmission import TransmissionCT
from learnedrecon.operators.space import Space
from learnedrecon.solvers.direct.backprojection import Backprojection
from learnedrecon.solvers.direct.fdk import fdk
from learnedrecon.solvers.direct.gridding import gridding
from learnedrecon.solvers.direct.views import coverage, detector_weights, fan_weights, widened

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.networks.filters import Window
    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.ray.geometry2d import Geometry

_LEAST_TRANSMISSION = 1e-6


def fbp(
    data: Tensor, geometry: Geometry, *, window: Window = "ram-lak", bandwidth: float = 1.0
) -> Tensor:
    """Reconstructs an image from its line integrals.

    Parallel beams: u(x) = Σ_θ w_θ (h * y_θ)(s_θ(x)) with the band-limited ramp h and Δθ weights of
    :func:`learnedrecon.solvers.direct.views.coverage` on the circle modulo π, so scans over π, 2π
    and anything else come out at the right value. Flat-panel fan beams: y is multiplied by D/√(D² +
    s²) and by the weights of :func:`learnedrecon.solvers.direct.views.fan_weights`, and
    backprojected with U⁻² (Kak, Slaney 1988, sections 3.3 and 3.4). The detector must see the whole
    object, or over a full turn one side of it (half-fan and other displaced detectors, see
    :func:`learnedrecon.solvers.direct.views.detector_weights`): what lies beyond it counts as 0.
    Any other scan whose detector is cut on one side is logged as a warning, once. Differentiable in
    the data, any number of times.

    Args:
        data: line integrals, (..., angle, detector), float32 or float64.
        geometry: a parallel or a fan beam.
        window: "ram-lak" or "hann".
        bandwidth: the cut as a part of the Nyquist frequency of the detector, in (0, 1].

    Returns:
        (..., ny, nx) per mm times the unit of the data.

    Raises:
        ShapeError: the last axes of the data are not (angle, detector).
        ConfigError: unknown window, or a bandwidth out of range.
    """
    data = Space(geometry.data_shape).check(data, "line integrals")
    if not data.numel():
        return data.sum((-2, -1))[..., None, None].expand(*data.shape[:-2], *geometry.shape)
    wide, added = widened(geometry)
    lines = torch.nn.functional.pad(data * _ray_weights(geometry).to(data), added)
    response = ramp_response(lines.shape[-1], window, bandwidth, data.dtype, data.device)
    return apply_kernel(Backprojection(wide), apply_filter(lines, response))


def pseudo_inverse(
    operator: Operator, data: Tensor, *, window: Window = "ram-lak", bandwidth: float = 1.0
) -> Tensor:
    """:func:`fbp` for every operator that is a ray transform in disguise, or one of MRI.

    P itself, by :func:`learnedrecon.solvers.direct.fdk.fdk` in three dimensions; non-Cartesian MRI
    by :func:`learnedrecon.solvers.direct.gridding.gridding`, without a window; Cartesian MRI by its
    adjoint, the zero-filled image; a·T: divides the data by a; I₀ exp(-μP) + s: takes -log((y -
    s)/I₀)/μ with the share of photons clipped below at 1e-6; T(c·): divides the image by c. These
    nest.

    Args:
        operator: T.
        data: y, (..., *codomain.shape).
        window: see :func:`fbp`.
        bandwidth: see :func:`fbp`.

    Returns:
        (..., *domain.shape).

    Raises:
        GeometryError: this operator has no filtered backprojection.
        DifferentiationError: gradients are asked for in the geometry of T, which this one has not.
    """
    if isinstance(operator, RayTransform):
        _refuse_gradients(operator)
        return fbp(data, operator.geometry, window=window, bandwidth=bandwidth)
    if isinstance(operator, RayTransform3D):
        return fdk(data, operator.geometry, window=window, bandwidth=bandwidth)
    if isinstance(operator, NonCartesianMRI):
        return gridding(operator, data)
    if isinstance(operator, CartesianMRI):
        return operator.adjoint(data)
    if isinstance(operator, LinearMultiple):
        inner = data / operator.scalar
        return pseudo_inverse(operator.operator, inner, window=window, bandwidth=bandwidth)
    if isinstance(operator, ScaledArgument):
        image = pseudo_inverse(operator.operator, data, window=window, bandwidth=bandwidth)
        return image / operator.scale
    if isinstance(operator, TransmissionCT):
        lines = operator.line_integrals(data, least=_LEAST_TRANSMISSION)
        return pseudo_inverse(operator.ray, lines, window=window, bandwidth=bandwidth)
    raise GeometryError(
        describe(
            expected="a ray transform, non-Cartesian MRI, a multiple of one, or transmission CT",
            found=type(operator).__name__,
            fix="build the model with start='adjoint', which starts from T*y,"
            " or use a method that needs no filtered backprojection (LearnedPrimalDual, TV)",
        )
    )


def _refuse_gradients(operator: RayTransform) -> None:
    if torch.is_grad_enabled() and operator.vectors.requires_grad:
        raise DifferentiationError(
            describe(
                expected="a geometry without gradients for filtered back-projection",
                found="angles, an axis offset or vectors that require them",
                fix="call it under torch.no_grad(), or build the model with start='adjoint', which "
                "starts from T*y",
            )
        )


@lru_cache(maxsize=32)
def _ray_weights(geometry: Geometry) -> Tensor:
    """All factors that belong to a ray, (angle, detector), float64."""
    detector = geometry.detector
    share = detector_weights(geometry) / detector.pitch
    if isinstance(geometry, ParallelBeam):
        return torch.from_numpy(coverage(geometry.angle_values, math.pi).weights[:, None] * share)
    distance = geometry.source_origin + geometry.origin_detector
    cosine = torch.from_numpy(distance / (distance**2 + detector.positions**2) ** 0.5)
    weights = torch.from_numpy(fan_weights(geometry) * share)
    return weights * cosine * geometry.magnification
