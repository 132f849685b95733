"""Where the specs put their samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from learnedrecon.errors import GeometryError, LearnedReconError
from learnedrecon.operators.mri.non_cartesian import NonCartesian
from learnedrecon.operators.mri.trajectories import (
    GOLDEN_ANGLE,
    Kooshball,
    Points,
    Radial,
    Spiral,
    Stacked,
    Trajectory,
)
from learnedrecon.specs import from_plain, to_plain

ALL: dict[str, Trajectory] = {
    "radial": Radial(7, 12, "uniform", 0.2),
    "golden": Radial(5, 9),
    "spiral": Spiral(3, 30, 2.5),
    "kooshball": Kooshball(11, 8),
    "stack of stars": Stacked(Radial(3, 6), 5),
    "stack of spirals": Stacked(Spiral(3, 6, 1.0), 4),
    "points": Points((((0.1, 0.2), (1.0, -3.0)), ((0.0, 0.0), (0.5, 0.5)))),
}


@pytest.mark.parametrize("name", ALL)
def test_points_have_the_shape_that_is_promised_and_stay_in_the_band(name: str) -> None:
    points = ALL[name].points()
    assert points.shape == (*ALL[name].shape, ALL[name].axes)
    assert points.dtype == np.float64
    assert np.abs(points).max() <= math.pi * (1 + 1e-12)


@pytest.mark.parametrize("name", ALL)
def test_specs_go_to_plain_data_and_back(name: str) -> None:
    spec = NonCartesian((4,) * ALL[name].axes, ALL[name], coils=2)
    again = from_plain(NonCartesian, to_plain(spec))
    assert again == spec
    assert hash(again) == hash(spec)


def test_every_spoke_passes_through_the_centre() -> None:
    for trajectory in (Radial(4, 8), Radial(4, 9), Kooshball(4, 8)):
        points = trajectory.points()
        assert not points[:, trajectory.samples // 2].any()
        steps = np.linalg.norm(np.diff(points, axis=1), axis=-1)
        np.testing.assert_allclose(steps, 2 * math.pi / trajectory.samples)


def test_angles_run_from_x_to_y() -> None:
    """As those of the detector of a ParallelBeam."""
    points = Radial(2, 4, "uniform").points()
    radii = np.array([-math.pi, -math.pi / 2, 0, math.pi / 2])
    np.testing.assert_allclose(points[0], np.stack([0 * radii, radii], axis=-1), atol=1e-15)
    np.testing.assert_allclose(points[1], np.stack([radii, 0 * radii], axis=-1), atol=1e-15)


def test_the_golden_angle_is_half_a_turn_by_the_golden_ratio() -> None:
    assert math.degrees(GOLDEN_ANGLE) == pytest.approx(111.2461, abs=1e-4)
    turned = np.mod(np.diff(Radial(50, 3).angles), 2 * math.pi)
    np.testing.assert_allclose(turned, GOLDEN_ANGLE)


def test_spiral_arms_are_turned_copies_with_equal_steps_in_radius_and_angle() -> None:
    points = Spiral(4, 200, turns=3.0).points()
    places = points[..., 1] + 1j * points[..., 0]
    np.testing.assert_allclose(places[1:], places[:1] * 1j ** np.arange(1, 4)[:, None], atol=1e-14)
    radii, phases = np.abs(places[0]), np.unwrap(np.angle(places[0, 1:]))
    np.testing.assert_allclose(np.diff(radii), math.pi / 199)
    np.testing.assert_allclose(np.diff(phases), 3.0 * 2 * math.pi / 199)


def test_an_exponent_of_a_half_fills_the_disc_evenly() -> None:
    radii = np.linalg.norm(Spiral(1, 5001, 20.0, exponent=0.5).points()[0], axis=-1)
    for part in (0.25, 0.5, 0.9):
        assert (radii <= part * math.pi).mean() == pytest.approx(part**2, abs=1e-3)


def test_kooshball_directions_spread_evenly_over_the_half_sphere() -> None:
    directions = Kooshball(2000, 2).points()[:, 0] / -math.pi
    np.testing.assert_allclose(np.linalg.norm(directions, axis=-1), 1)
    moments = directions.T @ directions / len(directions)
    np.testing.assert_allclose(moments, np.eye(3) / 3, atol=1e-3)


def test_stacks_repeat_the_plane_at_the_frequencies_of_the_fft() -> None:
    plane = Radial(3, 6)
    points = Stacked(plane, 4).points().reshape(4, 3, 6, 3)
    for index, kz in enumerate((-math.pi, -math.pi / 2, 0, math.pi / 2)):
        np.testing.assert_allclose(points[index, ..., 0], kz)
        np.testing.assert_allclose(points[index, ..., 1:], plane.points())


def test_points_come_from_arrays_and_tensors() -> None:
    array = np.random.default_rng(0).uniform(-3, 3, (2, 3, 2))
    expected = Points(tuple(tuple(tuple(k) for k in arm) for arm in array.tolist()))
    for given in (array, torch.from_numpy(array), array.tolist()):
        assert Points(given) == expected  # type: ignore[arg-type]
    np.testing.assert_array_equal(expected.points(), array)


BAD = {
    "no spokes": (lambda: Radial(0, 4), "spokes of at least 1"),
    "half a spoke": (lambda: Radial(2.5, 4), "whole number"),  # type: ignore[arg-type]
    "ordering": (lambda: Radial(2, 4, "golde"), "'golden' or 'uniform'"),  # type: ignore[arg-type]
    "start": (lambda: Radial(2, 4, start=math.nan), "finite start"),
    "one sample": (lambda: Spiral(2, 1, 1.0), "at least 2 samples"),
    "no turns": (lambda: Spiral(2, 9, 0.0), "turns > 0"),
    "plane": (lambda: Stacked(Kooshball(2, 3), 4), "Radial or Spiral"),  # type: ignore[arg-type]
    "cycles": (lambda: Points((((-64.0, 3.0),),)), "2π/n"),
    "not finite": (lambda: Points((((math.nan, 3.0),),)), "radians per pixel"),
    "ragged": (lambda: Points((((0.0, 0.0),), ())), "equally many"),
    "one axis": (lambda: Points((((0.0,),),)), "2 or 3 axes"),
    "no interleaf axis": (lambda: Points(((0.0, 0.0),)), r"points\[None\]"),  # type: ignore[arg-type]
    "3D in 2D": (lambda: NonCartesian((4, 4), Kooshball(2, 3)), "3 sizes"),
    "no trajectory": (lambda: NonCartesian((4, 4), 64), "a trajectory"),  # type: ignore[arg-type]
    "no coils": (lambda: NonCartesian((4, 4), Radial(2, 3), 0), "coils of at least 1"),
    "no pixels": (lambda: NonCartesian((4, 0), Radial(2, 3)), "shape"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_error(name: str) -> None:
    make, text = BAD[name]
    with pytest.raises(GeometryError, match=text) as caught:
        make()
    assert isinstance(caught.value, LearnedReconError)
    assert "What to do" in str(caught.value)
