"""Discs wider than the detector: what filtered backprojection makes of them, against the discs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.solvers.disks import line_integrals

import learnedrecon as lr
from learnedrecon.errors import ConfigError, GeometryError
from learnedrecon.solvers.direct.extrapolation import extrapolated_parts, truncation_of
from learnedrecon.solvers.direct.truncation import find_truncation

if TYPE_CHECKING:
    from learnedrecon.operators.ray.geometry2d import Geometry

N = 48
INSIDE = np.array([(0.3, 5.0, 8.0, 4.0), (-0.4, 4.0, -9.0, 6.0)])


def parallel() -> Geometry:
    detector = lr.operators.FlatDetector(N)
    return lr.operators.ParallelBeam((N, N), lr.operators.AngleRange(90), detector)


def fan() -> Geometry:
    detector = lr.operators.FlatDetector(N, 1.5)
    angles = lr.operators.AngleRange(120, 0.0, 2 * math.pi)
    return lr.operators.FanBeam((N, N), angles, detector, 300.0, 150.0)


def disc(radius: float) -> np.ndarray:
    return np.concatenate([[(1.0, radius, 1.5, -1.0)], INSIDE])


def scan(geometry: Geometry, radius: float) -> torch.Tensor:
    return torch.from_numpy(line_integrals(geometry, disc(radius)))


def error(image: torch.Tensor, radius: float) -> float:
    """Root mean square against the discs within 85 % of the field of view."""
    along = np.arange(N) - (N - 1) / 2
    y, x = along[:, None], along
    truth = sum(v * ((x - a) ** 2 + (y - b) ** 2 <= r * r) for v, r, a, b in disc(radius))
    seen = x**2 + y**2 < (0.85 * N / 2) ** 2
    return float(np.sqrt(np.mean((image.numpy() - truth)[seen] ** 2)))


@pytest.mark.parametrize("radius", [1.25 * N / 2, 1.75 * N / 2, 2.75 * N / 2])
@pytest.mark.parametrize("beam", [parallel, fan])
def test_a_cylinder_wider_than_the_detector_is_right_inside(beam: type, radius: float) -> None:
    """Cut at 1.25 to 2.75 detector widths: .03 where zeros give .17 to 1.5."""
    geometry = beam()
    operator, data = lr.operators.RayTransform(geometry), scan(geometry, radius)
    zero = error(lr.solvers.fbp(operator, data), radius)
    good = error(lr.solvers.fbp(operator, data, extrapolate="cylinder"), radius)
    assert zero > 0.15
    assert good < 0.04


def test_a_smooth_continuation_is_better_than_none() -> None:
    geometry, radius = parallel(), 1.75 * N / 2
    operator, data = lr.operators.RayTransform(geometry), scan(geometry, radius)
    zero = error(lr.solvers.fbp(operator, data), radius)
    assert error(lr.solvers.fbp(operator, data, extrapolate="smooth"), radius) < 0.2 * zero


def test_continued_views_are_those_of_the_whole_cylinder() -> None:
    """A homogeneous disc: the chord is exact, up to the taper that begins at ¾ of a detector."""
    geometry = parallel()
    discs = np.array([(0.7, 40.0, 2.0, 1.0)])
    data = torch.from_numpy(line_integrals(geometry, discs))[None]
    (part,) = extrapolated_parts(lr.operators.RayTransform(geometry), data, "cylinder")
    long = part.operator.spec
    assert long.detector.pixels == 3 * N
    right = torch.from_numpy(line_integrals(long, discs))[None]
    assert (part.data - right).abs().max() < 2e-3 * right.max()


def test_smooth_continuation_is_linear() -> None:
    operator = lr.operators.RayTransform(parallel())
    a, b = torch.rand(2, 1, 90, N, dtype=torch.float64)
    both = [extrapolated_parts(operator, each, "smooth")[0].data for each in (a, b, 2 * a - b)]
    torch.testing.assert_close(both[2], 2 * both[0] - both[1])


@pytest.mark.parametrize("beam", [parallel, fan])
def test_data_that_are_not_cut_keep_every_bit(beam: type) -> None:
    geometry = beam()
    operator = lr.operators.RayTransform(geometry)
    whole, cut = scan(geometry, 0.8 * N / 2), scan(geometry, 1.5 * N / 2)
    before = lr.solvers.fbp(operator, whole)
    assert torch.equal(lr.solvers.fbp(operator, whole, extrapolate="auto"), before)
    both = lr.solvers.fbp(operator, torch.stack([cut, whole])[:, None], extrapolate="auto")
    assert torch.equal(both[1, 0], before)
    alone = lr.solvers.fbp(operator, cut, extrapolate="cylinder")
    torch.testing.assert_close(both[0, 0], alone)
    model = lr.models.FBP(extrapolate="auto")(
        lr.InverseProblem(operator, torch.stack([cut, whole])[:, None])
    )
    torch.testing.assert_close(model.image, both)


def test_noise_and_air_are_not_truncation() -> None:
    geometry = parallel()
    whole = scan(geometry, 0.8 * N / 2)
    noise = torch.randn(whole.shape, generator=torch.Generator().manual_seed(0))
    assert not find_truncation((whole + 0.02 * whole.max() * noise)[None])
    assert not find_truncation((whole + 0.03 * whole.max())[None])
    assert not find_truncation(torch.zeros(1, 4, N))


def test_truncation_is_said_with_numbers() -> None:
    geometry = parallel()
    data = scan(geometry, 0.8 * N / 2)
    data[:45, -3:] = 0.3 * data.max()
    found = find_truncation(data[None])
    assert bool(found)
    assert (found.first, found.last) == (0, 0.5)
    assert found.level == pytest.approx(0.3)
    assert "50 % of the views at the last detector pixel, at 30 % of" in str(found)


def test_the_short_side_of_a_displaced_detector_is_not_continued() -> None:
    """Over a full turn it is measured from the other side."""
    angles = lr.operators.AngleRange(120, 0.0, 2 * math.pi)
    detector = lr.operators.FlatDetector(34, 1.0, 12.0)
    geometry = lr.operators.ParallelBeam((N, N), angles, detector)
    operator = lr.operators.RayTransform(geometry)
    data = scan(geometry, 0.8 * N / 2)
    assert find_truncation(data[None]).last > 0.9
    assert not truncation_of(operator, data[None])
    assert torch.equal(
        lr.solvers.fbp(operator, data, extrapolate="auto"), lr.solvers.fbp(operator, data)
    )


def test_cone_beams_and_transmissions_are_continued_as_their_lines_are() -> None:
    plane = parallel()
    lines = 0.02 * scan(plane, 1.5 * N / 2)
    panel = lr.operators.FlatPanel(2, N)
    volume = lr.operators.ParallelBeam3D((2, N, N), plane.angles, panel)
    stack = torch.stack([lines, 0.5 * lines], dim=-2)
    planes = lr.solvers.fdk(lr.operators.RayTransform3D(volume), stack, extrapolate="cylinder")
    operator = lr.operators.RayTransform(plane)
    image = lr.solvers.fbp(operator, lines, extrapolate="cylinder")
    middle = slice(8, -8)
    torch.testing.assert_close(
        planes[0][middle, middle], image[middle, middle], atol=2e-3, rtol=0.1
    )
    through = lr.operators.TransmissionCT(lr.operators.Transmission(plane))
    problem = lr.InverseProblem(through, torch.exp(-lines)[None, None])
    seen = lr.models.FBP(extrapolate="auto")(problem).image
    torch.testing.assert_close(seen[0, 0], image, atol=1e-8, rtol=1e-6)


def test_gradients_reach_the_data() -> None:
    geometry = parallel()
    small = replace(geometry, angles=lr.operators.AngleRange(6))
    operator = lr.operators.RayTransform(small)
    data = scan(small, 1.5 * N / 2).requires_grad_()
    lr.solvers.fbp(operator, data, extrapolate="auto").square().sum().backward()
    assert data.grad is not None
    assert bool(data.grad.isfinite().all())
    assert bool((data.grad != 0).all())


def test_other_words_and_operators_without_a_detector_are_refused() -> None:
    geometry = parallel()
    operator, data = lr.operators.RayTransform(geometry), scan(geometry, 20.0)
    with pytest.raises(ConfigError, match="extrapolate to be one of auto"):
        lr.solvers.fbp(operator, data, extrapolate="water")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a valid value of 'extrapolate'"):
        lr.models.FBP(extrapolate="water")  # type: ignore[arg-type]
    fourier = lr.operators.CentredFFT(lr.operators.Space((4, 4), torch.complex64))
    problem = lr.InverseProblem(fourier, torch.ones(1, 1, 4, 4, dtype=torch.complex64))
    with pytest.raises(GeometryError, match="whose detector may cut"):
        lr.models.FBP(extrapolate="smooth")(problem)
    assert lr.models.FBP(extrapolate="auto")(problem).image.shape == (1, 1, 4, 4)
