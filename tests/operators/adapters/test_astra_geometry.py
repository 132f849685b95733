"""ASTRA's geometries: closed forms in its documented coordinates, and the way back.

`tests/peers/test_astra_geometry.py` compares with ASTRA's own projections.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.operators.ray.gaussians import Blob, integrals, values

from learnedrecon.errors import GeometryError
from learnedrecon.operators.adapters.astra_geometry import geometry_from_astra, geometry_to_astra
from learnedrecon.operators.ray.arranged import ArrangedTransform
from learnedrecon.operators.ray.beam2d import RayVectors2D
from learnedrecon.operators.ray.beam3d import RayVectors3D
from learnedrecon.operators.ray.curved import CurvedFanBeam
from learnedrecon.operators.ray.detectors import ArcDetector
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam, Orbit, ParallelBeam3D

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ANGLES = np.array([0.2, 1.1, 2.9, 4.4])
COS, SIN, NONE = np.cos(ANGLES), np.sin(ANGLES), np.zeros(4)
AWAY, ALONG = np.stack([SIN, -COS], 1), np.stack([COS, SIN], 1)
AWAY3, ALONG3 = np.stack([SIN, -COS, NONE], 1), np.stack([COS, SIN, NONE], 1)
UP = np.stack([NONE, NONE, NONE + 1], 1)
SHIFT = np.array([0.4, -0.3])


def table(*parts: Array) -> Array:
    return np.concatenate(parts, axis=1)


# Each with source or direction, centre of the detector, and steps per column and row.
PLANAR: dict[str, tuple[dict[str, Any], list[Array]]] = {
    "parallel": (
        {"type": "parallel", "DetectorWidth": 0.9, "DetectorCount": 40, "ProjectionAngles": ANGLES},
        [AWAY, 0 * AWAY, 0.9 * ALONG],
    ),
    "fanflat": (
        {
            "type": "fanflat",
            "DetectorWidth": 1.2,
            "DetectorCount": 45,
            "ProjectionAngles": ANGLES,
            "DistanceOriginSource": 60.0,
            "DistanceOriginDetector": 25.0,
        },
        [60 * AWAY, -25 * AWAY, 1.2 * ALONG],
    ),
}
for _name, _kind in (("parallel", "parallel_vec"), ("fanflat", "fanflat_vec")):
    _parts = [PLANAR[_name][1][0], PLANAR[_name][1][1] + SHIFT, PLANAR[_name][1][2]]
    PLANAR[_kind] = ({"type": _kind, "DetectorCount": 44, "Vectors": table(*_parts)}, _parts)

PANEL = {"DetectorRowCount": 21, "DetectorColCount": 34}
SPACING = {"DetectorSpacingX": 1.1, "DetectorSpacingY": 1.3, "ProjectionAngles": ANGLES}
DISTANCES = {"DistanceOriginSource": 60.0, "DistanceOriginDetector": 25.0}
SPATIAL: dict[str, tuple[dict[str, Any], list[Array]]] = {
    "parallel3d": (
        {"type": "parallel3d", **PANEL, **SPACING},
        [AWAY3, 0 * AWAY3, 1.1 * ALONG3, 1.3 * UP],
    ),
    "cone": (
        {"type": "cone", **PANEL, **SPACING, **DISTANCES},
        [60 * AWAY3, -25 * AWAY3, 1.1 * ALONG3, 1.3 * UP],
    ),
}
for _name, _kind in (("parallel3d", "parallel3d_vec"), ("cone", "cone_vec")):
    _parts = [SPATIAL[_name][1][0] + 0.2 * UP, *SPATIAL[_name][1][1:]]
    SPATIAL[_kind] = ({"type": _kind, **PANEL, "Vectors": table(*_parts)}, _parts)


def window(*ends: float) -> dict[str, float]:
    names = [f"Window{end}{axis}" for axis in "XYZ" for end in ("Min", "Max")]
    return dict(zip(names, ends, strict=False))


VOLUMES: dict[str, dict[str, Any]] = {
    "unit pixels": {"GridRowCount": 28, "GridColCount": 30, "option": {}},
    "window beside the origin": {
        "GridRowCount": 28,
        "GridColCount": 30,
        "option": window(-13.0, 14.0, -11.0, 13.0),
    },
}


def centres(number: int, least: float, most: float) -> Array:
    return least + (np.arange(number) + 0.5) * (most - least) / number


@pytest.mark.parametrize("volume", VOLUMES)
@pytest.mark.parametrize("kind", PLANAR)
def test_projections_of_an_image(kind: str, volume: str) -> None:
    """Rows of ASTRA's images begin at the largest y."""
    rays, (first, centre, step) = PLANAR[kind]
    pixels = rays["DetectorCount"]
    option = VOLUMES[volume]["option"] or window(-15.0, 15.0, -14.0, 14.0)
    x = centres(30, option["WindowMinX"], option["WindowMaxX"])
    y = centres(28, option["WindowMinY"], option["WindowMaxY"])[::-1, None]
    blobs = [Blob((3.0, -2.0), 2.6), Blob((-2.0, 4.0), 2.2, 0.5)]
    places = (np.arange(pixels) - (pixels - 1) / 2)[:, None]
    points = centre[:, None] + places * step[:, None]
    directions = points - first[:, None] if "fan" in kind else first[:, None] + 0 * points
    expected = integrals(blobs, points, directions)
    operator = ArrangedTransform(geometry_from_astra(rays, VOLUMES[volume]), torch.float64)
    found = operator(torch.from_numpy(values(blobs, (x, y)))).numpy()
    assert np.linalg.norm(found - expected) < 1e-2 * np.linalg.norm(expected)


@pytest.mark.parametrize("kind", SPATIAL)
def test_projections_of_a_volume(kind: str) -> None:
    """Data of ASTRA are (row, angle, column), and rows of its volumes begin at the smallest y."""
    rays, (first, centre, column, row) = SPATIAL[kind]
    option = window(-11.0, 12.0, -10.0, 10.0, -8.0, 7.5)
    volume = {"GridRowCount": 20, "GridColCount": 22, "GridSliceCount": 15, "option": option}
    x, y, z = (
        centres(22, -11, 12),
        centres(20, -10, 10)[:, None],
        centres(15, -8, 7.5)[:, None, None],
    )
    blobs = [Blob((2.0, -1.5, 0.7), 2.1), Blob((-2.0, 2.5, -0.5), 1.9, 0.5)]
    columns = (np.arange(34) - 16.5)[:, None]
    rows = (np.arange(21) - 10.0)[:, None, None, None]
    points = centre[:, None] + columns * column[:, None] + rows * row[:, None]
    directions = points - first[:, None] if "cone" in kind else first[:, None] + 0 * points
    expected = integrals(blobs, points, directions)
    operator = ArrangedTransform(geometry_from_astra(rays, volume), torch.float64)
    found = operator(torch.from_numpy(values(blobs, (x, y, z)))).numpy()
    assert found.shape == expected.shape == (21, 4, 34)
    assert np.linalg.norm(found - expected) < 3e-2 * np.linalg.norm(expected)


def test_beams_stay_beams_with_their_angles() -> None:
    plane = VOLUMES["unit pixels"]
    parallel = geometry_from_astra(PLANAR["parallel"][0], plane).geometry
    assert parallel == ParallelBeam((28, 30), tuple(ANGLES.tolist()), FlatDetector(40, 0.9))
    fan = geometry_from_astra(PLANAR["fanflat"][0], plane).geometry
    assert isinstance(fan, FanBeam)
    assert fan.angles == tuple(ANGLES.tolist())
    assert math.isclose(fan.source_origin, 60.0)
    shifted = geometry_from_astra(PLANAR["fanflat"][0], VOLUMES["window beside the origin"])
    assert isinstance(shifted.geometry, RayVectors2D)


def test_angles_of_many_turns_are_the_same_rays() -> None:
    rays = dict(PLANAR["fanflat"][0], ProjectionAngles=ANGLES + 2 * math.pi * np.arange(4) * 9)
    found = geometry_from_astra(rays, VOLUMES["unit pixels"]).geometry
    expected = geometry_from_astra(PLANAR["fanflat"][0], VOLUMES["unit pixels"]).geometry
    np.testing.assert_allclose(found.rays().vectors, expected.rays().vectors, atol=1e-11)


OURS: dict[str, Any] = {
    "parallel": ParallelBeam((7, 9), AngleRange(5), FlatDetector(12, 0.8), (1.1, 0.9)),
    "parallel_vec": ParallelBeam((7, 9), AngleRange(5), FlatDetector(12, 0.8, 0.7)),
    "fanflat": FanBeam((7, 9), AngleRange(5), FlatDetector(12, 0.8), 30.0, 0.0),
    "fanflat_vec": FanBeam((7, 9), AngleRange(5), FlatDetector(12, 0.8, -0.7), 30.0, 9.0),
    "parallel3d": ParallelBeam3D((3, 7, 9), AngleRange(5), FlatPanel(4, 5, (1.1, 0.9)), 0.8),
    "parallel3d_vec": ParallelBeam3D((3, 7, 9), AngleRange(5), FlatPanel(4, 5), 0.8, 0.3),
    "cone": ConeBeam((3, 7, 9), AngleRange(5), FlatPanel(4, 5), 30.0, 20.0, (0.8, 0.9, 1.1)),
    "cone_vec": ConeBeam((3, 7, 9), AngleRange(5), FlatPanel(4, 5), 30.0, 20.0, orbit=Orbit(5.0)),
    "cone_vec, poses": ConeBeam((3, 7, 9), AngleRange(5), FlatPanel(4, 5, 1.0, 0.3), 30.0, 20.0),
}


@pytest.mark.parametrize("name", OURS)
def test_ours_come_back_from_astra(name: str) -> None:
    geometry = OURS[name]
    rays, volume = geometry_to_astra(geometry)
    assert rays["type"] == name.partition(",")[0]
    back = geometry_from_astra(rays, volume)
    assert back.geometry.shape == geometry.shape
    np.testing.assert_allclose(back.geometry.pixel, geometry.pixel, rtol=1e-12)
    if isinstance(back.geometry, RayVectors2D | RayVectors3D):
        size = len(back.geometry.vectors[0])
        expected = geometry.rays().vectors[:, :size]
        np.testing.assert_allclose(back.geometry.vectors, expected, atol=1e-12)
    else:
        found, expected = (scan.rays().vectors for scan in (back.geometry, geometry))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert geometry_to_astra(back)[0]["type"] == rays["type"]


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a kind": (
        lambda: geometry_from_astra({"type": "sparse_matrix"}, VOLUMES["unit pixels"]),
        "geom_2vec",
    ),
    "no kind": (lambda: geometry_from_astra({}, {}), "'type'"),
    "no count": (
        lambda: geometry_from_astra(
            {**PLANAR["parallel"][0], "DetectorCount": 0}, VOLUMES["unit pixels"]
        ),
        "'DetectorCount'.*at least 1",
    ),
    "no volume": (lambda: geometry_from_astra(PLANAR["parallel"][0], {}), "'GridColCount'"),
    "a volume for an image": (
        lambda: geometry_from_astra(
            PLANAR["parallel"][0], {"GridRowCount": 2, "GridColCount": 3, "GridSliceCount": 4}
        ),
        "'GridSliceCount'",
    ),
    "texts": (
        lambda: geometry_from_astra(
            {**PLANAR["parallel"][0], "ProjectionAngles": ["a"]}, VOLUMES["unit pixels"]
        ),
        "'ProjectionAngles'",
    ),
    "vectors of 3D": (
        lambda: geometry_from_astra(
            {"type": "fanflat_vec", "DetectorCount": 4, "Vectors": np.ones((2, 12))},
            VOLUMES["unit pixels"],
        ),
        r"\(views, 6\)",
    ),
    "an arc": (
        lambda: geometry_to_astra(CurvedFanBeam((4, 5), AngleRange(3), ArcDetector(7, 0.05), 20.0)),
        "flat detector",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    make, words = REFUSED[name]
    with pytest.raises(GeometryError, match=words):
        make()
