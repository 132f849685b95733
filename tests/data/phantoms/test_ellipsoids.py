"""Ellipsoids: chords of a ball, volumes by two integrals, and rotations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from learnedrecon.data.phantoms.ellipsoids import (
    Ellipsoid,
    draw_ellipsoids,
    ellipsoid_lines,
    head_ellipsoids,
)
from learnedrecon.errors import DataError
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange
from learnedrecon.operators.ray.geometry3d import ConeBeam, ParallelBeam3D

PARALLEL = ParallelBeam3D((40, 50, 60), AngleRange(5), FlatPanel(90, 110, 0.5), 1.0)
CONE = ConeBeam((8, 8, 8), AngleRange(6, arc=6.28), FlatPanel(7, 9, 3.0), 60.0, 40.0)
EGG = Ellipsoid(1.5, (14.0, 8.0, 11.0), (3.0, -2.0, 4.0), 0.7)


def test_chords_of_a_ball() -> None:
    """2√(r² - d²), d the distance of the ray from the centre."""
    ball, centre = Ellipsoid(0.3, (5.0, 5.0, 5.0), (2.0, 1.0, -1.5)), np.array([2.0, 1.0, -1.5])
    rays = CONE.rays()
    along = rays.directions() / np.linalg.norm(rays.directions(), axis=-1, keepdims=True)
    distance = np.linalg.norm(np.cross(centre - rays.pixel_centres(), along), axis=-1)
    expected = 0.6 * np.sqrt(np.clip(25 - distance**2, 0, None))
    assert 0 < (expected > 0).mean() < 1
    torch.testing.assert_close(ellipsoid_lines([ball], rays), torch.from_numpy(expected))


def test_the_volume_by_lines_and_by_voxels() -> None:
    """∫ over a parallel panel = value · 4π/3 · abc = ∫ over the voxels."""
    expected = 1.5 * 4 / 3 * math.pi * 14 * 8 * 11
    lines = ellipsoid_lines([EGG], PARALLEL.rays())
    np.testing.assert_allclose(lines.sum((1, 2)) * 0.25, expected, rtol=1e-3)
    assert draw_ellipsoids([EGG], PARALLEL).sum().item() == pytest.approx(expected, rel=1e-3)


def test_the_centre_of_mass_and_the_rotation() -> None:
    volume = draw_ellipsoids([EGG], PARALLEL, samples=1)
    z, y, x = (places.double() for places in volume.nonzero(as_tuple=True))
    x, y, z = x - 29.5, y - 24.5, z - 19.5
    torch.testing.assert_close(
        torch.stack([x.mean(), y.mean(), z.mean()]),
        torch.tensor([3.0, -2.0, 4.0]).double(),
        atol=1e-9,
        rtol=0,
    )
    covariance = torch.cov(torch.stack([x, y]))
    direction = torch.linalg.eigh(covariance).eigenvectors[:, 1]
    assert math.atan(direction[1] / direction[0]) == pytest.approx(0.7, abs=1e-3)


def test_values_add_up() -> None:
    one, two = Ellipsoid(1.0, (3.0, 3.0, 3.0)), Ellipsoid(-0.5, (2.5, 2.0, 2.0))
    together = draw_ellipsoids([one, two], CONE)
    assert torch.equal(together, draw_ellipsoids([one], CONE) + draw_ellipsoids([two], CONE))
    assert together[4, 4, 4] == 0.5
    rays = CONE.rays()
    torch.testing.assert_close(
        ellipsoid_lines([one, two], rays),
        ellipsoid_lines([one], rays) + ellipsoid_lines([two], rays),
    )


def test_the_head_lies_in_its_ball_and_scales() -> None:
    scan = ParallelBeam3D((32, 32, 32), AngleRange(1), FlatPanel(1, 1))
    volume = draw_ellipsoids(head_ellipsoids(16.0), scan)
    assert volume.min() >= 0
    assert volume.max() == 2
    places = (torch.arange(32) - 15.5).square()
    outside = places[:, None, None] + places[:, None] + places > 17**2
    assert volume[outside].abs().max() == 0
    half = ParallelBeam3D((32, 32, 32), AngleRange(1), FlatPanel(1, 1), 0.5)
    assert torch.equal(draw_ellipsoids(head_ellipsoids(8.0), half), volume)


def test_wrong_ellipsoids_are_refused() -> None:
    with pytest.raises(DataError, match="positive half axes"):
        Ellipsoid(1.0, (1.0, 0.0, 1.0))
    with pytest.raises(DataError, match="finite"):
        Ellipsoid(math.nan, (1.0, 1.0, 1.0))
