"""Filtered backprojection of circular cone beams and of parallel beams in three dimensions."""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from learnedrecon.compiling import constant, open_function, uncompiled
from learnedrecon.errors import GeometryError, describe
from learnedrecon.networks.filters import apply_filter, ramp_response
from learnedrecon.operators.autograd import Kernel, apply_kernel
from learnedrecon.operators.ray.beam3d import Beam3D, RayVectors3D
from learnedrecon.operators.ray.geometry2d import FanBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam, RotatingBeam3D
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.operators.space import Space
from learnedrecon.solvers.arguments import require_operator
from learnedrecon.solvers.direct.extrapolation import extrapolated_parts, joined
from learnedrecon.solvers.direct.pose_backprojection import PoseBackprojection
from learnedrecon.solvers.direct.poses import lengthened, spatial_poses
from learnedrecon.solvers.direct.pseudo_inverse import has_pseudo_inverse, pseudo_inverse
from learnedrecon.solvers.direct.views import (
    added_pixels,
    detector_weights,
    fan_weights,
    parallel_weights,
    widened,
)
from learnedrecon.solvers.direct.voxel_backprojection import VoxelBackprojection

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.networks.filters import Window
    from learnedrecon.solvers.direct.extrapolation import Extrapolation, Part

_FILTERED_TOGETHER = 1 << 22


@uncompiled
def fdk(
    operator: RayTransform3D,
    data: Tensor,
    *,
    window: Window = "ram-lak",
    bandwidth: float = 1.0,
    extrapolate: Extrapolation = "none",
) -> Tensor:
    """Filtered backprojection of line integrals, T⁺y for a three-dimensional ray transform T.

    Circular cone beams: the method of Feldkamp, Davis and Kress (J. Opt. Soc. Am. A 1(6), 1984). y
    is multiplied by D/√(D² + s² + t²), s and t the position on the panel and D its distance from
    the source, filtered along the rows, and backprojected with U⁻². Full turns, short scans and
    panels that are displaced along their rows get the weights of the fan beam in the plane of the
    source, see :func:`learnedrecon.solvers.direct.fbp.fbp`, of which this is the result in that
    plane. It is exact there, and an approximation elsewhere: a circular scan does not measure all
    plane integrals, values decrease with the cone angle, and voxels outside the field of view of
    some views are too small.

    Cone beams whose poses are given one by one (calibrated scanners): the circle that fits the
    sources gives quadrature and redundancy, and every pose its own rays, depths and pixel
    positions, see :mod:`learnedrecon.solvers.direct.poses`. For an ideal circle this is the result
    of the cone beam; how far poses are from one is logged as a warning, once.

    Parallel beams: filtered backprojection of every slice, exact. The result is differentiable in
    the data any number of times.

    Args:
        operator: T, a ray transform of a circular cone beam, given as such or by poses near a
            circle, or of a parallel beam without tilt.
        data: Line integrals y, (..., angle, row, column), float32 or float64.
        window: "ram-lak" or "hann".
        bandwidth: Cut-off frequency as a fraction of the Nyquist frequency of the columns, in (0,
            1].
        extrapolate: Extrapolation of truncated projections along the rows, as for
            :func:`learnedrecon.solvers.direct.fbp.fbp`.

    Returns:
        Volume (..., nz, ny, nx), in the unit of the data per mm.

    Raises:
        GeometryError: The operator is not a three-dimensional ray transform, or its scan is a
            helix, tilted, or given by poses far from a circle (sources more than 3 % of its
            radius away, a detector or an axis turned by more than 5°).
        ShapeError: The last axes of the data are not (angle, row, column).
        ConfigError: The window or the extrapolation is unknown, or the bandwidth is out of range.
    """
    require_operator(operator, data, "fdk", RayTransform3D)
    scan = operator.geometry
    plan = _plan(scan)
    data = Space(scan.data_shape).check(data, "line integrals")
    if not data.numel():
        return data.sum((-3, -2, -1))[..., None, None, None].expand(*data.shape[:-3], *scan.shape)
    if extrapolate != "none":
        parts = extrapolated_parts(operator, data.reshape(-1, *scan.data_shape), extrapolate)
        images = joined(parts, lambda part: _filtered(part, window, bandwidth))
        return images.reshape(*data.shape[:-3], *scan.shape)
    columns = scan.data_shape[-1] + sum(plan.added)
    response = ramp_response(columns, window, bandwidth, data.dtype, data.device)
    together = max(1, _FILTERED_TOGETHER // (data.numel() // scan.data_shape[0]))
    filtered = []
    for first in range(0, scan.data_shape[0], together):
        views = slice(first, first + together)
        part = data[..., views, :, :]
        for factor in plan.weights(views):
            part = part * factor.to(data)
        filtered.append(apply_filter(torch.nn.functional.pad(part, plan.added), response))
    return apply_kernel(plan.backprojection, torch.cat(filtered, dim=-3))


def _filtered(part: Part, window: Window, bandwidth: float) -> Tensor:
    return pseudo_inverse(part.operator, part.data, window=window, bandwidth=bandwidth)


@pseudo_inverse.register(RayTransform3D)
def _of_ray_transform(
    operator: RayTransform3D, data: Tensor, *, window: Window = "ram-lak", bandwidth: float = 1.0
) -> Tensor:
    return fdk(operator, data, window=window, bandwidth=bandwidth)


@has_pseudo_inverse.register(RayTransform3D)
def _ray_transform_has(operator: RayTransform3D) -> bool:
    return _has_plan(operator.geometry)


@open_function
def _has_plan(scan: Beam3D) -> bool:  # noqa: ARG001 - what other kinds look at
    """True if :func:`_plan` supports the scan."""
    return False


@_has_plan.register(RotatingBeam3D)
def _(scan: RotatingBeam3D) -> bool:
    return scan.is_circular


@_has_plan.register(RayVectors3D)
@constant()
def _(scan: RayVectors3D) -> bool:
    if scan.beam != "cone":
        return False
    try:
        spatial_poses(scan)
    except GeometryError:  # poses that are far from a circle
        return False
    return True


class _Plan(NamedTuple):
    """Filtered backprojection of one scan.

    Attributes:
        weights: of some views, a slice: factors of the data, (view, row, column) or broadcasting.
        backprojection: of the scan with columns added.
        added: how many columns, at either end.
    """

    weights: Callable[[slice], tuple[Tensor, ...]]
    backprojection: Kernel
    added: tuple[int, int]


@singledispatch
def _plan(scan: Beam3D) -> _Plan:
    """The plan of the reconstruction of a scan.

    Raises:
        GeometryError: it cannot be.
    """
    raise _refused(scan)


@_plan.register(RotatingBeam3D)
def _(scan: RotatingBeam3D) -> _Plan:
    if not scan.is_circular:
        raise _refused(scan)
    wide, added = _widened(scan)

    def weights(views: slice) -> tuple[Tensor, ...]:
        share, cosine = _ray_weights(scan)
        return share[views], cosine

    return _Plan(weights, VoxelBackprojection(wide), added)


@_plan.register(RayVectors3D)
def _(scan: RayVectors3D) -> _Plan:
    if scan.beam != "cone":
        raise _refused(scan)
    poses = spatial_poses(scan)
    wide, rows = lengthened(scan, poses.added), scan.detector[0]

    def weights(views: slice) -> tuple[Tensor, ...]:
        return (torch.from_numpy(poses.weights(views, rows)),)

    return _Plan(weights, PoseBackprojection(wide), poses.added)


def _refused(geometry: Beam3D) -> GeometryError:
    return GeometryError(
        describe(
            expected="a circular cone beam, given as such or by poses near a circle, or a parallel"
            " beam without tilt, which have a filtered backprojection",
            found=f"{geometry!r:.300}",
            fix="use an iterative method (total variation, least squares); start learned methods"
            " from T*y",
        )
    )


def _widened(scan: RotatingBeam3D) -> tuple[RotatingBeam3D, tuple[int, int]]:
    """The scan with columns added, see :func:`learnedrecon.solvers.direct.views.added_pixels`."""
    plane = scan.mid_plane()
    added = added_pixels(plane)
    line = widened(plane, added).detector
    panel = replace(scan.detector, columns=line.pixels, axis_offset=line.axis_offset)
    return replace(scan, detector=panel), added  # type: ignore[type-var]


@constant()
def _ray_weights(scan: RotatingBeam3D) -> tuple[Tensor, Tensor]:
    """Factors (angle, 1, column), of views and redundancy, and (row, column) or 1, float64."""
    plane, panel = scan.mid_plane(), scan.detector
    share = detector_weights(plane) / panel.pitches[1]
    if not (isinstance(scan, ConeBeam) and isinstance(plane, FanBeam)):
        views = parallel_weights(plane)[:, None] * share
        return torch.from_numpy(views)[:, None], torch.ones((), dtype=torch.float64)
    distance = scan.source_origin + scan.origin_detector
    s, t = panel.column_positions, panel.row_positions[:, None]
    cosine = torch.from_numpy(distance / (distance**2 + s**2 + t**2) ** 0.5)
    views = fan_weights(plane) * share * scan.magnification
    return torch.from_numpy(views)[:, None], cosine
