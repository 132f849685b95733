"""The rotation axis of discs with noise, against where it is."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.helpers import normal
from tests.solvers.disks import DISCS, line_integrals

import learnedrecon as lr
from learnedrecon.errors import DataError, GeometryError, ShapeError
from learnedrecon.solvers.axis.consistency import _misfit, by_consistency
from learnedrecon.solvers.axis.estimate import Lines
from learnedrecon.solvers.axis.fit import _evidence, by_trial

if TYPE_CHECKING:
    from learnedrecon.operators.ray.geometry2d import Geometry

PIXELS, PITCH = 64, 0.5
WIDTH = PIXELS * PITCH
TRUE = 2.3 * PITCH


def parallel(views: int, arc: float, offset: float = 0.0) -> Geometry:
    detector = lr.operators.FlatDetector(PIXELS, PITCH, offset)
    angles = lr.operators.AngleRange(views, 0.3, arc)
    return lr.operators.ParallelBeam((48, 48), angles, detector, WIDTH / 48)


def fan(views: int, arc: float, offset: float = 0.0) -> Geometry:
    detector = lr.operators.FlatDetector(PIXELS, PITCH, offset)
    angles = lr.operators.AngleRange(views, 0.3, arc)
    return lr.operators.FanBeam((48, 48), angles, detector, 1.5 * WIDTH, WIDTH, WIDTH / 80)


def noisy(geometry: Geometry, noise: float, seed: int = 0) -> torch.Tensor:
    """A scan with its axis at TRUE; the geometry that is returned to the finder says 0."""
    moved = replace(geometry, detector=replace(geometry.detector, axis_offset=TRUE))
    discs = DISCS * (1, *[WIDTH / geometry.magnification] * 3)
    lines = line_integrals(moved, discs)
    draws = np.random.default_rng(seed).normal(size=lines.shape)
    return torch.from_numpy(lines + noise * lines.max() * draws)[None, None]


@pytest.mark.parametrize(("views", "noise"), [(20, 0.0), (48, 0.03)])
@pytest.mark.parametrize(
    ("scan", "arc"),
    [(parallel, math.pi), (parallel, 2 * math.pi), (fan, math.pi + 0.5), (fan, 2 * math.pi)],
)
def test_the_axis_is_found_to_a_tenth_of_a_pixel(
    scan: type, arc: float, views: int, noise: float
) -> None:
    geometry = scan(views, arc)
    found = lr.solvers.rotation_axis(lr.operators.RayTransform(geometry), noisy(geometry, noise))
    assert abs(found.offset - TRUE) < 0.1 * PITCH
    assert found.pixel == pytest.approx((PIXELS - 1) / 2 + found.offset / PITCH)


def test_the_tenth_of_a_pixel_is_no_accident_of_the_object() -> None:
    """The same data moved by a pixel and a half: the answer moves as they do."""
    geometry = parallel(30, math.pi)
    operator, data = lr.operators.RayTransform(geometry), noisy(geometry, 0.02)
    first = lr.solvers.rotation_axis(operator, data).offset
    detector = replace(geometry.detector, axis_offset=1.5 * PITCH)
    said = lr.operators.RayTransform(replace(geometry, detector=detector))
    assert lr.solvers.rotation_axis(said, data).offset == pytest.approx(first, abs=0.02 * PITCH)
    moved = torch.nn.functional.pad(data[..., :-2], (2, 0))
    second = lr.solvers.rotation_axis(operator, moved).offset
    assert second - first == pytest.approx(2 * PITCH, abs=0.1 * PITCH)


def test_the_deviation_is_that_of_the_estimate() -> None:
    """Over 24 draws of the noise, within the factor that a χ² of 24 leaves at 1 in 10^4."""
    geometry = parallel(40, math.pi)
    found = [by_consistency(Lines(geometry, noisy(geometry, 0.03, k)[0]), 24) for k in range(24)]
    errors = np.array([each.offset - TRUE for each in found if each is not None])
    said = np.array([each.deviation for each in found if each is not None])
    assert len(errors) == 24
    ratio = np.sqrt(np.mean(errors**2)) / said.mean()
    assert 0.5 < ratio < 1.6


def test_what_remains_of_noise_is_its_variance_times_what_is_free() -> None:
    """Noise of variance 1 has PIXELS/2 in either part of a frequency, for any axis."""
    misfit = _misfit(Lines(parallel(40, math.pi), normal(20, 40, PIXELS)))
    assert misfit is not None
    assert misfit.freedom == 20 * sum(2 * 40 - (2 * m + 1) for m in (6, 9, 12, 15, 18, 21, 24))
    remains = misfit(np.array([0.0, 0.37, -5.0])) / misfit.freedom
    np.testing.assert_allclose(remains, PIXELS / 2, rtol=4 * (2 / misfit.freedom) ** 0.5)


def test_the_slope_of_the_evidence_is_its_derivative() -> None:
    geometry = fan(20, 2 * math.pi)
    evidence = _evidence(Lines(geometry, noisy(geometry, 0.02)[0]), 24)
    near = 1e-2
    difference = (evidence.value(0.7 + near) - evidence.value(0.7 - near)) / (2 * near)
    assert evidence.slope(0.7) == pytest.approx(difference, rel=2e-2)


def test_a_detector_of_many_pixels_is_thinned_and_the_axis_is_not() -> None:
    lines = Lines(parallel(60, math.pi, 1.0), torch.rand(1, 60, PIXELS, dtype=torch.float64))
    thin, moved = lines.every(25, 24)
    assert thin.geometry.data_shape == (20, 21)
    assert thin.values[0, 1, 2] == pytest.approx(float(lines.values[0, 3, 6:9].mean()))
    cut, moved = lines.every(60, 13)
    assert cut.geometry.detector.pixels == 12
    first = lines.geometry.detector.positions[:5].mean()
    assert cut.geometry.detector.positions[0] == pytest.approx(first)
    assert cut.geometry.detector.axis_offset - moved == pytest.approx(1.0)


@pytest.mark.parametrize(("most", "cut"), [(32, 0), (13, 4)])
def test_pixels_that_fill_no_group_move_the_axis_of_what_remains(
    monkeypatch: pytest.MonkeyPatch, most: int, cut: int
) -> None:
    """The axis is that of the whole detector; half of the pixels that are cut would be added."""
    monkeypatch.setattr("learnedrecon.solvers.axis.search._FINE_PIXELS", most)
    geometry = fan(30, 2 * math.pi)
    assert PIXELS % math.ceil(PIXELS / most) == cut
    found = lr.solvers.rotation_axis(lr.operators.RayTransform(geometry), noisy(geometry, 0.0))
    assert abs(found.offset - TRUE) < 0.5 * PITCH


def test_a_cone_beam_is_aligned_by_the_row_in_the_plane_of_its_source() -> None:
    plane = fan(30, 2 * math.pi)
    panel = lr.operators.FlatPanel(4, PIXELS, PITCH)
    cone = lr.operators.ConeBeam((4, 48, 48), plane.angles, panel, 1.5 * WIDTH, WIDTH, WIDTH / 80)
    lines = noisy(plane, 0.01)
    data = torch.stack([0 * lines, 1.1 * lines, 0.9 * lines, 0 * lines], dim=-2)
    found = lr.solvers.rotation_axis(lr.operators.RayTransform3D(cone), data)
    assert abs(found.offset - TRUE) < 0.1 * PITCH


def test_a_stack_of_parallel_rows_is_aligned_together() -> None:
    plane = parallel(30, math.pi)
    panel = lr.operators.FlatPanel(3, PIXELS, PITCH)
    scan = lr.operators.ParallelBeam3D((3, 48, 48), plane.angles, panel, WIDTH / 48)
    data = torch.stack([noisy(plane, 0.05, k) for k in range(3)], dim=-2)
    found = lr.solvers.rotation_axis(lr.operators.RayTransform3D(scan), data)
    assert abs(found.offset - TRUE) < 0.1 * PITCH


def test_what_has_no_axis_is_refused() -> None:
    geometry = parallel(12, math.pi)
    operator = lr.operators.RayTransform(geometry)
    with pytest.raises(GeometryError, match="ray transform"):
        lr.solvers.rotation_axis(lr.operators.Identity((4, 4)), torch.ones(4, 4))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="zeros"):
        lr.solvers.rotation_axis(operator, torch.zeros(1, 1, 12, PIXELS))
    with pytest.raises(DataError, match="finite"):
        lr.solvers.rotation_axis(operator, torch.full((1, 1, 12, PIXELS), torch.nan))
    with pytest.raises(ShapeError, match="line integrals"):
        lr.solvers.rotation_axis(operator, torch.ones(1, 1, 11, PIXELS))


@pytest.mark.parametrize("scan", [parallel, fan])
def test_an_object_wider_than_the_detector_is_aligned_by_the_image_alone(scan: type) -> None:
    whole = scan(40, 2 * math.pi)
    part = replace(whole, detector=replace(whole.detector, pixels=PIXELS - 24))
    data = noisy(whole, 0.01)[..., 12:-12]
    found = lr.solvers.rotation_axis(lr.operators.RayTransform(part), data)
    assert list(found.estimates) == ["fit of an image"]
    assert found.disagreement is None
    assert abs(found.offset - TRUE) < 0.1 * PITCH


@pytest.mark.parametrize("steps", [-2, -1, 0, 1, 2])
def test_trials_reach_both_ends(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a reach of two steps of 1½ pixels, on either side of what the geometry says."""
    geometry = parallel(8, math.pi, offset=0.25)
    lines = Lines(geometry, torch.zeros(8, PIXELS, dtype=torch.float64))
    best = 0.25 + 1.5 * PITCH * steps

    class Distance:
        def value(self, offset: float) -> float:
            return abs(offset - best)

    monkeypatch.setattr("learnedrecon.solvers.axis.fit._evidence", lambda *_: Distance())
    assert by_trial(lines, 3.0 * PITCH, size=8) == pytest.approx(best)
