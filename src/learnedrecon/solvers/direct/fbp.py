"""Filtered backprojection, quantitatively correct for any list of angles."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from learnedrecon.compiling import constant, open_function
from learnedrecon.errors import DifferentiationError, GeometryError, describe
from learnedrecon.networks.filters import apply_filter, equiangular_response, ramp_response
from learnedrecon.operators.ray.beam2d import Beam2D, RayVectors2D
from learnedrecon.operators.ray.curved import CurvedFanBeam
from learnedrecon.operators.ray.geometry2d import Beam, FanBeam, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import TransmissionCT
from learnedrecon.operators.space import Space
from learnedrecon.solvers.arguments import require_operator
from learnedrecon.solvers.direct.backprojection import Backprojection
from learnedrecon.solvers.direct.extrapolation import (
    LEAST_TRANSMISSION,
    extrapolated_parts,
    joined,
)
from learnedrecon.solvers.direct.pixel_operators import backprojected
from learnedrecon.solvers.direct.poses import planar_poses
from learnedrecon.solvers.direct.pseudo_inverse import has_pseudo_inverse, pseudo_inverse
from learnedrecon.solvers.direct.views import (
    added_pixels,
    detector_weights,
    fan_weights,
    parallel_weights,
)

if TYPE_CHECKING:
    from learnedrecon.networks.filters import Window
    from learnedrecon.operators.ray.planar import PlanarGeometry, RotatingGeometry
    from learnedrecon.solvers.direct.extrapolation import Extrapolation, Part
    from learnedrecon.solvers.direct.views import FloatArray


def fbp(
    operator: RayTransform,
    data: Tensor,
    *,
    window: Window = "ram-lak",
    bandwidth: float = 1.0,
    extrapolate: Extrapolation = "none",
) -> Tensor:
    """Filtered backprojection of line integrals, T⁺y for a two-dimensional ray transform T.

    Parallel beams: u(x) = Σ_θ w_θ (h * y_θ)(s_θ(x)) with the band-limited ramp h and Δθ weights of
    :func:`learnedrecon.solvers.direct.views.coverage` on the circle modulo π, so that values are
    correct for scans over π, 2π and any other range. Flat-panel fan beams: y is multiplied by
    D/√(D² + s²) and by the weights of :func:`learnedrecon.solvers.direct.views.fan_weights`, and
    backprojected with U⁻² (Kak, Slaney 1988, sections 3.3 and 3.4). Fan beams on an arc: y is
    multiplied by cos γ, filtered with h(γ)(γ/sin γ)², and backprojected with (R/L)², L the distance
    of the pixel from the source. Poses near a circle: see
    :mod:`learnedrecon.solvers.direct.poses`. The detector must cover the
    whole object, or over a full turn one side of it (half-fan and other displaced detectors, see
    :func:`learnedrecon.solvers.direct.views.detector_weights`): what lies beyond it counts as 0
    unless it is extrapolated.
    Any other scan whose detector is cut on one side is logged as a warning, once. The result is
    differentiable in the data any number of times.

    Args:
        operator: T, a ray transform of a parallel or a fan beam, or of poses that are near one.
        data: Line integrals y, (..., angle, detector), float32 or float64.
        window: "ram-lak" or "hann".
        bandwidth: Cut-off frequency as a fraction of the Nyquist frequency of the detector, in (0,
            1].
        extrapolate: Extrapolation of truncated projections: "none", "smooth", "cylinder", or
            "auto", which is "cylinder" for slices with truncation; see
            :func:`learnedrecon.solvers.direct.extrapolation.extrapolated_parts`.

    Returns:
        Image (..., ny, nx), in the unit of the data per mm.

    Raises:
        GeometryError: The operator is not a two-dimensional ray transform with one geometry for all
            samples.
        ShapeError: The last axes of the data are not (angle, detector).
        ConfigError: The window or the extrapolation is unknown, or the bandwidth is out of range.
        DifferentiationError: Gradients are asked for in the geometry of T.
    """
    require_operator(operator, data, "fbp", RayTransform)
    _refuse_gradients(operator)
    geometry = operator.geometry
    data = Space(geometry.data_shape).check(data, "line integrals")
    if not data.numel():
        return data.sum((-2, -1))[..., None, None].expand(*data.shape[:-2], *geometry.shape)
    if extrapolate != "none":
        parts = extrapolated_parts(operator, data.reshape(-1, *geometry.data_shape), extrapolate)
        images = joined(parts, lambda part: _filtered(part, window, bandwidth))
        return images.reshape(*data.shape[:-2], *geometry.shape)
    added = _added(geometry)
    lines = torch.nn.functional.pad(data * _ray_weights(geometry).to(data), added)
    responses = _responses if torch.compiler.is_compiling() else _kept_responses
    response = responses(geometry, window, bandwidth, data.dtype, data.device)
    return backprojected(Backprojection(geometry, added), apply_filter(lines, response))


def _filtered(part: Part, window: Window, bandwidth: float) -> Tensor:
    return pseudo_inverse(part.operator, part.data, window=window, bandwidth=bandwidth)


@pseudo_inverse.register(RayTransform)
def _of_ray_transform(
    operator: RayTransform, data: Tensor, *, window: Window = "ram-lak", bandwidth: float = 1.0
) -> Tensor:
    return fbp(operator, data, window=window, bandwidth=bandwidth)


@has_pseudo_inverse.register(RayTransform)
def _ray_transform_has(operator: RayTransform) -> bool:
    if operator.vectors.requires_grad:
        return False
    try:
        _require_invertible(operator.geometry)
    except GeometryError:  # one for each sample, vectors, or poses far from a circle
        return False
    return True


@open_function
def _require_invertible(geometry: PlanarGeometry) -> None:
    """Refuses scans without a filtered backprojection; by default none."""


@_require_invertible.register(RayVectors2D)
def _(geometry: RayVectors2D) -> None:
    planar_poses(geometry)


@pseudo_inverse.register(TransmissionCT)
def _of_transmission(
    operator: TransmissionCT, data: Tensor, *, window: Window = "ram-lak", bandwidth: float = 1.0
) -> Tensor:
    lines = operator.line_integrals(data, least=LEAST_TRANSMISSION)
    return fbp(operator.ray, lines, window=window, bandwidth=bandwidth)


@has_pseudo_inverse.register(TransmissionCT)
def _transmission_has(operator: TransmissionCT) -> bool:
    return has_pseudo_inverse(operator.ray)


def _refuse_gradients(operator: RayTransform) -> None:
    if torch.is_grad_enabled() and operator.vectors.requires_grad:
        raise DifferentiationError(
            describe(
                expected="a geometry without gradients for filtered back-projection",
                found="angles, an axis offset or vectors that require them",
                fix="call it under torch.no_grad(), or start from T*y",
            )
        )


def _responses(
    geometry: PlanarGeometry,
    window: Window,
    bandwidth: float,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """The filter's response for the lengthened rows of a scan."""
    n = geometry.data_shape[1] + sum(_added(geometry))
    return _response(geometry, ramp_response(n, window, bandwidth, dtype, device), n)


_kept_responses = constant()(_responses)


@open_function
def _response(geometry: PlanarGeometry, response: Tensor, n: int) -> Tensor:  # noqa: ARG001 - what other kinds look at
    """The filter's response for the spacing of the rays; for equal distances by default."""
    return response


@_response.register(CurvedFanBeam)
def _(geometry: CurvedFanBeam, response: Tensor, n: int) -> Tensor:
    return equiangular_response(response, n, geometry.detector.pitch)


@constant()
def _added(geometry: PlanarGeometry) -> tuple[int, int]:
    """The numbers of pixels added at both ends of the detector."""
    return _extension(geometry)


@constant()
def _ray_weights(geometry: PlanarGeometry) -> Tensor:
    """All factors that belong to a ray, (angle, detector), float64."""
    return torch.from_numpy(_factors(geometry).copy())


@singledispatch
def _extension(geometry: Beam2D) -> tuple[int, int]:
    """The pixels to be added."""
    raise NotImplementedError(type(geometry).__name__)


@_extension.register(Beam)
def _(geometry: RotatingGeometry) -> tuple[int, int]:
    return added_pixels(geometry)


@_extension.register(RayVectors2D)
def _(geometry: RayVectors2D) -> tuple[int, int]:
    return planar_poses(geometry).added


@singledispatch
def _factors(geometry: Beam2D) -> FloatArray:
    """The factors of every ray, (angle, detector)."""
    raise NotImplementedError(type(geometry).__name__)


@_factors.register(Beam)
def _(geometry: RotatingGeometry) -> FloatArray:
    return _own_weights(geometry) * detector_weights(geometry) / geometry.detector.pitch


@_factors.register(RayVectors2D)
def _(geometry: RayVectors2D) -> FloatArray:
    return planar_poses(geometry).weights(slice(None), 1)[:, 0]


@singledispatch
def _own_weights(geometry: RotatingGeometry) -> FloatArray:
    """Quadrature, redundancy and cosine, (angle, detector) or (angle, 1)."""
    raise NotImplementedError(type(geometry).__name__)


@_own_weights.register(ParallelBeam)
def _(geometry: ParallelBeam) -> FloatArray:
    return parallel_weights(geometry)[:, None]


@_own_weights.register(FanBeam)
def _(geometry: FanBeam) -> FloatArray:
    return fan_weights(geometry) * np.cos(geometry.fan_angles) * geometry.magnification


@_own_weights.register(CurvedFanBeam)
def _(geometry: CurvedFanBeam) -> FloatArray:
    return fan_weights(geometry) * np.cos(geometry.fan_angles) / geometry.source_origin
