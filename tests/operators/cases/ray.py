"""Ray transforms, in every geometry."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.operators.ray.arranged import Arranged, ArrangedTransform
from learnedrecon.operators.ray.beam2d import RayVectors2D
from learnedrecon.operators.ray.curved import CurvedFanBeam
from learnedrecon.operators.ray.detectors import ArcDetector
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam, Orbit, ParallelBeam3D
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.ray.geometry3d import Geometry3D
    from learnedrecon.operators.ray.planar import PlanarGeometry

_FULL_TURN = AngleRange(6, arc=2 * math.pi)
_PLANAR: dict[str, PlanarGeometry] = {
    "parallel_beam": ParallelBeam((10, 10), AngleRange(7), FlatDetector(15)),
    "parallel_beam, axes": ParallelBeam((6, 6), (0.0, math.pi / 2, math.pi), FlatDetector(7)),
    "parallel_beam, one ray": ParallelBeam((3, 5), (0.3,), FlatDetector(1)),
    "parallel_beam, offset": ParallelBeam(
        (9, 9), (2.0, -0.1, 0.4), FlatDetector(13, 0.9, axis_offset=1.7)
    ),
    "parallel_beam, wide": ParallelBeam((5, 12), AngleRange(6, start=0.2), FlatDetector(14, 1.1)),
    "parallel_beam, anisotropic": ParallelBeam(
        (8, 7), AngleRange(5), FlatDetector(11, 0.7), (0.5, 1.4)
    ),
    "fan_beam": FanBeam((10, 10), _FULL_TURN, FlatDetector(16, 1.7), 40.0, 25.0),
    "fan_beam, offset": FanBeam(
        (7, 9), _FULL_TURN, FlatDetector(12, 2.0, 1.3), 30.0, 0.0, (1.2, 0.8)
    ),
    "curved_fan_beam": CurvedFanBeam((10, 10), _FULL_TURN, ArcDetector(16, 0.05), 20.0),
    "curved_fan_beam, offset": CurvedFanBeam(
        (7, 9), _FULL_TURN, ArcDetector(12, 0.04, 0.03), 14.0, (1.2, 0.8)
    ),
    "ray_vectors_2d": RayVectors2D(
        (7, 9),
        ((0.2, 1.0, -4.0, 0.3, 0.8, 0.1), (1.0, -0.4, 0.1, -3.0, 0.2, 0.7)),
        9,
        1.1,
        "parallel",
    ),
    "ray_vectors_2d, fan": RayVectors2D(
        (6, 5), ((0.3, -9.0, -5.0, 8.0, 1.2, 0.1), (9.5, 0.7, -7.0, -4.0, 0.1, 1.1)), 8
    ),
}
_TURN = 2 * math.pi
_PANEL = FlatPanel(5, 7, (1.6, 1.3), 0.4, -0.3)
_SHAPE, _PIXEL = (4, 5, 6), (1.2, 1.0, 0.8)
_HELIX = AngleRange(5, -_TURN, 2 * _TURN)
_SPATIAL: dict[str, Geometry3D] = {
    "cone_beam": ConeBeam(_SHAPE, AngleRange(4, arc=_TURN), _PANEL, 30.0, 20.0, _PIXEL),
    "cone_beam, helix": ConeBeam(_SHAPE, _HELIX, _PANEL, 30.0, 20.0, _PIXEL, Orbit(2.5, 0.3)),
    "cone_beam, laminography": ConeBeam(
        _SHAPE, AngleRange(4, arc=_TURN), _PANEL, 30.0, 20.0, _PIXEL, Orbit(tilt=1.1)
    ),
    "parallel_beam_3d": ParallelBeam3D(_SHAPE, AngleRange(4, 0.1), _PANEL, _PIXEL),
    "parallel_beam_3d, axes": ParallelBeam3D((3, 4, 4), (0.0, math.pi / 2), FlatPanel(3, 4)),
    "parallel_beam_3d, tilted": ParallelBeam3D(
        _SHAPE, AngleRange(4, arc=_TURN), _PANEL, _PIXEL, -0.9
    ),
    "ray_vectors_3d": ConeBeam(_SHAPE, (0.3, 2.0), _PANEL, 12.0, 9.0, _PIXEL).to_vectors(),
}


def _planar(geometry: PlanarGeometry, dtype: torch.dtype) -> Operator:
    return RayTransform(geometry, dtype)


def _spatial(geometry: Geometry3D, dtype: torch.dtype) -> Operator:
    return RayTransform3D(geometry, dtype)


def _own_angles(dtype: torch.dtype) -> tuple[Operator, Tensor]:
    """One scan for each of two samples."""
    angles = torch.tensor([[0.1, 0.9, 2.0], [0.3, 1.2, 2.8]], dtype=torch.float64)
    scan = ParallelBeam((6, 7), (0.0, 1.0, 2.0), FlatDetector(11))
    operator = RayTransform(scan, dtype).with_tensors({"angles": angles[:, None]})
    return operator, operator.domain.random(torch.Generator().manual_seed(0), (2, 1))


CASES: dict[str, Callable[[torch.dtype], Operator | tuple[Operator, Tensor]]] = {
    **{name: partial(_planar, scan) for name, scan in _PLANAR.items()},
    **{name: partial(_spatial, scan) for name, scan in _SPATIAL.items()},
    "arranged": lambda dtype: ArrangedTransform(
        Arranged(_PLANAR["parallel_beam, wide"], ("x", "-y"), ("column", "-angle")), dtype
    ),
    "arranged, cone": lambda dtype: ArrangedTransform(
        Arranged(_SPATIAL["cone_beam"], data_axes=("row", "angle", "column")), dtype
    ),
    "parallel_beam, angles per sample": _own_angles,
    "parallel_beam, subset": lambda dtype: RayTransform(
        _PLANAR["parallel_beam, wide"], dtype
    ).subset([4, 0, 1]),
}
