"""Scan geometries in three dimensions: plain data and back, poses, limits, what they refuse."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import yaml

import learnedrecon as lr
from learnedrecon.errors import ConfigError, DataError, GeometryError
from learnedrecon.operators.ray.beam3d import RayVectors3D
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam, Orbit, ParallelBeam3D
from learnedrecon.operators.ray.transmission import Transmission
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.specs import named_from_plain, named_to_plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from learnedrecon.operators.ray.geometry3d import Geometry3D

TURN = 2 * math.pi
SHAPE, PIXEL = (4, 6, 8), (1.5, 1.0, 0.5)
ANGLES = (0.1, 0.9, 2.5)
PANEL = FlatPanel(5, 9, (1.25, 0.75), 0.5, -0.25)
PARALLEL = ParallelBeam3D(SHAPE, ANGLES, PANEL, PIXEL)
CONE = ConeBeam(SHAPE, AngleRange(4, arc=TURN), PANEL, 30.0, 20.0, PIXEL)
SCANS: dict[str, Geometry3D] = {
    "parallel": PARALLEL,
    "cone": CONE,
    "helix": ConeBeam(SHAPE, ANGLES, PANEL, 30.0, 20.0, PIXEL, Orbit(3.0, -1.0)),
    "laminography": ConeBeam(SHAPE, ANGLES, PANEL, 30.0, 20.0, PIXEL, Orbit(tilt=0.5)),
    "parallel laminography": ParallelBeam3D(SHAPE, ANGLES, PANEL, PIXEL, 0.4),
    "cone poses": CONE.to_vectors(),
    "parallel poses": PARALLEL.to_vectors(),
}


@pytest.mark.parametrize("name", SCANS)
def test_plain_data_and_back(name: str) -> None:
    spec = SCANS[name]
    plain = named_to_plain(OPERATORS, spec)
    for text in (yaml.safe_load(yaml.safe_dump(plain)), json.loads(json.dumps(plain))):
        back = named_from_plain(OPERATORS, text)
        assert back == spec
        assert hash(back) == hash(spec)
        assert type(back) is type(spec)


@pytest.mark.parametrize("name", SCANS)
def test_files_and_back(name: str, tmp_path: Path) -> None:
    path = tmp_path / "scan.yaml"
    lr.write_geometry(path, SCANS[name])
    assert lr.read_geometry(path) == SCANS[name]
    assert lr.read_operator(path) == SCANS[name]


def test_numpy_numbers_become_plain_ones() -> None:
    scan = ConeBeam(
        tuple(np.array(SHAPE)),
        np.array(ANGLES),  # type: ignore[arg-type]
        FlatPanel(np.int64(5), np.int32(9), np.array([1.25, 0.75]), np.float32(0.5), -0.25),  # type: ignore[arg-type]
        np.float32(30.0),  # type: ignore[arg-type]
        np.float64(20.0),
        np.array(PIXEL),  # type: ignore[arg-type]
    )
    assert scan == ConeBeam(SHAPE, ANGLES, PANEL, 30.0, 20.0, PIXEL)
    assert named_from_plain(OPERATORS, named_to_plain(OPERATORS, scan)) == scan


def test_one_number_stands_for_all() -> None:
    assert FlatPanel(2, 3, 0.5).pitches == (0.5, 0.5)
    assert ParallelBeam3D(SHAPE, ANGLES, PANEL, 2).pixel == (2.0, 2.0, 2.0)


def pixel_centre(scan: Geometry3D, view: int, row: int, column: int) -> np.ndarray:
    centre: np.ndarray = scan.rays().pixel_centres()[view, row, column]
    return centre


@pytest.mark.parametrize("name", [name for name in SCANS if "poses" not in name])
@pytest.mark.parametrize("view", [0, 2])
def test_the_central_ray_columns_and_rows(name: str, view: int) -> None:
    """They are perpendicular and right-handed, and the panel stands where it should."""
    scan = SCANS[name]
    assert isinstance(scan, (ConeBeam, ParallelBeam3D))
    theta, rays = scan.angle_values[view], scan.rays()
    tilt = scan.orbit.tilt if isinstance(scan, ConeBeam) else scan.tilt
    vector = rays.vectors[view]
    across, up = vector[6:9] / PANEL.pitches[1], vector[9:12] / PANEL.pitches[0]
    np.testing.assert_allclose(across, [math.cos(theta), math.sin(theta), 0], atol=1e-15)
    along = np.cross(up, across)
    np.testing.assert_allclose(
        along,
        [-math.sin(theta) * math.cos(tilt), math.cos(theta) * math.cos(tilt), math.sin(tilt)],
        atol=1e-15,
    )
    assert up[2] > 0
    middle = vector[3:6] + 4 * vector[6:9] + 2 * vector[9:12]
    foot = middle + PANEL.axis_offset * across + PANEL.vertical_offset * up
    axis = np.array([0.0, 0.0, -1.0 + 3.0 * theta / TURN if name == "helix" else 0.0])
    if isinstance(scan, ConeBeam):
        np.testing.assert_allclose(vector[:3], axis - 30 * along, atol=1e-13)
        np.testing.assert_allclose(foot, axis + 20 * along, atol=1e-13)
    else:
        np.testing.assert_allclose(vector[:3], along, atol=1e-15)
        np.testing.assert_allclose(foot, axis, atol=1e-13)


def test_the_plane_of_the_source_is_the_fan_beam() -> None:
    line = FlatDetector(9, 0.75, 0.5)
    assert CONE.mid_plane() == FanBeam((6, 8), CONE.angles, line, 30.0, 20.0, (1.0, 0.5))
    assert PARALLEL.mid_plane() == ParallelBeam((6, 8), ANGLES, line, (1.0, 0.5))
    flat = CONE.mid_plane().rays().vectors
    poses = ConeBeam(SHAPE, CONE.angles, FlatPanel(1, 9, 0.75, 0.5), 30.0, 20.0, PIXEL).rays()
    assert np.array_equal(poses.vectors[:, [0, 1, 3, 4, 6, 7]], flat)
    assert not poses.vectors[:, [2, 5, 8]].any()
    for name in ("helix", "laminography", "parallel laminography"):
        with pytest.raises(GeometryError, match="circular scan"):
            SCANS[name].mid_plane()  # type: ignore[union-attr]


def test_rows_of_a_geometry_are_its_views() -> None:
    for scan in SCANS.values():
        part = scan.subset([2, 0])
        assert part.data_shape == (2, 5, 9)
        assert np.array_equal(part.rays().vectors, scan.rays().vectors[[2, 0]])
        assert scan.subset(slice(None)).rays().angles == scan.data_shape[0]
        with pytest.raises(GeometryError, match=r"each in 0\.\."):
            scan.subset([-1])
    assert CONE.with_angles(AngleRange(2)).data_shape == (2, 5, 9)


def test_sizes() -> None:
    assert CONE.magnification == pytest.approx(50 / 30)
    assert PARALLEL.magnification == 1
    assert CONE.radius == pytest.approx(math.hypot(6.0, 4.0) / 2)
    assert CONE.half_height == 3.0


def test_the_share_that_the_panel_sees() -> None:
    """The volume is 10 mm across and 6 mm high; twice that on the panel of this cone."""

    def seen(rows: int, columns: int, offset: float = 0.0, orbit: Orbit | None = None) -> float:
        panel = FlatPanel(rows, columns, 0.5, 0.0, offset)
        if orbit is None:
            return ParallelBeam3D((6, 6, 8), ANGLES, panel).seen
        return ConeBeam((6, 6, 8), ANGLES, panel, 20.0, 20.0, 1.0, orbit).seen

    assert seen(100, 100) == 1.0
    assert seen(100, 10) == pytest.approx(0.5)
    assert seen(6, 10) == pytest.approx(0.25)
    assert seen(12, 100, 3.0) == pytest.approx(0.5)
    assert seen(12, 100, 9.0) == 0.0
    assert seen(12, 100, 0.0, Orbit()) == pytest.approx(0.5)
    assert seen(12, 100, -6.0, Orbit(height=3.0)) == pytest.approx(0.5)
    assert seen(1, 100, 0.0, Orbit(1.0)) == 1.0
    assert CONE.to_vectors().seen == 1.0


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "no rows": (lambda: FlatPanel(0, 3), "at least 1 row"),
    "half a column": (lambda: FlatPanel(2, 2.5), "whole number"),  # type: ignore[arg-type]
    "no pitch": (lambda: FlatPanel(2, 2, (1.0, 0.0)), r"\(dv, du\), > 0 mm"),
    "three pitches": (lambda: FlatPanel(2, 2, (1.0, 1.0, 1.0)), "pitch"),  # type: ignore[arg-type]
    "nan offset": (lambda: FlatPanel(2, 2, 1.0, math.nan), "finite offsets"),
    "an image": (lambda: ParallelBeam3D((4, 4), ANGLES, PANEL), r"\(nz, ny, nx\)"),  # type: ignore[arg-type]
    "no voxels": (lambda: ParallelBeam3D((4, 0, 4), ANGLES, PANEL), r"\(nz, ny, nx\)"),
    "one size": (lambda: ParallelBeam3D(8, ANGLES, PANEL), r"slices come first"),  # type: ignore[arg-type]
    "two voxel sizes": (lambda: ParallelBeam3D(SHAPE, ANGLES, PANEL, (1.0, 1.0)), "voxel size"),  # type: ignore[arg-type]
    "negative voxels": (lambda: ParallelBeam3D(SHAPE, ANGLES, PANEL, -1.0), "voxel size"),
    "no angles": (lambda: ParallelBeam3D(SHAPE, (), PANEL), "at least one angle"),
    "degrees": (lambda: ParallelBeam3D(SHAPE, (0.0, 90.0), PANEL), r"math\.radians"),
    "a line": (lambda: ParallelBeam3D(SHAPE, ANGLES, FlatDetector(4)), r"FlatPanel\(rows, columns"),  # type: ignore[arg-type]
    "tilt in degrees": (lambda: ParallelBeam3D(SHAPE, ANGLES, PANEL, 1.0, 30.0), "between -π/2"),
    "orbit in degrees": (lambda: Orbit(tilt=30.0), "between -π/2"),
    "a tilted helix": (lambda: Orbit(3.0, 0.0, 0.1), "RayVectors3D"),
    "an endless helix": (lambda: Orbit(math.inf), "finite helical pitch"),
    "source inside": (lambda: ConeBeam(SHAPE, ANGLES, PANEL, 3.0, 1.0), "radius 5 mm"),
    "source in the board": (
        lambda: ConeBeam(SHAPE, ANGLES, PANEL, 5.0, 1.0, 1.0, Orbit(tilt=0.4)),
        "outside the volume",
    ),
    "source behind": (lambda: ConeBeam(SHAPE, ANGLES, PANEL, -30.0, 1.0), "outside the volume"),
    "detector before": (lambda: ConeBeam(SHAPE, ANGLES, PANEL, 30.0, -1.0), "behind the axis"),
    "a number for an orbit": (
        lambda: ConeBeam(SHAPE, ANGLES, PANEL, 30.0, 1.0, 1.0, 5.0),  # type: ignore[arg-type]
        r"Orbit\(helical_pitch",
    ),
    "six numbers": (lambda: RayVectors3D(SHAPE, np.ones((3, 6)), (2, 2)), r"\(views, 12\)"),  # type: ignore[arg-type]
    "no poses": (lambda: RayVectors3D(SHAPE, (), (2, 2)), r"\(views, 12\)"),
    "text for poses": (lambda: RayVectors3D(SHAPE, (("a",) * 12,), (2, 2)), "table of twelve"),  # type: ignore[arg-type]
    "one detector size": (lambda: RayVectors3D(SHAPE, CONE.to_vectors().vectors, (2,)), "rows"),  # type: ignore[arg-type]
    "fan": (
        lambda: RayVectors3D(SHAPE, CONE.to_vectors().vectors, (2, 2), 1.0, "fan"),  # type: ignore[arg-type]
        "'cone' or 'parallel'",
    ),
    "pose inside": (
        lambda: RayVectors3D((80, 80, 80), CONE.to_vectors().vectors, (2, 2)),
        "sources outside the volume",
    ),
    "transmission": (lambda: Transmission(CONE), "a Beam"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", WRONG)
def test_refuses(name: str) -> None:
    make, words = WRONG[name]
    with pytest.raises(GeometryError, match=words) as caught:
        make()
    assert "What to do:" in str(caught.value)


def test_poses_that_are_not_finite() -> None:
    vectors = np.array(CONE.to_vectors().vectors)
    vectors[1, 4] = math.nan
    with pytest.raises(DataError, match="at angle 1"):
        RayVectors3D(SHAPE, vectors, (5, 9))  # type: ignore[arg-type]


def test_a_source_above_a_board_is_taken() -> None:
    """In laminography a source may be nearer to the axis than the corners of a flat object."""
    scan = ConeBeam((2, 60, 60), ANGLES, PANEL, 30.0, 20.0, 1.0, Orbit(tilt=0.7))
    assert scan.radius > 30


def test_wrong_values_in_a_file_keep_their_message_and_path() -> None:
    plain = named_to_plain(OPERATORS, CONE)
    plain["detector"]["pitch"] = -1.0
    with pytest.raises(GeometryError, match=r"In 'operator\.detector': .*pitch"):
        named_from_plain(OPERATORS, plain, "operator")
    plain = named_to_plain(OPERATORS, SCANS["helix"])
    plain["orbit"]["helical_ptch"] = plain["orbit"].pop("helical_pitch")
    with pytest.raises(ConfigError, match=r"'T\.orbit\.helical_ptch'.*'helical_pitch'"):
        named_from_plain(OPERATORS, plain, "T")


def test_poses_are_the_same_operator() -> None:
    for name in ("cone", "helix", "laminography", "parallel laminography"):
        scan = SCANS[name]
        u = torch.randn(SHAPE, dtype=torch.float64)
        expected = lr.operators.RayTransform3D(scan)(u)
        assert torch.equal(lr.operators.RayTransform3D(scan.to_vectors())(u), expected)
        assert expected.abs().max() > 0.1
