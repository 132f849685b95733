"""The compiled ray transform in 3D against its oracle, its transpose and itself."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.helpers import normal, relative
from tests.kernels.exactness import path

from learnedrecon.errors import ConfigError, DtypeError, ShapeError
from learnedrecon.kernels import joseph, joseph3d, oracle3d
from learnedrecon.kernels.joseph3d import RayGeometry3D

if TYPE_CHECKING:
    from .conftest import Scan3D

KINDS = [
    "circular",
    "helical",
    "laminography",
    "along_z",
    "steep",
    "turned",
    "upside_down",
    "skew",
    "about_x",
    "about_y",
    "inside",
    "fine_rows",
    "coarse_rows",
    "very_coarse",
]

compiled = pytest.mark.skipif(not joseph.available_isas(), reason="no compiled kernels")


def pair(
    geometry: RayGeometry3D, *lead: int, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor]:
    """A volume and data."""
    volume = normal(*lead, *geometry.shape, dtype=dtype)
    return volume, normal(*lead, geometry.angles, *geometry.detectors, dtype=dtype, seed=1)


def check_against_oracle(geometry: RayGeometry3D, *lead: int) -> None:
    volume, data = pair(geometry, *lead)
    assert relative(joseph3d.forward(volume, geometry), oracle3d.forward(volume, geometry)) < 1e-12
    assert relative(joseph3d.adjoint(data, geometry), oracle3d.adjoint(data, geometry)) < 1e-12
    # Sums near the source have thousands of terms: without signs, rounding is relative to them.
    volume, data = volume.abs(), data.abs()
    expected = oracle3d.forward(volume, geometry), oracle3d.adjoint(data, geometry)
    assert relative(joseph3d.forward(volume.float(), geometry).double(), expected[0]) < 3e-6
    assert relative(joseph3d.adjoint(data.float(), geometry).double(), expected[1]) < 3e-6


@compiled
@pytest.mark.parametrize("cone", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_compiled_kernels_equal_the_oracle(isa: str, scan3d: Scan3D, kind: str, cone: bool) -> None:
    assert joseph.current_isa() == isa
    check_against_oracle(scan3d(kind, cone=cone))
    check_against_oracle(
        scan3d(kind, cone=cone, angles=5, detectors=(70, 37), shape=(41, 20, 23)), 2
    )


@compiled
@pytest.mark.parametrize("kind", ["circular", "laminography", "fine_rows"])
def test_single_precision_stays_accurate_in_a_large_volume(
    isa: str, scan3d: Scan3D, kind: str
) -> None:
    del isa
    geometry = scan3d(
        kind, angles=2, detectors=(331, 40), shape=(257, 201, 190), pixel=(0.05, 0.06, 0.05)
    )
    volume, data = pair(geometry)
    forward, adjoint = joseph3d.forward(volume, geometry), joseph3d.adjoint(data, geometry)
    assert relative(joseph3d.forward(volume.float(), geometry).double(), forward) < 3e-6
    assert relative(joseph3d.adjoint(data.float(), geometry).double(), adjoint) < 3e-6


def matrices(geometry: RayGeometry3D, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """The transform and its adjoint, (voxels, rays) and (rays, voxels)."""
    lines = (geometry.angles, *geometry.detectors)
    voxels, rays = math.prod(geometry.shape), math.prod(lines)
    units = torch.eye(rays, dtype=dtype).reshape(rays, *lines)
    volumes = torch.eye(voxels, dtype=dtype).reshape(voxels, *geometry.shape)
    forward = joseph3d.forward(volumes, geometry).reshape(voxels, rays)
    return forward, joseph3d.adjoint(units, geometry).reshape(rays, voxels)


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float64, 1e-14), (torch.float32, 2e-6)])
@pytest.mark.parametrize("cone", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_adjoint_is_the_transposed_matrix_entry_by_entry(
    isa: str | None, scan3d: Scan3D, kind: str, cone: bool, dtype: torch.dtype, rounding: float
) -> None:
    """Relative to each entry, however little a ray meets a voxel."""
    del isa
    geometry = scan3d(kind, cone=cone, angles=3, detectors=(7, 5), shape=(6, 4, 5))
    rows, columns = matrices(geometry, dtype)
    assert (rows != 0).any()
    torch.testing.assert_close(columns, rows.T, rtol=rounding, atol=0)


@compiled
@pytest.mark.parametrize("cone", [True, False])
def test_long_detectors_equal_the_oracle_and_are_exact(
    isa: str, scan3d: Scan3D, cone: bool
) -> None:
    del isa
    shape = (300, 2, 3)
    geometry = scan3d(
        "circular", cone=cone, angles=1, detectors=(600, 2), shape=shape, pixel=(0.8, 0.9, 0.9)
    )
    check_against_oracle(geometry)
    rows, columns = matrices(geometry, torch.float32)
    torch.testing.assert_close(columns, rows.T, rtol=2e-6, atol=0)


@compiled
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float64, 1e-14), (torch.float32, 2e-6)])
@pytest.mark.parametrize("kind", KINDS)
def test_all_instruction_sets_take_the_same_weights(
    scan3d: Scan3D, kind: str, dtype: torch.dtype, rounding: float
) -> None:
    geometry = scan3d(kind, angles=3, detectors=(19, 5), shape=(18, 4, 5))
    found = []
    for isa in joseph.available_isas():
        with path(isa):
            found.append(matrices(geometry, dtype)[0])
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=rounding, atol=0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    detectors=st.tuples(st.integers(1, 60), st.integers(1, 40)),
    lead=st.lists(st.integers(0, 2), max_size=2),
    turn=st.floats(-4, 4),
    tilt=st.one_of(st.just(0.0), st.floats(-1.6, 1.6)),
    roll=st.one_of(st.just(0.0), st.just(np.pi / 2), st.floats(-4, 4)),
    pitch=st.tuples(st.floats(0.05, 8), st.floats(0.05, 8)),
    distance=st.floats(2, 200),
    cone=st.booleans(),
)
def test_any_pose_equals_the_oracle(
    shape: tuple[int, int, int],
    detectors: tuple[int, int],
    lead: list[int],
    turn: float,
    tilt: float,
    roll: float,
    pitch: tuple[float, float],
    distance: float,
    cone: bool,
) -> None:
    beam = np.array([-np.cos(tilt) * np.sin(turn), np.cos(tilt) * np.cos(turn), np.sin(tilt)])
    across = np.array([np.cos(turn), np.sin(turn), 0.0])
    up = np.cross(across, beam)
    column = pitch[1] * (np.cos(roll) * across + np.sin(roll) * up)
    row = pitch[0] * (np.cos(roll) * up - np.sin(roll) * across)
    first = 30 * beam - 0.5 * (detectors[0] - 0.7) * row - 0.5 * detectors[1] * column
    start = -distance * beam if cone else beam
    vectors = np.concatenate([start, first, column, row])[None]
    geometry = RayGeometry3D(np.repeat(vectors, 2, axis=0), cone, detectors, shape, (0.9, 1.1, 1.0))
    volume, data = pair(geometry, *lead)
    forward, adjoint = joseph3d.forward(volume, geometry), joseph3d.adjoint(data, geometry)
    # Positions reach 1e3 voxels, whose rounding is 1e-13.
    torch.testing.assert_close(forward, oracle3d.forward(volume, geometry), rtol=1e-10, atol=1e-9)
    torch.testing.assert_close(adjoint, oracle3d.adjoint(data, geometry), rtol=1e-10, atol=1e-9)
    gap = (forward * data).sum() - (volume * adjoint).sum()
    assert abs(gap) <= 1e-11 * (1 + forward.norm() * data.norm())


@pytest.mark.parametrize("kind", ["circular", "laminography"])
def test_adjoint_of_its_own_result_in_single_precision(
    isa: str | None, scan3d: Scan3D, kind: str
) -> None:
    """⟨Tu, v⟩ = ⟨u, T*v⟩ for v = Tu, to 1e-5, with sums in double precision."""
    del isa
    geometry = scan3d(kind, detectors=(90, 40), shape=(50, 33, 30), pixel=(0.3, 0.3, 0.3))
    volume, _ = pair(geometry, dtype=torch.float32)
    data = joseph3d.forward(volume, geometry)
    back = joseph3d.adjoint(data, geometry)
    energy = data.double().square().sum()
    assert abs((volume.double() * back).sum() - energy) < 1e-5 * energy


@pytest.mark.parametrize("kind", ["circular", "laminography"])
def test_subset_of_angles_is_rows_of_the_whole(scan3d: Scan3D, kind: str) -> None:
    geometry = scan3d(kind)
    volume, data = pair(geometry, 2, dtype=torch.float32)
    whole = joseph3d.forward(volume, geometry)
    for chosen in (slice(1, None, 3), [4, 0, 2], []):
        part = joseph3d.forward(volume, geometry.subset(chosen))
        assert torch.equal(part, whole[:, chosen])
        kept = torch.zeros_like(data)
        kept[:, chosen] = data[:, chosen]
        back = joseph3d.adjoint(data[:, chosen], geometry.subset(chosen))
        torch.testing.assert_close(back, joseph3d.adjoint(kept, geometry), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["circular", "laminography", "steep"])
def test_result_does_not_depend_on_threads_or_layout(scan3d: Scan3D, kind: str) -> None:
    geometry = scan3d(kind, angles=9, detectors=(60, 50), shape=(50, 40, 30))
    volume, data = pair(geometry, 2)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append((joseph3d.forward(volume, geometry), joseph3d.adjoint(data, geometry)))
    finally:
        torch.set_num_threads(before)
    for forward, adjoint in found[1:]:
        assert torch.equal(forward, found[0][0])
        assert torch.equal(adjoint, found[0][1])
    strided = volume.mT.contiguous().mT
    assert torch.equal(joseph3d.forward(strided, geometry), found[0][0])


def test_is_not_recorded_and_leaves_its_argument_alone(scan3d: Scan3D) -> None:
    geometry = scan3d("circular")
    volume = normal(*geometry.shape).requires_grad_()
    copy = volume.detach().clone()
    assert not joseph3d.forward(volume, geometry).requires_grad
    assert torch.equal(volume.detach(), copy)


def test_without_compiled_kernels_the_oracle_runs_and_says_so_once(
    scan3d: Scan3D, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    geometry = scan3d("circular")
    volume, data = pair(geometry)
    monkeypatch.setattr(joseph3d, "_compiled", False)
    joseph3d._notice.cache_clear()
    with caplog.at_level(logging.WARNING, logger="learnedrecon"):
        assert torch.equal(joseph3d.forward(volume, geometry), oracle3d.forward(volume, geometry))
        assert torch.equal(joseph3d.adjoint(data, geometry), oracle3d.adjoint(data, geometry))
        assert len(caplog.records) == 1
        assert not joseph3d._use_compiled(torch.zeros(1, device="meta"), geometry)
        assert not joseph3d._use_compiled(torch.zeros(1, device="meta"), geometry)
    assert len(caplog.records) == 2


def test_wrong_arguments_are_named(scan3d: Scan3D) -> None:
    geometry = scan3d("circular")
    with pytest.raises(DtypeError, match="float32 or float64"):
        joseph3d.forward(torch.zeros(7, 8, 9, dtype=torch.float16), geometry)
    with pytest.raises(ShapeError, match=r"\(7, 8, 9\)"):
        joseph3d.forward(torch.zeros(9, 8, 7), geometry)
    with pytest.raises(ShapeError, match=r"\(6, 11, 9\)"):
        joseph3d.adjoint(torch.zeros(11, 9), geometry)


@compiled
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["circular", "laminography"])
def test_compiled_kernels_read_no_address_from_a_ray_that_is_not_finite(
    isa: str, scan3d: Scan3D, kind: str, dtype: torch.dtype
) -> None:
    """The extension itself, without the checks of RayGeometry3D: these rays miss the volume."""
    del isa
    extension = pytest.importorskip("learnedrecon.kernels._joseph")
    good = scan3d(kind).vectors[:1]
    nan, zero, far = np.full((1, 12), np.nan), np.zeros((1, 12)), good * 1e200
    half = good.copy()
    half[0, 11] = np.inf
    volume, data = normal(1, 7, 8, 9, dtype=dtype), normal(1, 3, 11, 9, dtype=dtype)
    whole = RayGeometry3D(np.concatenate([good, good]), True, (11, 9), (7, 8, 9), (1.0, 1.0, 1.0))
    for vectors in (nan, zero, np.full((1, 12), np.inf)):
        rows = np.concatenate([good, vectors, good])
        lines, back = torch.full_like(data, -1), torch.full_like(volume, -1)
        extension.forward3d(volume, lines, rows, True, 1.0, 1.0, 1.0, 1)
        extension.adjoint3d(data, back, rows, True, 1.0, 1.0, 1.0, 1)
        assert not lines[:, 1].any()
        assert torch.equal(lines[:, ::2], joseph3d.forward(volume, whole))
        assert torch.equal(back, joseph3d.adjoint(data[:, ::2], whole))
    for vectors in (far, half):
        rows = np.concatenate([good, vectors, good])
        extension.forward3d(volume, lines, rows, True, 1.0, 1.0, 1.0, 1)
        assert lines.isfinite().all()
        extension.adjoint3d(data, back, rows, True, 1.0, 1.0, 1.0, 1)
        assert back.isfinite().all()


@compiled
def test_volumes_beyond_32_bits_are_refused(scan3d: Scan3D) -> None:
    shape = (2048, 1024, 1024)
    with pytest.raises(ShapeError, match="slabs"):
        joseph3d.forward(torch.zeros(1).expand(shape), scan3d("circular", shape=shape))


def test_the_environment_is_heeded(scan3d: Scan3D, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEARNEDRECON_SIMD", "mmx")
    joseph._heed_environment.cache_clear()
    with pytest.raises(ConfigError, match="mmx"):
        joseph3d.forward(torch.zeros(7, 8, 9), scan3d("circular"))
    monkeypatch.delenv("LEARNEDRECON_SIMD")
    joseph._heed_environment.cache_clear()


@compiled
def test_extension_checks_shapes() -> None:
    extension = pytest.importorskip("learnedrecon.kernels._joseph")
    volume, data = torch.zeros(2, 3, 4, 5), torch.zeros(2, 3, 4, 5)
    with pytest.raises(ValueError, match="disagree"):
        extension.forward3d(volume, data, np.zeros((2, 12)), True, 1.0, 1.0, 1.0, 1)
    with pytest.raises(ValueError, match="disagree"):
        extension.adjoint3d(data[:1], volume, np.zeros((3, 12)), True, 1.0, 1.0, 1.0, 1)
