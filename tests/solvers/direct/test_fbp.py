from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.helpers import normal
from torch import Tensor

from learnedrecon.errors import ConfigError, DifferentiationError, GeometryError, ShapeError
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.pointwise import ScaledArgument
from learnedrecon.operators.ray.geometry2d import (
    AngleRange,
    FanBeam,
    FlatDetector,
    Geometry,
    ParallelBeam,
)
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space
from learnedrecon.solvers.direct.backprojection import Backprojection
from learnedrecon.solvers.direct.fbp import _added, _ray_weights, fbp
from learnedrecon.solvers.direct.pseudo_inverse import pseudo_inverse

if TYPE_CHECKING:
    from collections.abc import Callable

TURN = 2 * math.pi
RADIUS, CENTRE, VALUE = 30.0, (5.0, -8.0), 0.02


def parallel(angles: AngleRange | tuple[float, ...], offset: float = 0.0) -> ParallelBeam:
    """Unequal sides, unequal pixels, and a pitch that is neither of them."""
    return ParallelBeam((100, 128), angles, FlatDetector(240, 0.7, offset), (1.0, 0.8))


def fan(angles: AngleRange | tuple[float, ...], offset: float = 0.0) -> FanBeam:
    return FanBeam((100, 128), angles, FlatDetector(400, 1.0, offset), 200.0, 250.0, (1.0, 0.8))


SHORT = math.pi + 2 * math.atan(200 / 450)
RANDOM = tuple(np.random.default_rng(0).uniform(0, TURN, 1500).tolist())
GOLDEN = tuple(k * math.pi * (math.sqrt(5) - 1) / 2 % (2 * math.pi) for k in range(377))

SCANS: dict[str, Geometry] = {
    "parallel": parallel(AngleRange(360)),
    "parallel offset": parallel(AngleRange(360), 7.3),
    "parallel full turn": parallel(AngleRange(720, 0.1, TURN)),
    "parallel odd full turn": parallel(AngleRange(721, 0.1, TURN)),
    "parallel backwards over 216 degrees": parallel(AngleRange(432, 0.3, -1.2 * math.pi)),
    "parallel golden angle": parallel(GOLDEN),
    "parallel twice": parallel(AngleRange(360).values() * 2),
    "fan": fan(AngleRange(720, 0.0, TURN)),
    "fan offset": fan(AngleRange(720, 0.0, TURN), 9.1),
    "fan two turns": fan(AngleRange(1440, 0.0, 2 * TURN)),
    "fan short scan": fan(AngleRange(500, 0.4, SHORT)),
    "fan short scan offset": fan(AngleRange(500, 0.4, SHORT), -9.1),
    "parallel displaced": parallel(AngleRange(720, 0.1, TURN), 64.0),
    "parallel displaced the other way": parallel(AngleRange(720, 0.1, TURN), -50.0),
    "half fan": fan(AngleRange(720, 0.0, TURN), -150.0),
    "half fan the other way": fan(AngleRange(720, 0.0, TURN), 150.0),
    "fan overscan": fan(AngleRange(600, 0.4, SHORT + 0.9)),
}


def disc_lines(geometry: Geometry) -> Tensor:
    """Chord lengths of a disc times its value: 2 v √(r² - d²), d the distance of ray and centre."""
    theta = np.asarray(geometry.angle_values)[:, None, None]
    ray = np.concatenate([-np.sin(theta), np.cos(theta)], axis=-1)
    along = np.concatenate([np.cos(theta), np.sin(theta)], axis=-1)
    point = geometry.detector.positions[None, :, None] * along
    direction = ray + 0 * point
    if isinstance(geometry, FanBeam):
        point = point + geometry.origin_detector * ray
        direction = point + geometry.source_origin * ray
        direction = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    to_centre = np.asarray(CENTRE) - point
    distance = to_centre[..., 0] * direction[..., 1] - to_centre[..., 1] * direction[..., 0]
    return torch.from_numpy(2 * VALUE * np.sqrt(np.clip(RADIUS**2 - distance**2, 0, None)))


def distance_from_centre(geometry: Geometry) -> Tensor:
    (ny, nx), (dy, dx) = geometry.shape, geometry.pixel
    y = (torch.arange(ny) - (ny - 1) / 2)[:, None] * dy
    x = (torch.arange(nx) - (nx - 1) / 2)[None] * dx
    return torch.hypot(x - CENTRE[0], y - CENTRE[1])


@pytest.mark.parametrize("name", SCANS)
def test_a_disc_comes_out_at_its_value(name: str) -> None:
    geometry = SCANS[name]
    image = fbp(RayTransform(geometry), disc_lines(geometry)) / VALUE
    distance = distance_from_centre(geometry)
    inside, outside = image[distance < RADIUS - 6], image[distance > RADIUS + 6]
    torch.testing.assert_close(inside.mean().item(), 1.0, atol=1e-3, rtol=0)
    assert (inside - 1).abs().max() < 0.01
    assert outside.abs().mean() < 0.01
    assert outside.abs().max() < 0.08


def half_fan(angles: AngleRange | tuple[float, ...]) -> FanBeam:
    return fan(angles, -150.0)


@pytest.mark.parametrize("make", [parallel, fan, half_fan])
@pytest.mark.parametrize("views", ["five exposures a stop", "lost", "one half dense"])
def test_uneven_views_keep_the_mean_value(
    make: Callable[[AngleRange | tuple[float, ...]], Geometry], views: str
) -> None:
    stops = np.arange(0, 180, 2.5)
    degrees = {
        "five exposures a stop": np.repeat(stops, 5)
        + np.random.default_rng(0).normal(0, 1e-3, 5 * len(stops)),
        "lost": np.array([i for i in range(180) if i % 12 < 10]),
        "one half dense": np.r_[np.arange(0, 90, 0.6), np.arange(90, 180, 3.0)],
    }[views]
    geometry = make(tuple(np.deg2rad(degrees if make is parallel else 2 * degrees)))
    image = fbp(RayTransform(geometry), disc_lines(geometry)) / VALUE
    inside = image[distance_from_centre(geometry) < RADIUS - 6]
    assert inside.mean().item() == pytest.approx(1.0, abs=5e-3)


@pytest.mark.parametrize("make", [parallel, fan])
def test_random_angles_keep_the_mean_value(
    make: Callable[[AngleRange | tuple[float, ...]], Geometry],
) -> None:
    geometry = make(RANDOM)
    image = fbp(RayTransform(geometry), disc_lines(geometry)) / VALUE
    inside = image[distance_from_centre(geometry) < RADIUS - 6]
    assert inside.mean().item() == pytest.approx(1.0, abs=5e-3)


def test_a_limited_arc_is_not_blown_up() -> None:
    """A quarter of a half turn carries its share of the value, plus or minus the missing wedge."""
    full, part = parallel(AngleRange(400)), parallel(AngleRange(300, 0.2, 0.75 * math.pi))
    rows = torch.tensor([disc_lines(g).sum() for g in (full, part)])
    sums = torch.stack([fbp(RayTransform(g), disc_lines(g)).abs().amax() for g in (full, part)])
    assert rows[1] == pytest.approx(0.75 * rows[0].item(), rel=1e-3)
    assert sums[1] < 1.5 * sums[0]


def test_hann_keeps_the_value_and_lowers_the_noise() -> None:
    geometry = SCANS["parallel"]
    noise = normal(*geometry.data_shape)
    sharp, soft = (
        fbp(RayTransform(geometry), noise, window="hann", bandwidth=b).std() for b in (1.0, 0.5)
    )
    assert soft < 0.6 * sharp
    image = fbp(RayTransform(geometry), disc_lines(geometry), window="hann", bandwidth=0.5) / VALUE
    inside = image[distance_from_centre(geometry) < RADIUS - 8]
    assert (inside - 1).abs().max() < 0.01


@pytest.mark.parametrize("name", ["parallel offset", "fan short scan offset"])
def test_centimetres_change_only_the_unit(name: str) -> None:
    in_mm = SCANS[name]
    detector = in_mm.detector
    smaller = FlatDetector(detector.pixels, detector.pitch / 10, detector.axis_offset / 10)
    pixel = (in_mm.pixel[0] / 10, in_mm.pixel[1] / 10)
    if isinstance(in_mm, FanBeam):
        in_cm: Geometry = FanBeam(
            in_mm.shape,
            in_mm.angles,
            smaller,
            in_mm.source_origin / 10,
            in_mm.origin_detector / 10,
            pixel,
        )
    else:
        in_cm = ParallelBeam(in_mm.shape, in_mm.angles, smaller, pixel)
    data = disc_lines(in_mm)
    torch.testing.assert_close(
        fbp(RayTransform(in_cm), data), 10 * fbp(RayTransform(in_mm), data), rtol=1e-9, atol=1e-10
    )


def test_leading_axes_and_float32() -> None:
    geometry = replace(SCANS["fan short scan"], angles=AngleRange(40, 0.4, SHORT))
    data = normal(2, 3, *geometry.data_shape)
    images = fbp(RayTransform(geometry), data)
    assert images.shape == (2, 3, *geometry.shape)
    torch.testing.assert_close(images[1, 2], fbp(RayTransform(geometry), data[1, 2]))
    single = fbp(RayTransform(geometry), data.float())
    assert single.dtype == torch.float32
    position_rounding = 400 * 2.0**-24
    assert (single - images).norm() < 2 * position_rounding * images.norm()


@pytest.mark.parametrize("make", [parallel, fan])
def test_backprojection_and_its_transpose(
    make: Callable[[AngleRange | tuple[float, ...]], Geometry],
) -> None:
    geometry = replace(make(AngleRange(7, 0.1, TURN)), shape=(9, 12), pixel_size=(9.0, 8.0))
    kernel = Backprojection(geometry)
    v = normal(2, *geometry.data_shape)
    u = normal(2, *geometry.shape)
    torch.testing.assert_close((kernel.forward(v) * u).sum(), (v * kernel.adjoint(u)).sum())


def test_fbp_is_differentiable_in_the_data() -> None:
    geometry = ParallelBeam((5, 4), AngleRange(3), FlatDetector(7), 1.3)
    data = normal(1, 1, 3, 7).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: fbp(RayTransform(geometry), y), data)
    assert torch.autograd.gradgradcheck(lambda y: fbp(RayTransform(geometry), y), data)


def test_pseudo_inverse_unwraps() -> None:
    geometry = parallel(AngleRange(60))
    ray = RayTransform(geometry)
    lines = disc_lines(geometry)[None, None]
    image = fbp(RayTransform(geometry), lines)
    transmission = TransmissionCT(Transmission(geometry, mu=0.3))
    passed = torch.exp(-0.3 * lines)
    torch.testing.assert_close(pseudo_inverse(ray, lines), image)
    torch.testing.assert_close(pseudo_inverse((ray * 0.25) * 2.0, 0.5 * lines), image)
    torch.testing.assert_close(pseudo_inverse(transmission, passed), image)
    scaled = ScaledArgument(transmission, 0.02)
    torch.testing.assert_close(pseudo_inverse(scaled, passed), image / 0.02)


CUT = FlatDetector(240, 0.7, 64.0)
MISSES = FlatDetector(240, 0.7, 90.0)


@pytest.mark.parametrize(
    ("angles", "detector", "text"),
    [
        (AngleRange(360), CUT, "ends after 20 of the 71.56 mm"),
        (AngleRange(360, 0.0, 1.5 * math.pi), CUT, "ends after 20 of"),
        (AngleRange(360, 0.0, TURN), MISSES, "ends after 0 of .* misses the axis"),
        (AngleRange(360, 0.0, TURN), CUT, None),
        (AngleRange(360), FlatDetector(240, 0.7, 7.3), None),
        (AngleRange(360), FlatDetector(100, 0.7), None),
    ],
)
def test_a_detector_cut_on_one_side_is_said_once(
    angles: AngleRange, detector: FlatDetector, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    geometry = replace(parallel(angles), detector=detector)
    operator = RayTransform(geometry)
    _added.cache_clear()
    _ray_weights.cache_clear()
    caplog.clear()
    with caplog.at_level("WARNING", logger="learnedrecon"):
        for _ in range(2):
            assert fbp(operator, disc_lines(geometry)).isfinite().all()
    assert len(caplog.messages) == (text is not None)
    assert text is None or re.search(text, caplog.messages[0])


@pytest.mark.parametrize("lead", [(0,), (0, 1), (2, 0)])
@pytest.mark.parametrize("name", ["parallel", "fan"])
def test_an_empty_batch_gives_an_empty_image(name: str, lead: tuple[int, ...]) -> None:
    geometry = SCANS[name]
    data = torch.zeros(*lead, *geometry.data_shape, requires_grad=True)
    image = fbp(RayTransform(geometry), data)
    assert image.shape == (*lead, *geometry.shape)
    image.sum().backward()


def test_no_photons_are_no_infinity() -> None:
    transmission = TransmissionCT(Transmission(parallel(AngleRange(20))))
    dark = torch.zeros(1, 1, *transmission.codomain.shape)
    assert pseudo_inverse(transmission, dark).isfinite().all()


def test_cartesian_mri_is_zero_filled() -> None:
    """Exact where all of k-space was measured."""
    image = torch.randn(2, 1, 6, 4, dtype=torch.complex128)
    full = CartesianMRI(Cartesian((6, 4)), torch.ones(6, 4), dtype=torch.complex128)
    torch.testing.assert_close(pseudo_inverse(full, full(image)), image)
    torch.testing.assert_close(pseudo_inverse(0.5 * full, 0.5 * full(image)), image)
    lines = (torch.arange(4) % 2 == 0).float().expand(6, 4)
    half = CartesianMRI(Cartesian((6, 4)), lines, dtype=torch.complex128)
    data = half(image)
    torch.testing.assert_close(pseudo_inverse(half, data), half.adjoint(data))


def test_errors_say_what_to_do() -> None:
    geometry = parallel(AngleRange(20))
    with pytest.raises(ShapeError, match="line integrals"):
        fbp(RayTransform(geometry), torch.zeros(20, 239))
    with pytest.raises(ConfigError, match="bandwidth"):
        fbp(RayTransform(geometry), torch.zeros(20, 240), bandwidth=1.5)
    with pytest.raises(GeometryError, match="FiniteDifference"):
        pseudo_inverse(FiniteDifference(Space((3, 3))), torch.zeros(1, 2, 3, 3))


def test_an_operator_with_tensors_has_their_values_and_no_gradient() -> None:
    geometry = ParallelBeam((8, 8), AngleRange(6), FlatDetector(13))
    offset = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    operator = RayTransform(geometry).with_tensors({"axis_offset": offset})
    data = torch.randn(6, 13, dtype=torch.float64)
    with pytest.raises(DifferentiationError, match="no_grad"):
        pseudo_inverse(operator, data)
    moved = replace(geometry, detector=FlatDetector(13, 1.0, 1.5))
    with torch.no_grad():
        torch.testing.assert_close(pseudo_inverse(operator, data), fbp(RayTransform(moved), data))


def test_filtered_backprojection_is_differentiated_twice() -> None:
    """It is linear: the derivative of its adjoint is it again."""
    operator = RayTransform(ParallelBeam((3, 4), AngleRange(4), FlatDetector(5)), torch.float64)
    y = torch.rand(1, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda data: fbp(operator, data), (y,))
    assert torch.autograd.gradgradcheck(lambda data: fbp(operator, data), (y,))
