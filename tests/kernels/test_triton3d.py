"""The Triton kernels in three dimensions, interpreted on the CPU, against the oracle."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.helpers import relative

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[list[tuple[object, ...]]], list[torch.Tensor]]

pytest.importorskip("triton")
oracle3d = pytest.importorskip("learnedrecon.kernels.oracle3d")
geometry3d = pytest.importorskip("learnedrecon.kernels.geometry3d")

F32, F64 = torch.float32, torch.float64
SHAPE = (5, 6, 7)
BLOCKS = ((4, 8), 4, (4, 4, 8))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Evaluates calls (see triton_driver.Call) where Triton interprets."""

    def evaluate(calls: list[tuple[object, ...]]) -> list[torch.Tensor]:
        source, target = tmp_path / "calls.pt", tmp_path / "results.pt"
        torch.save(calls, source)
        driver = Path(__file__).with_name("triton_driver.py")
        command = [sys.executable, "-W", "error", str(driver), "triton3d", str(source), str(target)]
        subprocess.run(command, check=True, env={**os.environ, "TRITON_INTERPRET": "1"})
        return torch.load(target)

    return evaluate


def scan(
    cone: bool,
    *,
    angles: int = 4,
    detectors: tuple[int, int] = (5, 6),
    pitch: float = 1.4,
    distance: float = 150.0,
    tilt: float = 0.0,
    start: float = 0.0,
) -> Any:
    """A circle, or for a tilt a laminography; voxels are cubes, so that 45 degrees are ties."""
    theta = start + np.arange(angles) * (2 * np.pi / angles)
    across = np.stack([np.cos(theta), np.sin(theta), 0 * theta], axis=1)
    along = np.stack([-np.sin(theta), np.cos(theta), 0 * theta], axis=1)
    along = np.cos(tilt) * along + np.sin(tilt) * np.array([0.0, 0.0, 1.0])
    up = np.cross(across, along)
    corner = across * (0.3 - pitch * (detectors[1] - 1) / 2) - up * pitch * (detectors[0] - 1) / 2
    first = -distance * along if cone else along
    vectors = np.concatenate([first, corner + 5.0 * along, pitch * across, pitch * up], axis=1)
    return geometry3d.RayGeometry3D(vectors, cone, detectors, SHAPE, (1.0, 1.0, 1.0))


def call(function: str, tensor: torch.Tensor, geometry: Any, *options: object) -> Any:
    sizes = (geometry.cone, geometry.detectors, geometry.shape, geometry.pixel)
    return (function, tensor, torch.tensor(geometry.vectors), sizes, *options)


def pair(geometry: Any, *lead: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (geometry.shape, (geometry.angles, *geometry.detectors))
    volume, data = (torch.randn(*lead, *s, dtype=F64, generator=generator) for s in shapes)
    return volume, data


def check(run: Run, cases: list[tuple[Any, tuple[int, ...], torch.dtype]]) -> None:
    """Both directions; what equals the oracle in both is a transposed pair."""
    calls, expected = [], []
    for geometry, lead, dtype in cases:
        volume, data = pair(geometry, *lead)
        lanes = 1 << (int(np.prod(lead)) - 1).bit_length()
        calls.append(call("project", volume.to(dtype), geometry, None, (lanes, *BLOCKS)))
        calls.append(call("backproject", data.to(dtype), geometry, None, (lanes, *BLOCKS)))
        expected += [oracle3d.forward(volume, geometry), oracle3d.adjoint(data, geometry)]
    for found, truth, (_, tensor, *_) in zip(run(calls), expected, calls, strict=True):
        error = relative(found, truth)
        assert found.dtype == tensor.dtype
        assert error < (1e-12 if found.dtype == F64 else 5e-6)


def test_circles_and_tilted_axes_equal_the_oracle(run: Run) -> None:
    """Three main axes, far and near sources, and ties between the axes at 45 degrees."""
    tie = np.pi / 4
    cases = [
        (scan(True, pitch=0.8), (1,), F32),
        (scan(True, distance=12.0, tilt=0.3, angles=2), (1,), F32),
        (scan(True, start=tie), (1,), F32),
        (scan(True, tilt=tie, angles=3), (3,), F32),
        (scan(True, tilt=1.4, angles=3, pitch=3.0), (1,), F64),
        (scan(False, angles=3), (2,), F32),
        (scan(False, tilt=tie, start=tie), (1,), F64),
        (scan(False, tilt=1.4, angles=3, pitch=0.8), (), F32),
    ]
    check(run, cases)


def test_sources_in_the_volume(run: Run) -> None:
    """Every ray may pass by a voxel at the source's height over the detector."""
    check(run, [(scan(True, distance=1.0, angles=2), (1,), F64)])


def test_half_storage_rounds_the_voxels_and_nothing_else(run: Run) -> None:
    storage = torch.float16
    geometry = scan(True, angles=2)
    volume, data = pair(geometry)
    forward, adjoint, half = run(
        [
            call("project", volume.float(), geometry, storage),
            call("backproject", data.float(), geometry, storage),
            call("project", volume.to(storage), geometry),
        ]
    )
    exact = oracle3d.forward(volume.to(storage).double(), geometry)
    assert forward.dtype == adjoint.dtype == F32
    assert relative(forward, exact) < 1e-6
    assert half.dtype == storage
    assert 0 < relative(half, exact) < torch.finfo(storage).eps
    assert 1e-6 < relative(adjoint, oracle3d.adjoint(data, geometry)) < torch.finfo(storage).eps


def test_no_angles(run: Run) -> None:
    geometry = scan(True).subset([])
    nothing, zero = run(
        [
            call("project", torch.ones(*SHAPE), geometry),
            call("backproject", torch.ones(2, 0, 5, 6), geometry),
        ]
    )
    assert nothing.shape == (0, 5, 6)
    assert torch.equal(zero, torch.zeros(2, *SHAPE))
