"""The Triton kernels in two dimensions, interpreted on the CPU, against the oracle."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pytest
import torch
from tests.helpers import normal, relative

from learnedrecon.kernels import joseph, oracle, triton2d
from learnedrecon.kernels.geometry import RayGeometry2D
from learnedrecon.kernels.sizes import Sizes
from learnedrecon.kernels.triton_launch import accumulator, lanes_for, power_of_two, runs_on

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[list[tuple[object, ...]]], list[torch.Tensor]]

pytest.importorskip("triton")

Beam = Literal["parallel", "fan"]
BEAMS = pytest.mark.parametrize("beam", ["parallel", "fan"])
F32, F64 = torch.float32, torch.float64


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Evaluates calls (see triton_driver.Call) where Triton interprets."""

    def evaluate(calls: list[tuple[object, ...]]) -> list[torch.Tensor]:
        source, target = tmp_path / "calls.pt", tmp_path / "results.pt"
        torch.save(calls, source)
        driver = Path(__file__).with_name("triton_driver.py")
        command = [sys.executable, "-W", "error", str(driver), "triton2d", str(source), str(target)]
        subprocess.run(command, check=True, env={**os.environ, "TRITON_INTERPRET": "1"})
        return torch.load(target)

    return evaluate


def scan(
    beam: Beam,
    *,
    angles: int = 8,
    detectors: int = 13,
    pitch: float = 1.0,
    shape: tuple[int, int] = (9, 12),
    source: float = 25.0,
) -> RayGeometry2D:
    """A full turn that meets 0, 45 and 90 degrees, with an axis off centre."""
    theta = np.arange(angles) * (2 * np.pi / angles)
    across = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    along = np.stack([-np.sin(theta), np.cos(theta)], axis=1)
    first = across * (0.7 - pitch * (detectors - 1) / 2) + 15.0 * along
    start = -source * along if beam == "fan" else along
    vectors = np.concatenate([start, first, pitch * across], axis=1)
    return RayGeometry2D(vectors, beam == "fan", detectors, shape, (1.2, 0.7))


def call(function: str, tensor: torch.Tensor, geometry: RayGeometry2D, *options: object) -> Any:
    vectors = torch.tensor(geometry.vectors)
    sizes = (geometry.fan, (geometry.detectors,), geometry.shape, geometry.pixel)
    return (function, tensor, vectors, sizes, *options)


def pair(geometry: RayGeometry2D, *lead: int) -> tuple[torch.Tensor, torch.Tensor]:
    data = normal(*lead, geometry.angles, geometry.detectors, seed=1)
    return normal(*lead, *geometry.shape), data


def check(run: Run, cases: list[tuple[RayGeometry2D, tuple[int, ...], torch.dtype]]) -> None:
    """Both directions; what equals the oracle in both is a transposed pair."""
    calls, expected = [], []
    for geometry, lead, dtype in cases:
        image, data = pair(geometry, *lead)
        calls.append(call("project", image.to(dtype), geometry))
        calls.append(call("backproject", data.to(dtype), geometry))
        expected += [oracle.forward(image, geometry), oracle.adjoint(data, geometry)]
    for found, truth, (_, tensor, *_) in zip(run(calls), expected, calls, strict=True):
        assert found.dtype == tensor.dtype
        error = relative(found, truth)
        assert error < (1e-12 if found.dtype == F64 else 5e-6)


@BEAMS
def test_kernels_equal_the_oracle_at_every_pitch_and_batch(run: Run, beam: Beam) -> None:
    """Two rays near a pixel or many or none; lanes of one image to a full group and a half."""
    check(
        run,
        [
            (scan(beam, pitch=0.3), (), F32),
            (scan(beam, pitch=0.7), (1,), F64),
            (scan(beam, pitch=0.998), (2, 2), F32),
            (scan(beam, pitch=1.7, angles=4), (33,), F32),
            (scan(beam, pitch=3.0), (9,), F64),
            (scan(beam, pitch=40.0, detectors=3), (1,), F32),
            (scan(beam, angles=34, detectors=5, shape=(6, 5)), (1,), F32),
            (scan(beam, shape=(1, 9), detectors=1, pitch=2.0), (1,), F32),
        ],
    )


def test_sources_in_the_image_and_rays_that_coincide(run: Run) -> None:
    """Where a pixel meets the detector nowhere, or everywhere."""
    half = np.sqrt(0.5)
    vectors = np.array([[half, half, 0.0, 0, 0, 0], [0.0, 1.0, 0.2, 9.0, 0, 0]])
    same = RayGeometry2D(vectors, False, 3, (7, 5), (0.5, 0.5))
    near, inside = scan("fan", source=4.0, angles=3), scan("fan", source=0.3, angles=3)
    check(run, [(near, (1,), F32), (inside, (2,), F64), (same, (1,), F32)])


@BEAMS
def test_adjoint_is_the_transposed_matrix_entry_by_entry(run: Run, beam: Beam) -> None:
    geometry = scan(beam, angles=8, detectors=6, shape=(5, 7), pitch=2.0)
    rays, pixels = 48, 35
    units = torch.eye(rays, dtype=F64).reshape(rays, 8, 6)
    images = torch.eye(pixels, dtype=F64).reshape(pixels, 5, 7)
    rows, columns, single, back = run(
        [
            call("backproject", units, geometry),
            call("project", images, geometry),
            call("project", images.float(), geometry),
            call("backproject", units.float(), geometry),
        ]
    )
    matrix = columns.reshape(pixels, rays).T
    assert (matrix != 0).any()
    torch.testing.assert_close(rows.reshape(rays, pixels), matrix, rtol=1e-12, atol=1e-13)
    # Single pixels against single data, relative to the norms of both.
    norms = single.reshape(pixels, rays).T.norm(dim=0).clamp(min=1e-3)
    gap = (back.reshape(rays, pixels) - single.reshape(pixels, rays).T).abs() / norms
    assert float(gap.max()) < 3e-6


def test_random_geometries_are_adjoint_in_single_precision(run: Run) -> None:
    draw, calls = np.random.default_rng(0), []
    for beam in ("parallel", "fan"):
        for _ in range(4):
            geometry = scan(
                beam,
                angles=int(draw.integers(1, 7)),
                detectors=int(draw.integers(1, 30)),
                pitch=float(draw.uniform(0.2, 4)),
                shape=(int(draw.integers(1, 20)), int(draw.integers(1, 20))),
                source=float(draw.uniform(15, 200)),
            )
            image, data = pair(geometry)
            calls.append(call("project", image.float(), geometry))
            calls.append(call("backproject", data.float(), geometry))
    results = run(calls)
    for i in range(0, len(calls), 2):
        (_, image, *_), (_, data, *_) = calls[i : i + 2]
        forward, adjoint = results[i].double(), results[i + 1].double()
        gap = (forward * data).sum() - (image * adjoint).sum()
        assert abs(gap) <= 1e-6 * forward.norm() * data.norm() + 1e-12


@pytest.mark.parametrize("storage", [torch.float16, torch.bfloat16])
def test_half_storage_rounds_the_pixels_and_nothing_else(run: Run, storage: torch.dtype) -> None:
    geometry = scan("fan", angles=3)
    image, data = pair(geometry, 3)
    forward, adjoint, half, back = run(
        [
            call("project", image.float(), geometry, storage),
            call("backproject", data.float(), geometry, storage),
            call("project", image.to(storage), geometry),
            call("backproject", data.to(storage), geometry),
        ]
    )
    exact = oracle.forward(image.to(storage).double(), geometry)
    step = torch.finfo(storage).eps
    assert forward.dtype == adjoint.dtype == F32
    # Triton's interpreter cuts bfloat16 off where a GPU rounds.
    assert relative(forward, exact) < (1e-6 if storage == torch.float16 else step)
    assert half.dtype == back.dtype == storage
    assert 0 < relative(half, exact) < step
    smeared = oracle.adjoint(data, geometry)
    assert 1e-6 < relative(adjoint, smeared) < step
    assert relative(back, smeared) < 2 * step


def test_positions_are_exact_on_a_wide_image(run: Run) -> None:
    """At 600 pixels a float32 has steps of 6e-5 pixels."""
    geometry = scan("fan", angles=2, detectors=90, pitch=7.0, shape=(64, 603), source=900.0)
    image, data = pair(geometry)
    blocks = (1, 2, 128, 16, 64)
    forward, adjoint = run(
        [
            call("project", image.float(), geometry, None, blocks),
            call("backproject", data.float(), geometry, None, blocks),
        ]
    )
    assert relative(forward, oracle.forward(image, geometry)) < 2e-6
    assert relative(adjoint, oracle.adjoint(data, geometry)) < 5e-6


def test_nothing_in_gives_nothing_or_zeros(run: Run) -> None:
    geometry = scan("fan")
    none = geometry.subset([])
    no_image, no_data, no_rays, zero = run(
        [
            call("project", torch.ones(0, *geometry.shape), geometry),
            call("backproject", torch.ones(0, 8, 13), geometry),
            call("project", torch.ones(2, *geometry.shape), none),
            call("backproject", torch.ones(2, 0, 13), none),
        ]
    )
    assert no_image.shape == (0, 8, 13)
    assert no_data.shape == (0, *geometry.shape)
    assert no_rays.shape == (2, 0, 13)
    assert torch.equal(zero, torch.zeros(2, *geometry.shape))


def test_cuda_tensors_go_to_triton(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And to the oracle, with one notice, where it is not installed."""
    stub = SimpleNamespace(is_cpu=False, is_cuda=True, device=torch.device("cuda"))
    assert joseph._pair(cast("torch.Tensor", stub)) is joseph._TRITON
    joseph._notice.cache_clear()
    monkeypatch.setattr(joseph, "runs_on", lambda _: False)
    with caplog.at_level(logging.WARNING, logger="learnedrecon"):
        assert joseph._pair(cast("torch.Tensor", stub)) is joseph._PLAIN
        assert joseph._pair(cast("torch.Tensor", stub)) is joseph._PLAIN
    assert [record.args for record in caplog.records] == [("Triton is not installed",)]


def test_launcher() -> None:
    assert [lanes_for(batch) for batch in (0, 1, 2, 3, 8, 9, 128)] == [1, 1, 2, 4, 8, 16, 32]
    assert [power_of_two(x) for x in (0.7, 1.0, 1e-3)] == [1.0, 2.0, 2.0**-9]
    assert accumulator(torch.bfloat16) == F32
    assert accumulator(F64) == F64
    assert runs_on(torch.device("cuda"))
    assert not runs_on(torch.device("mps"))
    small, large, huge = (Sizes(False, (9,), (16, n), (1.0, 1.0)) for n in (32, 10**5, 10**7))
    blocks = triton2d._blocks(1, small)
    assert triton2d._parts(1, small, 64, blocks) == 4
    assert triton2d._parts(128, large, 64, blocks) == 1
    assert triton2d._blocks(128, large).lanes == 32
    assert triton2d._blocks(128, huge).lanes == 4
