"""Poses that are those of a parallel, fan or circular cone beam, as that beam."""

from __future__ import annotations

import math
from functools import singledispatch
from typing import TYPE_CHECKING

import numpy as np

from learnedrecon.errors import GeometryError
from learnedrecon.operators.ray.beam2d import RayVectors2D
from learnedrecon.operators.ray.beam3d import RayVectors3D
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam, Orbit, ParallelBeam3D

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from learnedrecon.operators.ray.geometry3d import Geometry3D
    from learnedrecon.operators.ray.planar import PlanarGeometry

    Array = NDArray[np.float64]

_NEAR = 1e-11


@singledispatch
def nominal(
    scan: PlanarGeometry | Geometry3D,
    angles: Sequence[float] | None = None,  # noqa: ARG001 - what other kinds look at
) -> PlanarGeometry | Geometry3D:
    """The beam whose rays are those of poses, to 1e-11 of its size; the poses where there is none.

    Parallel beams, fans, circular cones and parallel beams with a panel are found, without a tilt,
    and with the offsets of their detectors. Others are returned as they are.

    Args:
        scan: Poses, :class:`RayVectors2D` or :class:`RayVectors3D`.
        angles: Those of the views in radians where they are known; from the poses unless given.
    """
    return scan


@nominal.register(RayVectors2D)
def _(scan: RayVectors2D, angles: Sequence[float] | None = None) -> PlanarGeometry:
    first, pixel, step = np.split(np.array(scan.vectors), 3, axis=1)
    pitch = float(np.linalg.norm(step, axis=1).mean())
    theta = np.arctan2(step[:, 1], step[:, 0])
    values = tuple(theta if angles is None else angles)
    direction, along = _frames(theta)
    start = float(_dot(pixel, along).mean())
    try:
        offset = _whole(-start - (scan.detector - 1) / 2 * pitch)
        line = FlatDetector(scan.detector, pitch, offset)
        if scan.beam == "parallel":
            beam: PlanarGeometry = ParallelBeam(scan.shape, values, line, scan.pixel_size)
        else:
            near, far = -_dot(first, direction).mean(), _dot(pixel, direction).mean()
            beam = FanBeam(scan.shape, values, line, float(near), _whole(far), scan.pixel_size)
    except GeometryError:
        return scan
    return beam if _is_same(scan.rays().vectors, beam.rays().vectors, scan.beam) else scan


@nominal.register(RayVectors3D)
def _(scan: RayVectors3D, angles: Sequence[float] | None = None) -> Geometry3D:
    first, pixel, column, row = np.split(np.array(scan.vectors), 4, axis=1)
    du, dv = (float(np.linalg.norm(step, axis=1).mean()) for step in (column, row))
    theta = np.arctan2(column[:, 1], column[:, 0])
    values = tuple(theta if angles is None else angles)
    direction, along = (
        np.concatenate([frame, np.zeros((len(frame), 1))], axis=1) for frame in _frames(theta)
    )
    height = _whole(first[:, 2].mean()) if scan.beam == "cone" else 0.0
    rows, columns = scan.detector
    start, bottom = float(_dot(pixel, along).mean()), float(pixel[:, 2].mean()) - height
    try:
        panel = FlatPanel(
            rows,
            columns,
            du if du == dv else (dv, du),
            _whole(-start - (columns - 1) / 2 * du),
            _whole(-bottom - (rows - 1) / 2 * dv),
        )
        if scan.beam == "parallel":
            beam: Geometry3D = ParallelBeam3D(scan.shape, values, panel, scan.pixel_size)
        else:
            near, far = -_dot(first, direction).mean(), _dot(pixel, direction).mean()
            distances, orbit = (float(near), _whole(far)), Orbit(height=height)
            beam = ConeBeam(scan.shape, values, panel, *distances, scan.pixel_size, orbit)
    except GeometryError:
        return scan
    return beam if _is_same(scan.rays().vectors, beam.rays().vectors, scan.beam) else scan


def _is_same(poses: Array, beam: Array, kind: str) -> bool:
    """True if all rays are the same lines."""
    size, near = len(poses[0]) // (4 if len(poses[0]) == 12 else 3), _NEAR * np.abs(poses).max()
    if kind == "parallel":
        rays = [
            part[:, :size] / np.linalg.norm(part[:, :size], axis=1)[:, None]
            for part in (poses, beam)
        ]
        turned = rays[0] * np.sign(_dot(*rays))[:, None]
        gap = poses[:, size:] - beam[:, size:]
        first = gap[:, :size] - _dot(gap[:, :size], rays[1])[:, None] * rays[1]
        parts = [(turned - rays[1]) * np.abs(poses).max(), first, gap[:, size:]]
    else:
        parts = [poses - beam]
    return all(float(np.abs(part).max()) <= near for part in parts)


def _whole(value: float) -> float:
    """A length, 0 where it is rounding."""
    return 0.0 if math.isclose(value, 0.0, abs_tol=1e-9) else float(value)


def _frames(theta: Array) -> tuple[Array, Array]:
    cos, sin = np.cos(theta), np.sin(theta)
    return np.stack([-sin, cos], axis=1), np.stack([cos, sin], axis=1)


def _dot(first: Array, second: Array) -> Array:
    return np.einsum("vj,vj->v", first, second)
