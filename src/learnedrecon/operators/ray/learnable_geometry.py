"""Learnable scan geometries: angles, axis offset or pose vectors as tensors."""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch
from typing import TYPE_CHECKING, cast

import torch

from learnedrecon.errors import DataError, DtypeError, GeometryError, ShapeError, describe
from learnedrecon.operators.fields import require_radians
from learnedrecon.operators.leading import require_leading
from learnedrecon.operators.ray.curved import CurvedFanBeam
from learnedrecon.operators.ray.geometry2d import FanBeam, ParallelBeam
from learnedrecon.operators.space import require_tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from learnedrecon.operators.ray.planar import PlanarGeometry, RotatingGeometry

NAMES = ("angles", "axis_offset", "vectors")
OWN_AXES = {"angles": 1, "axis_offset": 0, "vectors": 2}


def vectors_of(geometry: PlanarGeometry, tensors: Mapping[str, Tensor]) -> Tensor:
    """The pose vectors of a scan, differentiable in the given tensors.

    Args:
        geometry: Scan, which gives everything that no tensor replaces.
        tensors: "angles" (*lead, angles) in radians and "axis_offset" (*lead) in mm, as in
            :class:`FlatDetector` (in radians, as in :class:`ArcDetector`, for a curved one), with
            leading axes that broadcast; or "vectors" (*lead, angles, 6) in mm, as in
            :class:`RayGeometry2D`.

    Returns:
        Vectors (*lead, poses, 6) float64, one pose for each angle, or for each ray of a curved
        detector.
    """
    if "vectors" in tensors:
        return tensors["vectors"].double()
    scan = cast("RotatingGeometry", geometry)
    angles = torch.tensor(scan.angle_values, dtype=torch.float64)
    offset = torch.tensor(scan.detector.axis_offset, dtype=torch.float64)
    angles, offset = tensors.get("angles", angles), tensors.get("axis_offset", offset)
    device = next((tensor.device for tensor in tensors.values()), angles.device)
    angles, offset = angles.to(device, torch.float64), offset.to(device, torch.float64)
    cos, sin = angles.cos(), angles.sin()
    frames = torch.stack([-sin, cos], -1), torch.stack([cos, sin], -1)
    parts = _poses(scan, *frames, offset)
    shape = torch.broadcast_shapes(*(part.shape for part in parts))
    return torch.cat([part.expand(shape) for part in parts], dim=-1)


Poses = tuple["Tensor", "Tensor", "Tensor"]


@singledispatch
def _poses(geometry: RotatingGeometry, direction: Tensor, along: Tensor, offset: Tensor) -> Poses:
    """Source or direction, first pixel and step of every pose, (*lead, poses, 2).

    Args:
        geometry: the scan.
        direction: unit vectors of the central rays, (*lead, angles, 2).
        along: those of the detector.
        offset: of the axis, (*lead).
    """
    raise NotImplementedError(type(geometry).__name__)


@_poses.register(ParallelBeam)
def _(geometry: ParallelBeam, direction: Tensor, along: Tensor, offset: Tensor) -> Poses:
    return direction, _first(geometry, offset)[..., None] * along, geometry.detector.pitch * along


@_poses.register(FanBeam)
def _(geometry: FanBeam, direction: Tensor, along: Tensor, offset: Tensor) -> Poses:
    first = geometry.origin_detector * direction + _first(geometry, offset)[..., None] * along
    return -geometry.source_origin * direction, first, geometry.detector.pitch * along


@_poses.register(CurvedFanBeam)
def _(geometry: CurvedFanBeam, direction: Tensor, along: Tensor, offset: Tensor) -> Poses:
    """As :meth:`CurvedFanBeam.rays`: one pose for each ray."""
    detector = geometry.detector
    steps = torch.arange(detector.pixels, dtype=offset.dtype, device=offset.device)
    gamma = (_first(geometry, offset) + detector.pitch * steps)[..., None, :, None]
    direction, along = direction[..., None, :], along[..., None, :]
    cos, sin = gamma.cos(), gamma.sin()
    across = cos * along - sin * direction
    foot = geometry.source_origin * sin * across
    parts = (cos * direction + sin * along, foot, geometry.source_origin * detector.pitch * across)
    return tuple(part.flatten(-3, -2) for part in parts)  # type: ignore[return-value]


def _first(geometry: RotatingGeometry, offset: Tensor) -> Tensor:
    """The position of the first pixel, (*lead, 1)."""
    detector = geometry.detector
    return (-0.5 * (detector.pixels - 1) * detector.pitch - offset)[..., None]


def is_one_scan(tensors: Mapping[str, Tensor]) -> bool:
    """True where the tensors describe one scan in angles and offset, as :func:`with_values` needs.

    Args:
        tensors: Tensors by name, as in :func:`vectors_of`.
    """
    return all(name != "vectors" and t.ndim == OWN_AXES[name] for name, t in tensors.items())


def with_values(geometry: PlanarGeometry, tensors: Mapping[str, Tensor]) -> PlanarGeometry:
    """The geometry with the values of the tensors in place of its own.

    Args:
        geometry: Scan, which gives everything that no tensor replaces.
        tensors: Tensors by name, as in :func:`vectors_of`.

    Raises:
        GeometryError: No geometry describes them: there is one for each sample, or vectors.
    """
    if any(name == "vectors" or t.ndim > OWN_AXES[name] for name, t in tensors.items()):
        raise GeometryError(
            describe(
                expected="a scan with one list of angles and one axis offset",
                found="tensors of shapes "
                + ", ".join(f"{n} {tuple(t.shape)}" for n, t in tensors.items()),
                fix="use a method that needs only T and T*, unlike filtered backprojection",
            )
        )
    if not tensors:
        return geometry
    scan = cast("RotatingGeometry", geometry)
    if "angles" in tensors:
        scan = scan.with_angles(tuple(tensors["angles"].tolist()))
    if "axis_offset" in tensors:
        offset = float(tensors["axis_offset"])
        moved = replace(scan.detector, axis_offset=offset)
        scan = replace(scan, detector=moved)  # type: ignore[arg-type]
    return scan


def rows_of(tensors: Mapping[str, Tensor], rows: tuple[int, ...]) -> dict[str, Tensor]:
    """The tensors of some angles of a scan.

    Args:
        tensors: Tensors by name, as in :func:`vectors_of`.
        rows: Indices of the angles.
    """
    axis = {"angles": -1, "vectors": -2}
    return {
        name: tensor.index_select(axis[name], torch.tensor(rows, device=tensor.device))
        if name in axis
        else tensor
        for name, tensor in tensors.items()
    }


def require_names(tensors: Mapping[str, Tensor], geometry: PlanarGeometry) -> None:
    """Check of the names of tensors; vectors exclude angles and offset.

    Args:
        tensors: Tensors by name.
        geometry: Scan, which says what tensors may replace.

    Raises:
        GeometryError: A name is unknown, or vectors are combined with what they replace.
    """
    if any(set(tensors) <= names for names in geometry.variables):
        return
    sets = (" and ".join(f"'{name}'" for name in sorted(names)) for names in geometry.variables)
    raise GeometryError(
        describe(
            expected=f"{', or '.join(sets)} for {type(geometry).__name__}",
            found=", ".join(sorted(tensors)),
            fix="remove the others, or use an operator that has them",
        )
    )


def require_shapes(tensors: Mapping[str, Tensor], geometry: PlanarGeometry) -> None:
    """Check of the dtypes and shapes of tensors against a scan.

    Args:
        tensors: Tensors by name, as in :func:`vectors_of`.
        geometry: Scan.

    Raises:
        DtypeError: Not a tensor of floats.
        ShapeError: Another number of angles, or a single leading axis where images have two.
    """
    angles = geometry.data_shape[0]
    last = {"angles": (angles,), "axis_offset": (), "vectors": (angles, 6)}
    for name, tensor in tensors.items():
        _require_floats(tensor, name, last[name])
        require_leading(tensor, len(last[name]), name)


def require_values(tensors: Mapping[str, Tensor], geometry: PlanarGeometry) -> None:
    """Check of the values of tensors against a scan.

    Args:
        tensors: Tensors by name, as in :func:`vectors_of`.
        geometry: Scan.

    Raises:
        DataError: A number is not finite.
        GeometryError: Degrees, or vectors that :class:`RayGeometry2D` refuses.
    """
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise DataError(
                describe(
                    expected=f"finite '{name}'",
                    found="NaN or infinity",
                    fix="lower the step size of the descent, or look for missing values",
                )
            )
    if "angles" in tensors:
        require_radians(*(float(end) for end in tensors["angles"].detach().aminmax()))
    if "vectors" in tensors:
        nominal, plain = geometry.rays(), tensors["vectors"].detach().double().cpu()
        for vectors in plain.reshape(-1, *plain.shape[-2:]).numpy():
            replace(nominal, vectors=vectors)


def _require_floats(tensor: Tensor, name: str, last: tuple[int, ...]) -> None:
    require_tensor(tensor, f"'{name}'")
    if not tensor.is_floating_point():
        raise DtypeError(
            describe(
                expected=f"'{name}' of floats",
                found=str(tensor.dtype),
                fix="convert it, for example with .double()",
            )
        )
    if tensor.ndim < len(last) or tuple(tensor.shape[tensor.ndim - len(last) :]) != last:
        axes = ", ".join(["*lead", *map(str, last)])
        raise ShapeError(
            describe(
                expected=f"'{name}' of shape ({axes})",
                found=f"{tuple(tensor.shape)}",
                fix="give one for every angle of the scan, after the leading axes",
            )
        )
