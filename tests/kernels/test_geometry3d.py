"""The rays of a scan in 3D: where they run, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnedrecon.errors import DataError, GeometryError, ShapeError
from learnedrecon.kernels.geometry3d import OTHERS, RayGeometry3D, X, Y, Z

if TYPE_CHECKING:
    from .conftest import Scan3D

KINDS = ["circular", "helical", "laminography", "along_z", "steep", "skew", "about_x", "inside"]


@pytest.mark.parametrize("cone", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_table_is_on_the_line_through_the_detector_pixel(
    scan3d: Scan3D, kind: str, cone: bool
) -> None:
    """Points of the table, in mm, are parallel to the direction as seen from the pixel."""
    geometry = scan3d(kind, cone=cone)
    table, centres, directions = geometry.table(), geometry.pixel_centres(), geometry.directions()
    for ray in np.ndindex(table.axis.shape):
        main, step = int(table.axis[ray]), 2.5
        voxel = np.zeros(3)
        voxel[main] = step
        voxel[OTHERS[main]] = table.intercept[ray] + table.slope[ray] * step
        point = ((voxel - (np.array(geometry.shape) - 1) / 2) * geometry.pixel)[::-1]
        away = np.cross(point - centres[ray], directions[ray])
        assert np.linalg.norm(away) <= 1e-11 * np.linalg.norm(directions[ray])
        speed = np.abs(directions[ray][::-1]) / geometry.pixel
        assert speed[main] == speed.max()
        length = np.linalg.norm(directions[ray]) / speed[main]
        assert table.weight[ray] == pytest.approx(length, rel=1e-14)


def test_table_of_some_angles_is_part_of_the_whole(scan3d: Scan3D) -> None:
    geometry = scan3d("skew")
    whole, part = geometry.table(), geometry.table(slice(2, 4))
    assert np.array_equal(whole.axis[2:4], part.axis)
    assert np.array_equal(whole.intercept[2:4], part.intercept)
    assert np.array_equal(whole.slope[2:4], part.slope)
    assert np.array_equal(whole.weight[2:4], part.weight)


@pytest.mark.parametrize(
    ("direction", "axis"),
    [
        ((1, 1, 1), Y),
        ((-1, 1, -1), Y),
        ((1, 0, 1), X),
        ((0, 1, -1), Y),
        ((-1, 1, 0), Y),
        ((0, 0, 2), Z),
        ((1, 0.5, 1.1), Z),
    ],
)
def test_ties_are_broken_in_favour_of_y_then_x(
    direction: tuple[float, float, float], axis: int
) -> None:
    vectors = np.array([[*direction, 0, 0, 0, 1, 0, 0, 0, 0, 1]], dtype=float)
    geometry = RayGeometry3D(vectors, False, (2, 2), (4, 4, 4), (0.5, 0.5, 0.5))
    assert (geometry.table().axis == axis).all()


def test_vectors_are_copied_and_read_only(scan3d: Scan3D) -> None:
    vectors = scan3d("circular").vectors.copy()
    geometry = RayGeometry3D(vectors, True, (2, 3), (4, 5, 6), (1.0, 1.0, 1.0))
    vectors[:] = 0
    assert geometry.vectors.any()
    with pytest.raises(ValueError, match="read-only"):
        geometry.vectors[0, 0] = 1


def test_subset_keeps_order_and_everything_else(scan3d: Scan3D) -> None:
    geometry = scan3d("helical")
    part = geometry.subset([4, 0])
    assert np.array_equal(part.vectors, geometry.vectors[[4, 0]])
    assert (part.cone, part.detectors, part.shape, part.pixel) == (
        geometry.cone,
        geometry.detectors,
        geometry.shape,
        geometry.pixel,
    )
    assert geometry.subset([]).angles == 0


GOOD = {
    "vectors": np.array([[0, -9, 0, -1, 9, -1, 1, 0, 0, 0, 0, 1.0]]),
    "cone": True,
    "detectors": (3, 4),
    "shape": (4, 5, 6),
    "pixel": (1.0, 1.0, 1.0),
}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"vectors": np.zeros((3, 6))}, ShapeError),
        ({"vectors": np.zeros(12)}, ShapeError),
        ({"detectors": (0, 3)}, ShapeError),
        ({"detectors": (3,)}, ShapeError),
        ({"detectors": (3, 4.0)}, ShapeError),
        ({"shape": (0, 4, 4)}, ShapeError),
        ({"shape": (4, 4)}, ShapeError),
        ({"pixel": (1.0, 1.0, 0.0)}, GeometryError),
        ({"pixel": (1.0, 1.0)}, GeometryError),
        ({"pixel": (1.0, float("nan"), 1.0)}, GeometryError),
        ({"pixel": (1.0, 1.0, 1e-40)}, GeometryError),
        ({"pixel": (1e200, 1.0, 1.0)}, GeometryError),
        ({"vectors": np.full((2, 12), np.nan)}, DataError),
        ({"vectors": np.full((2, 12), np.inf)}, DataError),
        ({"vectors": np.zeros((1, 12)), "cone": False}, GeometryError),
        ({"vectors": np.full((1, 12), 1e308)}, GeometryError),
    ],
)
def test_impossible_geometries_are_refused(
    change: dict[str, object], error: type[Exception]
) -> None:
    RayGeometry3D(**GOOD)  # type: ignore[arg-type]  # a table of values
    with pytest.raises(error, match="What to do"):
        RayGeometry3D(**{**GOOD, **change})  # type: ignore[arg-type]  # of wrong ones


def test_detector_pixel_at_the_source_is_refused() -> None:
    vectors = np.array([[1.0, 9, 1, -1, 9, -1, 1, 0, 0, 0, 0, 1]])
    with pytest.raises(GeometryError, match=r"angle 0, detector pixel \(2, 2\)"):
        RayGeometry3D(vectors, True, (3, 4), (4, 5, 6), (1.0, 1.0, 1.0))
    RayGeometry3D(vectors + np.eye(12)[0] * 0.5, True, (3, 4), (4, 5, 6), (1.0, 1.0, 1.0))


@given(
    numbers=st.lists(
        st.one_of(st.sampled_from([0.0, 1.0, -2.0, 1e-200, 1e150, 1e-30]), st.floats(-1e3, 1e3)),
        min_size=12,
        max_size=12,
    ),
    cone=st.booleans(),
)
def test_what_is_passed_without_a_look_at_its_rays_is_sound(
    numbers: list[float], cone: bool
) -> None:
    try:
        geometry = RayGeometry3D(np.array([numbers]), cone, (3, 4), (4, 5, 6), (0.3, 1.0, 2.0))
    except GeometryError:
        return
    table = geometry.table()
    assert all(np.isfinite(column).all() for column in table)
    assert (np.abs(table.slope) <= 10).all()
    assert (geometry.directions() != 0).any(axis=-1).all()
