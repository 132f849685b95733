"""Filtered backprojection of arcs and of poses near a circle: blobs that are known exactly."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.operators.ray.gaussians import Blob, error, image, sinogram

from learnedrecon.errors import GeometryError
from learnedrecon.networks.filters import equiangular_response, padded_length, ramp_response
from learnedrecon.operators.ray.beam2d import RayVectors2D
from learnedrecon.operators.ray.curved import CurvedFanBeam
from learnedrecon.operators.ray.detectors import ArcDetector
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.solvers.direct.fbp import fbp
from learnedrecon.solvers.direct.pseudo_inverse import has_pseudo_inverse

if TYPE_CHECKING:
    from learnedrecon.operators.ray.planar import PlanarGeometry

TURN = 2 * math.pi
SIZE = (60, 64)
BLOBS = [Blob((9.0, -5.0), 7.0), Blob((-10.0, 8.0), 6.0, 0.6)]
FULL, SHORT = AngleRange(300, arc=TURN), AngleRange(230, 0.3, math.pi + 1.3)


def arc(pixels: int = 200, offset: float = 0.0, angles: AngleRange = FULL) -> CurvedFanBeam:
    return CurvedFanBeam(SIZE, angles, ArcDetector(pixels, 0.006, offset), 110.0, (1.0, 0.9))


def fan(pixels: int = 200, offset: float = 0.0, angles: AngleRange = FULL) -> FanBeam:
    line = FlatDetector(pixels, 0.006 * 180, offset)
    return FanBeam(SIZE, angles, line, 110.0, 70.0, (1.0, 0.9))


def parallel(pixels: int = 160, offset: float = 0.0, arc: float = math.pi) -> ParallelBeam:
    line = FlatDetector(pixels, 0.7, offset)
    return ParallelBeam(SIZE, AngleRange(240, 0.1, arc), line, (1.0, 0.9))


def poses(scan: FanBeam | ParallelBeam, *, mirrored: bool = False) -> RayVectors2D:
    rays = scan.rays()
    vectors = rays.vectors.copy()
    if mirrored:
        vectors[:, 2:4] += (rays.detectors - 1) * vectors[:, 4:]
        vectors[:, 4:] *= -1
    beam = "fan" if rays.fan else "parallel"
    return RayVectors2D(scan.shape, vectors, rays.detectors, scan.pixel_size, beam)  # type: ignore[arg-type]


def reconstructed(scan: PlanarGeometry, data: torch.Tensor) -> torch.Tensor:
    return fbp(RayTransform(scan, torch.float64), data)


ARCS = {
    "full turn": arc(),
    "offset": arc(offset=0.02),
    "short scan": arc(angles=SHORT),
    "backwards": arc(angles=AngleRange(300, arc=-TURN)),
    "displaced": arc(pixels=130, offset=0.24),
    "displaced the other way": arc(pixels=130, offset=-0.24),
}


@pytest.mark.parametrize("name", ARCS)
def test_blobs_come_out_of_an_arc(name: str) -> None:
    scan = ARCS[name]
    found, right = reconstructed(scan, sinogram(BLOBS, scan)), image(BLOBS, scan)
    assert error(found, right) < 0.005
    assert abs(float(found.sum() / right.sum()) - 1) < 0.001


def test_an_arc_needs_its_own_filter_and_weights() -> None:
    """Taken for a line of the same pixels the image is wrong by much more."""
    scan = arc()
    data, right = sinogram(BLOBS, scan), image(BLOBS, scan)
    assert error(reconstructed(fan(), data), right) > 10 * error(reconstructed(scan, data), right)


def test_the_kernel_is_that_of_kak_and_slaney() -> None:
    """g(nα) = h[n]·(nα/sin nα)² with the ramp h."""
    n, pitch = 31, 0.03
    plain = ramp_response(n, "ram-lak", 1.0, torch.float64, "cpu")
    kernel = torch.fft.irfft(equiangular_response(plain, n, pitch), n=padded_length(n))
    for k in range(n):
        ramp = 0.25 if k == 0 else -1 / (math.pi * k) ** 2 if k % 2 else 0.0
        stretch = 1.0 if k == 0 else (k * pitch / math.sin(k * pitch)) ** 2
        assert math.isclose(float(kernel[k]), ramp * stretch, abs_tol=1e-14)


def test_gradients_of_an_arc_are_differences() -> None:
    scan = CurvedFanBeam((9, 8), AngleRange(7, arc=TURN), ArcDetector(15, 0.06), 16.0)
    data = torch.rand(7, 15, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    operator = RayTransform(scan, torch.float64)
    assert torch.autograd.gradcheck(lambda y: fbp(operator, y), data.requires_grad_())


BEAMS: dict[str, FanBeam | ParallelBeam] = {
    "fan": fan(),
    "fan offset": fan(offset=3.0),
    "fan short scan": fan(angles=SHORT),
    "fan displaced": fan(pixels=130, offset=40.0),
    "parallel": parallel(),
    "parallel offset": parallel(offset=3.3),
    "parallel displaced": parallel(pixels=100, offset=-25.0, arc=TURN),
}


@pytest.mark.parametrize("mirrored", [False, True], ids=["as it is", "mirrored"])
@pytest.mark.parametrize("name", BEAMS)
def test_poses_of_a_beam_give_the_image_of_that_beam(name: str, mirrored: bool) -> None:
    scan = BEAMS[name]
    data = sinogram(BLOBS, scan)
    expected = reconstructed(scan, data)
    given = data.flip(-1) if mirrored else data
    found = reconstructed(poses(scan, mirrored=mirrored), given)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def calibrated(size: float, turn: float) -> RayVectors2D:
    """Sources and detectors moved by about ``size`` mm, detectors turned by about ``turn``."""
    random = np.random.default_rng(0)
    scan = poses(fan())
    vectors = np.array(scan.vectors)
    middle = vectors[:, 2:4] + (scan.detector - 1) / 2 * vectors[:, 4:]
    middle += random.normal(0, size, middle.shape)
    vectors[:, :2] += random.normal(0, size, middle.shape)
    angle = random.normal(0, turn, len(vectors))
    cos, sin, (x, y) = np.cos(angle), np.sin(angle), vectors[:, 4:].T.copy()
    vectors[:, 4:] = np.stack([cos * x - sin * y, sin * x + cos * y], axis=1)
    vectors[:, 2:4] = middle - (scan.detector - 1) / 2 * vectors[:, 4:]
    return RayVectors2D(scan.shape, vectors, scan.detector, scan.pixel_size)  # type: ignore[arg-type]


def test_calibrated_poses_are_used_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    scan = calibrated(0.3, math.radians(0.3))
    data, right = sinogram(BLOBS, scan), image(BLOBS, scan)
    with caplog.at_level(logging.WARNING, "learnedrecon"):
        found = reconstructed(scan, data)
    assert error(found, right) < 0.002
    assert error(reconstructed(fan(), data), right) > 0.004
    assert "mm beside a circle of 109.998 mm" in caplog.text


def test_poses_far_from_a_circle_are_refused() -> None:
    scan = calibrated(3.0, 0.0)
    operator = RayTransform(scan)
    assert not has_pseudo_inverse(operator)
    assert has_pseudo_inverse(RayTransform(poses(fan())))
    with pytest.raises(GeometryError, match="mm beside a circle"):
        fbp(operator, torch.zeros(scan.data_shape))
    with pytest.raises(GeometryError, match="three views"):
        fbp(RayTransform(scan.subset([0, 1])), torch.zeros(2, scan.detector))
