"""Scans of an image whose poses are given view by view, and the beams that they are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from learnedrecon.errors import DataError, GeometryError
from learnedrecon.operators.ray.beam2d import Beam2D, RayVectors2D
from learnedrecon.operators.ray.beam3d import Beam3D, RayVectors3D
from learnedrecon.operators.ray.curved import CurvedFanBeam
from learnedrecon.operators.ray.detectors import ArcDetector
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam, Orbit, ParallelBeam3D
from learnedrecon.operators.ray.nominal import nominal
from learnedrecon.operators.ray.transform2d import RayTransform

if TYPE_CHECKING:
    from collections.abc import Callable

TURN = 2 * math.pi
ANGLES = (0.3, 1.9, -2.5)
PARALLEL = ParallelBeam((7, 9), ANGLES, FlatDetector(12, 0.8, 1.3), (1.1, 0.9))
FAN = FanBeam((7, 9), ANGLES, FlatDetector(12, 1.4, -0.7), 30.0, 12.0, (1.1, 0.9))
PANEL = FlatPanel(5, 6, (1.5, 1.2), 0.4, -0.3)
BEAMS: dict[str, Beam2D | Beam3D] = {
    "parallel": PARALLEL,
    "fan": FAN,
    "fan on the axis": FanBeam((7, 9), ANGLES, FlatDetector(12), 30.0, 0.0),
    "cone": ConeBeam((4, 5, 6), ANGLES, PANEL, 30.0, 20.0, (1.0, 1.1, 0.9), Orbit(height=1.5)),
    "panel": ParallelBeam3D((4, 5, 6), ANGLES, PANEL, 0.9),
}
OTHERS: dict[str, Beam3D] = {
    "helix": ConeBeam((4, 5, 6), ANGLES, PANEL, 30.0, 20.0, orbit=Orbit(5.0)),
    "tilt": ParallelBeam3D((4, 5, 6), ANGLES, PANEL, tilt=0.3),
}


def vectors_of(scan: Beam2D | Beam3D) -> RayVectors2D | RayVectors3D:
    rays = scan.rays()
    if isinstance(scan, Beam3D):
        return scan.to_vectors()
    beam = "fan" if rays.fan else "parallel"  # type: ignore[union-attr]
    return RayVectors2D(
        scan.shape,
        rays.vectors,  # type: ignore[arg-type]
        rays.detectors,  # type: ignore[arg-type]
        scan.pixel_size,  # type: ignore[arg-type]
        beam,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("scan", [PARALLEL, FAN], ids=["parallel", "fan"])
def test_poses_of_a_beam_are_its_ray_transform(scan: ParallelBeam | FanBeam) -> None:
    image = torch.rand(scan.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    poses = vectors_of(scan)
    found = RayTransform(poses, torch.float64)(image)  # type: ignore[arg-type]
    torch.testing.assert_close(found, RayTransform(scan, torch.float64)(image), rtol=0, atol=0)
    assert (
        poses.subset([2, 0]).rays().vectors.tolist() == scan.subset([2, 0]).rays().vectors.tolist()
    )


@pytest.mark.parametrize("name", BEAMS)
def test_poses_of_a_beam_are_that_beam(name: str) -> None:
    scan = BEAMS[name]
    poses = vectors_of(scan)
    found = nominal(poses, ANGLES)
    assert type(found) is type(scan)
    np.testing.assert_allclose(found.rays().vectors, scan.rays().vectors, rtol=0, atol=1e-12)
    moved = np.array(poses.vectors)
    moved[1, -1] += 1e-6
    changed = type(poses)(poses.shape, moved, poses.detector, poses.pixel_size, poses.beam)  # type: ignore[arg-type]
    assert nominal(changed) is changed


def test_directions_and_first_pixels_of_parallel_rays_may_be_others() -> None:
    moved = np.array(vectors_of(PARALLEL).vectors)
    moved[:, 2:4] += 3.7 * moved[:, :2]
    moved[1, :2] *= -2.5
    poses = RayVectors2D(PARALLEL.shape, moved, 12, PARALLEL.pixel_size, "parallel")  # type: ignore[arg-type]
    found = nominal(poses, ANGLES)
    assert isinstance(found, ParallelBeam)
    assert found.angles == ANGLES
    assert math.isclose(found.detector.axis_offset, 1.3, abs_tol=1e-12)


@pytest.mark.parametrize("name", OTHERS)
def test_poses_of_other_scans_stay_poses(name: str) -> None:
    poses = OTHERS[name].to_vectors()
    assert nominal(poses) is poses


def test_other_scans_are_returned() -> None:
    arc = CurvedFanBeam((4, 5), AngleRange(3), ArcDetector(7, 0.05), 20.0)
    assert nominal(arc) is arc


POSES = vectors_of(FAN).vectors
REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no table": (
        lambda: RayVectors2D((4, 5), (1.0, 2.0), 7),
        GeometryError,
        "six numbers|views, 6",
    ),  # type: ignore[arg-type]
    "twelve": (lambda: RayVectors2D((4, 5), ((0.0,) * 12,), 7), GeometryError, r"\(views, 6\)"),
    "beam": (lambda: RayVectors2D((4, 5), POSES, 7, 1.0, "cone"), GeometryError, "'fan'"),  # type: ignore[arg-type]
    "no pixels": (lambda: RayVectors2D((4, 5), POSES, 0), GeometryError, "at least one detector"),
    "source inside": (
        lambda: RayVectors2D((4, 5), ((0.0, 1.0, -3.0, 9.0, 1.0, 0.0),), 7),
        GeometryError,
        "sources outside the image",
    ),
    "no direction": (
        lambda: RayVectors2D((4, 5), ((0.0, 0.0, -3.0, 9.0, 1.0, 0.0),), 7, 1.0, "parallel"),
        GeometryError,
        "direction",
    ),
    "nan": (
        lambda: RayVectors2D((4, 5), ((math.nan, 1.0, -3.0, 9.0, 1.0, 0.0),), 7),
        DataError,
        "finite",
    ),
    "angles": (
        lambda: RayTransform(vectors_of(FAN)).with_tensors({"angles": torch.zeros(3)}),  # type: ignore[arg-type]
        GeometryError,
        "'vectors' for RayVectors2D",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    make, kind, words = REFUSED[name]
    with pytest.raises(kind, match=words):
        make()
