"""Fan beams on an arc: every ray alone, closed forms, gradients in the geometry, refusals."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.helpers import normal
from tests.operators.ray.gaussians import Blob, error, image, integrals

from learnedrecon.errors import GeometryError
from learnedrecon.operators.ray.curved import CurvedFanBeam
from learnedrecon.operators.ray.detectors import ArcDetector
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector
from learnedrecon.operators.ray.transform2d import RayTransform

if TYPE_CHECKING:
    from collections.abc import Callable

TURN = 2 * math.pi
SCAN = CurvedFanBeam((9, 8), (0.1, 0.8, 2.4, 4.0), ArcDetector(11, 0.05, 0.02), 20.0, (1.2, 0.9))


def test_every_ray_is_that_of_a_fan_with_one_flat_pixel() -> None:
    image_ = normal(*SCAN.shape)
    data = RayTransform(SCAN, torch.float64)(image_)
    for pixel, gamma in enumerate(SCAN.fan_angles):
        line = FlatDetector(1, 1.0, -50.0 * math.tan(gamma))
        alone = FanBeam(SCAN.shape, SCAN.angles, line, 20.0, 30.0, SCAN.pixel_size)
        expected = RayTransform(alone, torch.float64)(image_)[:, 0]
        torch.testing.assert_close(data[:, pixel], expected, rtol=1e-12, atol=1e-12)


def test_integrals_of_a_blob_off_the_centre() -> None:
    """With source, direction and fan angle written out."""
    detector = ArcDetector(60, 0.02, 0.07)
    scan = CurvedFanBeam((60, 64), AngleRange(7, 0.2, TURN), detector, 70.0, (0.8, 0.7))
    blobs = [Blob((6.0, -9.0), 4.0), Blob((-8.0, 3.0), 3.0, 0.5)]
    theta = np.array(scan.angle_values)[:, None, None]
    gamma = ((np.arange(60) - 29.5) * 0.02 - 0.07)[:, None]
    ahead = np.concatenate([-np.sin(theta), np.cos(theta)], axis=-1)
    along = np.concatenate([np.cos(theta), np.sin(theta)], axis=-1)
    rays = np.cos(gamma) * ahead + np.sin(gamma) * along
    expected = torch.from_numpy(integrals(blobs, -70.0 * ahead, rays))
    assert error(RayTransform(scan, torch.float64)(image(blobs, scan)), expected) < 3e-3


def test_arc_lengths_are_divided_by_the_distance() -> None:
    assert ArcDetector.of_arc(9, 1.5, 300.0, 0.6) == ArcDetector(9, 0.005, 0.002)


@pytest.mark.parametrize("name", ["angles", "axis_offset"])
def test_gradients_in_the_geometry_are_differences(name: str) -> None:
    plain = {
        "angles": torch.tensor(SCAN.angle_values, dtype=torch.float64),
        "axis_offset": torch.tensor(0.02, dtype=torch.float64),
    }
    blob = image([Blob((1.0, -0.5), 2.0)], SCAN)
    weights = normal(*SCAN.data_shape)
    operator = RayTransform(SCAN, torch.float64)

    def value(tensor: torch.Tensor) -> torch.Tensor:
        return (operator.with_tensors({name: tensor})(blob) * weights).sum()

    tensor = plain[name].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(tensor), tensor)
    step, direction = 1e-6, normal(*plain[name].shape)
    ahead, behind = (value(plain[name] + sign * step * direction) for sign in (1, -1))
    expected = (ahead - behind) / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), expected, rtol=1e-5, atol=1e-6)


def test_tensors_of_the_geometry_give_the_scan_and_one_for_each_sample() -> None:
    angles = torch.tensor([[0.3, 1.1, 2.0, 5.0], [0.1, 0.9, 2.2, 3.0]], dtype=torch.float64)
    images = normal(2, 1, *SCAN.shape)
    both = RayTransform(SCAN, torch.float64).with_tensors({"angles": angles[:, None]})(images)
    for k in range(2):
        scan = SCAN.with_angles(tuple(angles[k].tolist()))
        one = RayTransform(SCAN, torch.float64).with_tensors({"angles": angles[k]})
        assert one.geometry == scan
        expected = RayTransform(scan, torch.float64)(images[k])
        torch.testing.assert_close(both[k], expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(one(images[k]), expected, rtol=1e-12, atol=1e-12)


def test_a_far_source_gives_the_parallel_beam_of_the_directions() -> None:
    """Rays at γ = s/R, up to terms in 1/R."""
    flat = FanBeam((9, 8), SCAN.angles, FlatDetector(11, 1.0, 0.3), 1e8, 0.0)
    far = CurvedFanBeam((9, 8), SCAN.angles, ArcDetector(11, 1e-8, 0.3e-8), 1e8)
    image_ = normal(9, 8)
    found, expected = (RayTransform(scan, torch.float64)(image_) for scan in (far, flat))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "pitch in mm": (lambda: ArcDetector(400, 1.0), "divide a pitch in mm"),
    "no pixels": (lambda: ArcDetector(0, 0.1), "at least 1 pixel"),
    "source inside": (lambda: replace(SCAN, source_origin=3.0), "a source outside"),
    "flat detector": (lambda: replace(SCAN, detector=FlatDetector(9)), "ArcDetector"),  # type: ignore[arg-type]
    "arc for a flat fan": (
        lambda: FanBeam((9, 8), (0.0,), ArcDetector(9, 0.1), 30.0, 2.0),  # type: ignore[arg-type]
        "FlatDetector",
    ),
    "vectors": (
        lambda: RayTransform(SCAN).with_tensors({"vectors": torch.zeros(4, 6)}),
        "'angles' and 'axis_offset' for CurvedFanBeam",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    make, words = REFUSED[name]
    with pytest.raises(GeometryError, match=words):
        make()
