"""Extrapolation of projections that a detector truncates, before they are filtered."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import singledispatch
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor

from learnedrecon.errors import ConfigError, GeometryError, describe
from learnedrecon.operators.ray.beam2d import Beam2D, RayVectors2D
from learnedrecon.operators.ray.beam3d import Beam3D, RayVectors3D
from learnedrecon.operators.ray.geometry2d import Beam
from learnedrecon.operators.ray.geometry3d import RotatingBeam3D
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.operators.ray.transmission import TransmissionCT
from learnedrecon.solvers.direct.poses import Poses, lengthened, planar_poses, spatial_poses
from learnedrecon.solvers.direct.truncation import Truncation, find_truncation
from learnedrecon.solvers.direct.views import open_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.ray.planar import RotatingGeometry

Extrapolation: TypeAlias = Literal["auto", "none", "smooth", "cylinder"]
Ends: TypeAlias = tuple[bool, bool]

LEAST_TRANSMISSION: Final = 1e-6
_WIDENING: Final = {"smooth": 0.5, "cylinder": 1.0}
_EDGE = 20
_LEAST_EDGE = 4


class Part(NamedTuple):
    """Samples that are reconstructed together.

    Attributes:
        rows: Their places in the batch, (samples,), int64.
        operator: T, with a longer detector where the data were continued.
        data: y, (samples, ...).
    """

    rows: Tensor
    operator: Operator
    data: Tensor


def extrapolated_parts(operator: Operator, data: Tensor, how: Extrapolation) -> list[Part]:
    """Split of a batch into samples that are extrapolated beyond the detector, and all others.

    "smooth": every view decreases from its value at the end of the detector to 0 as ½(1 + cos),
    which is linear in the data. "cylinder": every view continues as the projection of a homogeneous
    cylinder, p(s)² = p₀² + (p²)'₀s - 4μ²s², with the value and the slope of the view at the end of
    the detector (Hsieh et al., Med. Phys. 31(9), 2004). μ, that of water in the paper, comes from
    the data: -4μ² is the curvature of the parabola that fits the mean of p² over all views best;
    where this is not negative, the sample is extrapolated smoothly. "auto": "cylinder" for samples
    in which :func:`learnedrecon.solvers.direct.truncation.find_truncation` finds truncated views,
    none for all others, which do not change in any bit. The short side of a displaced detector is
    not extrapolated.

    Args:
        operator: T, a ray transform or transmission CT; for "auto" and "none" any operator.
        data: y, (sample, ..., *codomain.shape).
        how: "auto", "none", "smooth" or "cylinder".

    Raises:
        ConfigError: The extrapolation is unknown.
        GeometryError: The operator has no detector, and ``how`` is "smooth" or "cylinder".
    """
    require_extrapolation(how)
    everything = Part(torch.arange(len(data), device=data.device), operator, data)
    if how == "none" or (how == "auto" and not has_detector(operator)) or not data.numel():
        return [everything]
    ray, lines = line_integrals_of(operator, data)
    ends = ends_of(ray)
    if how != "auto":
        return [everything._replace(operator=_longer(ray, how), data=_continued(ray, lines, how))]
    cut = find_truncation(lines, ends).slices
    found = [Part(rows, operator, data[rows]) for rows in [(~cut).nonzero()[:, 0]] if len(rows)]
    if bool(cut.any()):
        rows = cut.nonzero()[:, 0]
        found.append(Part(rows, _longer(ray, "cylinder"), _continued(ray, lines[rows], "cylinder")))
    return found if len(found) > 1 or bool(cut.any()) else [everything]


def joined(parts: Sequence[Part], method: Callable[[Part], Tensor]) -> Tensor:
    """Images of all samples in their order.

    Args:
        parts: Samples of :func:`extrapolated_parts`.
        method: Function from a part to its images, (samples, ...).
    """
    if len(parts) == 1:
        return method(parts[0])
    order = torch.cat([part.rows for part in parts]).argsort()
    return torch.cat([method(part) for part in parts])[order]


def truncation_of(operator: Operator, data: Tensor) -> Truncation | None:
    """Truncation of the views of a scan; None for an operator without a detector.

    Args:
        operator: T.
        data: y, (sample, ..., *codomain.shape).
    """
    if not has_detector(operator) or not data.numel():
        return None
    ray, lines = line_integrals_of(operator, data)
    return find_truncation(lines, ends_of(ray))


def require_extrapolation(how: str) -> None:
    """Check of the name of an extrapolation.

    Args:
        how: Name.

    Raises:
        ConfigError: The name is unknown.
    """
    words = get_args(Extrapolation)
    if how not in words:
        raise ConfigError(
            describe(
                expected=f"extrapolate to be one of {', '.join(words)}",
                found=f"{how!r:.40}",
                fix="choose one of these",
            )
        )


def has_detector(operator: Operator) -> bool:
    """True for the kinds of operators that :func:`line_integrals_of` takes.

    Args:
        operator: T.
    """
    kind = line_integrals_of.dispatch(type(operator))
    return kind is not line_integrals_of.dispatch(object)


@singledispatch
def line_integrals_of(
    operator: Operator,
    data: Tensor,  # noqa: ARG001 - what other kinds look at
) -> tuple[RayTransform | RayTransform3D, Tensor]:
    """Ray transform of a scan and its line integrals.

    Args:
        operator: T, a ray transform or transmission CT.
        data: y, (..., *codomain.shape).

    Raises:
        GeometryError: The operator has no detector.
    """
    raise GeometryError(
        describe(
            expected="a ray transform or transmission CT, whose detector may cut projections",
            found=type(operator).__name__,
            fix="omit extrapolate",
        )
    )


@line_integrals_of.register(RayTransform)
@line_integrals_of.register(RayTransform3D)
def _(
    operator: RayTransform | RayTransform3D, data: Tensor
) -> tuple[RayTransform | RayTransform3D, Tensor]:
    return operator, data


@line_integrals_of.register(TransmissionCT)
def _(operator: TransmissionCT, data: Tensor) -> tuple[RayTransform | RayTransform3D, Tensor]:
    return operator.ray, operator.line_integrals(data, least=LEAST_TRANSMISSION)


@singledispatch
def ends_of(operator: Operator) -> Ends:
    """True for each of the first and the last end beyond which no other view measures the data.

    Args:
        operator: Ray transform.
    """
    raise NotImplementedError(type(operator).__name__)


@ends_of.register(RayTransform)
def _(operator: RayTransform) -> Ends:
    return _ends(operator.geometry)


@ends_of.register(RayTransform3D)
def _(operator: RayTransform3D) -> Ends:
    return _ends(operator.geometry)


@singledispatch
def _ends(geometry: Beam2D | Beam3D) -> Ends:  # noqa: ARG001 - what other kinds look at
    """As :func:`ends_of`, by kind of geometry."""
    return True, True


@_ends.register(Beam)
def _(geometry: RotatingGeometry) -> Ends:
    return open_ends(geometry)


@_ends.register(RotatingBeam3D)
def _(geometry: RotatingBeam3D) -> Ends:
    return open_ends(geometry.mid_plane()) if geometry.is_circular else (True, True)


@_ends.register(RayVectors2D)
def _(geometry: RayVectors2D) -> Ends:
    return _beside(planar_poses, geometry)


@_ends.register(RayVectors3D)
def _(geometry: RayVectors3D) -> Ends:
    return _beside(spatial_poses, geometry)


def _beside(poses: Callable[[Any], Poses], geometry: RayVectors2D | RayVectors3D) -> Ends:
    """Open where filtered backprojection adds no columns; both where there is none."""
    try:
        first, last = poses(geometry).added
    except GeometryError:
        return True, True
    return first == 0, last == 0


@singledispatch
def _longer(operator: Operator, how: Extrapolation) -> Operator:
    """The same scan with a detector that is longer at its open ends."""
    raise NotImplementedError(type(operator).__name__)


@_longer.register(RayTransform)
def _(operator: RayTransform, how: Extrapolation) -> Operator:
    return RayTransform(_with_columns(operator.geometry, _added(operator, how)))


@_longer.register(RayTransform3D)
def _(operator: RayTransform3D, how: Extrapolation) -> Operator:
    return RayTransform3D(_with_columns(operator.geometry, _added(operator, how)))


@singledispatch
def _with_columns(geometry: Beam2D | Beam3D, added: tuple[int, int]) -> Any:  # noqa: ANN401 - of the kind that was given
    """The scan with a detector that has more columns at either end."""
    return lengthened(geometry, added)  # type: ignore[arg-type]


@_with_columns.register(Beam)
def _(geometry: RotatingGeometry, added: tuple[int, int]) -> RotatingGeometry:
    line = geometry.detector
    offset = line.axis_offset + (added[0] - added[1]) * line.pitch / 2
    wide = replace(line, pixels=line.pixels + sum(added), axis_offset=offset)
    return replace(geometry, detector=wide)  # type: ignore[arg-type]


@_with_columns.register(RotatingBeam3D)
def _(geometry: RotatingBeam3D, added: tuple[int, int]) -> RotatingBeam3D:
    panel = geometry.detector
    offset = panel.axis_offset + (added[0] - added[1]) * panel.pitches[1] / 2
    wide = replace(panel, columns=panel.columns + sum(added), axis_offset=offset)
    return replace(geometry, detector=wide)  # type: ignore[type-var]


def _added(operator: RayTransform | RayTransform3D, how: Extrapolation) -> tuple[int, int]:
    """Detector pixels that are added at either end."""
    length = math.ceil(_WIDENING[how] * operator.codomain.shape[-1])
    first, last = ends_of(operator)
    return length * first, length * last


def _continued(
    operator: RayTransform | RayTransform3D, lines: Tensor, how: Extrapolation
) -> Tensor:
    first, last = _added(operator, how)
    curvature = _curvature(lines) if how == "cylinder" else None
    before = _beyond(lines.flip(-1), first, curvature).flip(-1)
    return torch.cat([before, lines, _beyond(lines, last, curvature)], dim=-1)


def _beyond(lines: Tensor, length: int, curvature: Tensor | None) -> Tensor:
    """The next ``length`` values after the last of every view."""
    away = torch.arange(1, length + 1, dtype=lines.dtype, device=lines.device)
    width = max(1, lines.shape[-1] // (2 * _EDGE))
    fall = (1 + torch.cos(math.pi * away / (length + 1))) / 2
    smooth = lines[..., -width:].mean(-1, keepdim=True) * fall
    if curvature is None:
        return smooth
    height, slope = _edge(lines, curvature)
    square = height + slope * away - curvature * away**2
    inside = (square > 0).cumprod(-1).bool()
    chord = torch.where(inside, square.where(inside, 1.0).sqrt(), 0.0)
    end = torch.cos(math.pi / 2 * (away - 0.75 * length).clamp_min(0) / (length / 4 + 1)) ** 2
    return torch.where(curvature > 0, chord * end, smooth)


def _edge(lines: Tensor, curvature: Tensor) -> tuple[Tensor, Tensor]:
    """Value and slope of p² at the last pixel, by least squares over the outermost twentieth."""
    width = min(lines.shape[-1], max(_LEAST_EDGE, lines.shape[-1] // _EDGE))
    back = torch.arange(1 - width, 1, dtype=lines.dtype, device=lines.device)
    square = lines[..., -width:].clamp_min(0) ** 2 + curvature * back**2
    design = torch.stack([torch.ones_like(back), back], dim=1)
    fit = square @ torch.linalg.pinv(design).T
    return fit[..., :1], fit[..., 1:]


def _curvature(lines: Tensor) -> Tensor:
    """4μ² per pixel² of every sample, (sample, 1, ..., 1)."""
    square = lines.detach().clamp_min(0).flatten(1, -2).square().mean(1)
    place = torch.linspace(-1, 1, lines.shape[-1], dtype=lines.dtype, device=lines.device)
    design = torch.stack([torch.ones_like(place), place, place**2], dim=1)
    fit = square @ torch.linalg.pinv(design).T
    per_pixel = (2 / max(lines.shape[-1] - 1, 1)) ** 2
    return (-fit[:, 2] * per_pixel).reshape(-1, *[1] * (lines.ndim - 1))
