"""FDK of poses: the ideal circle to rounding, calibrated poses against the truth, refusals."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.operators.ray.gaussians import Blob, error, image, sinogram

from learnedrecon.errors import GeometryError
from learnedrecon.operators.ray.beam3d import RayVectors3D
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange
from learnedrecon.operators.ray.geometry3d import ConeBeam, Orbit, ParallelBeam3D
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.solvers.direct.fdk import fdk
from learnedrecon.solvers.direct.pose_backprojection import PoseBackprojection
from learnedrecon.solvers.direct.pseudo_inverse import has_pseudo_inverse

if TYPE_CHECKING:
    from learnedrecon.operators.ray.beam3d import Beam3D

TURN = 2 * math.pi
SHAPE = (16, 30, 32)
BLOBS = [Blob((4.0, -3.0, 1.0), 4.0), Blob((-5.0, 4.0, -1.5), 3.0, 0.6)]


def cone(
    columns: int = 56, offset: float = 0.3, arc: float = TURN, orbit: Orbit | None = None
) -> ConeBeam:
    panel = FlatPanel(34, columns, 1.2, offset, -0.4)
    angles = AngleRange(90, 0.2, arc)
    return ConeBeam(SHAPE, angles, panel, 110.0, 70.0, 1.0, orbit or Orbit())


def reconstructed(scan: Beam3D, data: torch.Tensor) -> torch.Tensor:
    return fdk(RayTransform3D(scan, torch.float64), data)  # type: ignore[arg-type]


IDEAL = {
    "full turn": cone(),
    "short scan": cone(arc=math.pi + 0.8),
    "displaced": cone(columns=36, offset=12.0),
    "height": cone(orbit=Orbit(height=1.5)),
}


@pytest.mark.parametrize("mirrored", [False, True], ids=["as it is", "mirrored"])
@pytest.mark.parametrize("name", IDEAL)
def test_poses_of_a_circle_give_the_image_of_the_circle(name: str, mirrored: bool) -> None:
    scan = IDEAL[name]
    data = sinogram(BLOBS, scan)
    expected = reconstructed(scan, data)
    poses = scan.to_vectors()
    vectors = np.array(poses.vectors)
    if mirrored:
        vectors[:, 3:6] += (poses.detector[1] - 1) * vectors[:, 6:9]
        vectors[:, 6:9] *= -1
        data = data.flip(-1)
    found = reconstructed(RayVectors3D(SHAPE, vectors, poses.detector), data)  # type: ignore[arg-type]
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


def calibrated(scan: ConeBeam, size: float, turn: float) -> RayVectors3D:
    """Sources and panels moved by about ``size`` mm, panels and the axis turned by ``turn``."""
    random = np.random.default_rng(0)
    poses = scan.to_vectors()
    rows, columns = poses.detector
    parts = np.array(poses.vectors).reshape(-1, 4, 3)
    source, pixel, column, row = parts.transpose(1, 0, 2)
    middle = pixel + (columns - 1) / 2 * column + (rows - 1) / 2 * row
    source = source + random.normal(0, size, source.shape)
    middle = middle + random.normal(0, size, middle.shape)
    turns = np.stack([rotation(random.normal(0, turn, 3)) for _ in source])
    column, row = (np.einsum("vij,vj->vi", turns, step) for step in (column, row))
    pixel = middle - (columns - 1) / 2 * column - (rows - 1) / 2 * row
    moved = np.stack([source, pixel, column, row], axis=1) @ rotation(np.array([turn, 0, 0])).T
    return RayVectors3D(scan.shape, moved.reshape(-1, 12), poses.detector, scan.pixel_size)  # type: ignore[arg-type]


def rotation(turn: np.ndarray) -> np.ndarray:
    """By |turn| radians about turn (Rodrigues)."""
    angle = float(np.linalg.norm(turn))
    x, y, z = turn / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def test_calibrated_poses_are_as_good_as_the_circle(caplog: pytest.LogCaptureFixture) -> None:
    """.5 mm and .1 degrees: the error of FDK itself, which is larger if poses are not looked at."""
    ideal = cone()
    right = image(BLOBS, ideal)
    of_the_circle = error(reconstructed(ideal, sinogram(BLOBS, ideal)), right)
    poses = calibrated(ideal, 0.5, math.radians(0.1))
    data = sinogram(BLOBS, poses)
    with caplog.at_level(logging.WARNING, "learnedrecon"):
        found = reconstructed(poses, data)
    assert error(found, right) < 1.2 * of_the_circle
    assert error(reconstructed(ideal, data), right) > 2 * of_the_circle
    assert "an axis at" in caplog.text


def test_scans_far_from_a_circle_are_refused() -> None:
    helix = cone(orbit=Orbit(helical_pitch=20.0)).to_vectors()
    tilted = cone(orbit=Orbit(tilt=0.2)).to_vectors()
    for scan, words in ((helix, "off its plane"), (tilted, "detector turned by up to 11.5°")):
        assert not has_pseudo_inverse(RayTransform3D(scan))
        with pytest.raises(GeometryError, match=words):
            fdk(RayTransform3D(scan), torch.zeros(scan.data_shape))
    parallel = ParallelBeam3D(SHAPE, AngleRange(5), FlatPanel(4, 5)).to_vectors()
    assert not has_pseudo_inverse(RayTransform3D(parallel))
    assert has_pseudo_inverse(RayTransform3D(cone().to_vectors()))


def test_the_backprojection_and_its_transpose() -> None:
    scan = calibrated(cone(), 0.5, 0.002).subset(range(0, 90, 9))
    kernel = PoseBackprojection(scan)
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(2, *scan.data_shape, generator=generator, dtype=torch.float64)
    volume = torch.randn(2, *SHAPE, generator=generator, dtype=torch.float64)
    left = (kernel.forward(data) * volume).sum()
    right = (data * kernel.adjoint(volume)).sum()
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


def test_gradients_are_the_transpose() -> None:
    scan = cone().to_vectors().subset(range(0, 90, 15))
    data = sinogram(BLOBS, scan).requires_grad_()
    operator = RayTransform3D(scan, torch.float64)
    weights = image(BLOBS, scan)
    (gradient,) = torch.autograd.grad((fdk(operator, data) * weights).sum(), data)
    other = sinogram(BLOBS[:1], scan)
    torch.testing.assert_close((gradient * other).sum(), (fdk(operator, other) * weights).sum())
