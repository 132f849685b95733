"""ODL's geometries: closed forms whose rays are ODL's own functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.operators.ray.gaussians import Blob, integrals, values

from learnedrecon.errors import DtypeError, GeometryError
from learnedrecon.operators.adapters.odl_geometry import geometry_from_odl
from learnedrecon.operators.ray.arranged import ArrangedTransform
from learnedrecon.operators.ray.beam2d import RayVectors2D
from learnedrecon.operators.ray.beam3d import RayVectors3D
from learnedrecon.operators.ray.curved import CurvedFanBeam
from learnedrecon.operators.ray.geometry2d import FanBeam, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam, ParallelBeam3D

odl = pytest.importorskip("odl")
tomo = pytest.importorskip("odl.applications.tomo")

if TYPE_CHECKING:
    from collections.abc import Callable

PLANE = odl.uniform_discr([-14, -11], [14, 11], [42, 36])
ASIDE = odl.uniform_discr([-12, -11], [16, 12], [42, 36])
SPACE = odl.uniform_discr([-11, -9, -8], [11, 9, 8], [22, 20, 16])
ANGLES = odl.uniform_partition(0, 2 * np.pi, 5)
LINE = odl.uniform_partition(-22, 25, 61)
ARC = odl.uniform_partition(-0.3, 0.33, 61)
PANEL = odl.uniform_partition([-18, -13], [20, 14], [30, 21])
TURNS = odl.uniform_partition(0, 4 * np.pi, 5)

CASES: dict[str, tuple[Callable[[], Any], Any, type]] = {
    "parallel": (lambda: tomo.Parallel2dGeometry(ANGLES, LINE), PLANE, ParallelBeam),
    "parallel, space aside": (lambda: tomo.Parallel2dGeometry(ANGLES, LINE), ASIDE, RayVectors2D),
    "parallel, begun elsewhere": (
        lambda: tomo.Parallel2dGeometry(ANGLES, LINE, det_pos_init=(0.6, 0.8)),
        PLANE,
        ParallelBeam,
    ),
    "fan": (lambda: tomo.FanBeamGeometry(ANGLES, LINE, 60.0, 30.0), PLANE, FanBeam),
    "fan, space aside": (
        lambda: tomo.FanBeamGeometry(ANGLES, LINE, 60.0, 30.0),
        ASIDE,
        RayVectors2D,
    ),
    "fan, translated": (
        lambda: tomo.FanBeamGeometry(ANGLES, LINE, 60.0, 30.0, translation=(1.0, 0.5)),
        PLANE,
        RayVectors2D,
    ),
    "arc": (
        lambda: tomo.FanBeamGeometry(ANGLES, ARC, 60.0, 30.0, det_curvature_radius=90.0),
        PLANE,
        CurvedFanBeam,
    ),
    "panel": (lambda: tomo.Parallel3dAxisGeometry(ANGLES, PANEL), SPACE, ParallelBeam3D),
    "panel about y": (
        lambda: tomo.Parallel3dAxisGeometry(ANGLES, PANEL, axis=(0, 1, 0)),
        SPACE,
        RayVectors3D,
    ),
    "cone": (lambda: tomo.ConeBeamGeometry(ANGLES, PANEL, 60.0, 20.0), SPACE, ConeBeam),
    "helix": (
        lambda: tomo.ConeBeamGeometry(TURNS, PANEL, 60.0, 20.0, pitch=3.0),
        SPACE,
        RayVectors3D,
    ),
}


def rays_of(
    geometry: Any,
    angle: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Points and directions of all rays of one view, (*detector, axes), by ODL."""
    places = geometry.det_partition.grid.coord_vectors
    grid = [axis.ravel() for axis in np.meshgrid(*places, indexing="ij")]
    shape = tuple(len(axis) for axis in places)
    given = grid[0] if len(grid) == 1 else grid
    points = np.asarray(geometry.det_point_position(angle, given)).reshape(*shape, -1)
    if hasattr(geometry, "src_position"):
        return points, points - geometry.src_position(angle)
    corner = grid[0][0] if len(grid) == 1 else [axis[0] for axis in grid]
    return points, np.broadcast_to(geometry.det_to_src(angle, corner), points.shape)


@pytest.mark.parametrize("name", CASES)
def test_projections_in_odl_s_coordinates(name: str) -> None:
    make, space, kind = CASES[name]
    geometry = make()
    centre, other = (2.0, -1.5, 0.7)[: geometry.ndim], (-1.5, 2.0, -0.5)[: geometry.ndim]
    blobs = [Blob(centre, 2.1), Blob(other, 1.9, 0.5)]
    expected = np.stack([integrals(blobs, *rays_of(geometry, a)) for a in geometry.angles])
    arranged = geometry_from_odl(geometry, space)
    assert type(arranged.geometry) is kind
    grid = np.meshgrid(*space.partition.grid.coord_vectors, indexing="ij")
    image = torch.from_numpy(values(blobs, grid))
    found = ArrangedTransform(arranged, torch.float64)(image).numpy()
    assert found.shape == expected.shape
    assert np.linalg.norm(found - expected) < 3e-2 * np.linalg.norm(expected)


def test_offsets_and_distances() -> None:
    fan = geometry_from_odl(tomo.FanBeamGeometry(ANGLES, LINE, 60.0, 30.0), PLANE).geometry
    assert isinstance(fan, FanBeam)
    assert math.isclose(fan.source_origin, 60.0)
    assert math.isclose(fan.origin_detector, 30.0)
    assert math.isclose(fan.detector.axis_offset, -1.5, abs_tol=1e-12)
    assert math.isclose(fan.detector.pitch, 47 / 61)


def test_refuses() -> None:
    fan = tomo.FanBeamGeometry(ANGLES, ARC, 60.0, 30.0, det_curvature_radius=50.0)
    with pytest.raises(GeometryError, match="an arc around the source"):
        geometry_from_odl(fan, PLANE)
    euler = odl.uniform_partition([0, 0], [1, 1], [3, 4])
    with pytest.raises(GeometryError, match="one angle for each view"):
        geometry_from_odl(tomo.Parallel3dEulerGeometry(euler, PANEL), SPACE)
    with pytest.raises(GeometryError, match="as many axes"):
        geometry_from_odl(tomo.Parallel2dGeometry(ANGLES, LINE), SPACE)
    with pytest.raises(DtypeError, match="hand over the geometry"):
        geometry_from_odl(PLANE, PLANE)
