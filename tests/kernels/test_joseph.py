"""The compiled ray transform against its oracle, its transpose, closed forms and itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.helpers import normal, relative

from learnedrecon.errors import ConfigError, DataError, DtypeError, GeometryError, ShapeError
from learnedrecon.kernels import joseph, oracle
from learnedrecon.kernels.joseph import RayGeometry2D

if TYPE_CHECKING:
    from collections.abc import Callable

Beam = Literal["parallel", "fan"]

compiled = pytest.mark.skipif(not joseph.available_isas(), reason="no compiled kernels")


def scan(
    beam: Beam = "parallel",
    *,
    angles: int = 13,
    detectors: int = 41,
    pitch: float = 1.0,
    offset: float = 0.0,
    shape: tuple[int, int] = (33, 20),
    pixel: tuple[float, float] = (1.2, 0.7),
) -> RayGeometry2D:
    """A full turn that meets 0, 45 and 90 degrees; the fan's source is close to the image."""
    theta = np.arange(angles) * (2 * np.pi / (angles - angles % 8 or angles))
    across = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    along = np.stack([-np.sin(theta), np.cos(theta)], axis=1)
    first = across * (offset - pitch * (detectors - 1) / 2) + 35.0 * along
    start = -45.0 * along if beam == "fan" else along
    vectors = np.concatenate([start, first, pitch * across], axis=1)
    return RayGeometry2D(vectors, beam == "fan", detectors, shape, pixel)


def rays(geometry: RayGeometry2D) -> tuple[int, int]:
    return geometry.angles, geometry.detectors


def matrix(geometry: RayGeometry2D, apply: Callable[..., torch.Tensor]) -> torch.Tensor:
    """(rays, pixels), one column per unit image."""
    pixels = geometry.shape[0] * geometry.shape[1]
    units = torch.eye(pixels, dtype=torch.float64).reshape(pixels, *geometry.shape)
    return apply(units, geometry).reshape(pixels, -1).T


@compiled
@pytest.mark.parametrize("batch", [1, 3, 8, 17])
@pytest.mark.parametrize("pitch", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("beam", ["parallel", "fan"])
def test_compiled_kernels_equal_the_oracle(isa: str, beam: Beam, pitch: float, batch: int) -> None:
    assert joseph.current_isa() == isa
    geometry = scan(beam, pitch=pitch, offset=2.3)
    image, data = normal(batch, *geometry.shape), normal(batch, *rays(geometry))
    expected = oracle.forward(image, geometry), oracle.adjoint(data, geometry)
    assert relative(joseph.forward(image, geometry), expected[0]) < 1e-12
    assert relative(joseph.adjoint(data, geometry), expected[1]) < 1e-12
    assert relative(joseph.forward(image.float(), geometry).double(), expected[0]) < 3e-6
    assert relative(joseph.adjoint(data.float(), geometry).double(), expected[1]) < 3e-6


@compiled
@pytest.mark.parametrize("batch", [1, 8, 16])
def test_single_precision_stays_accurate_on_a_large_image(isa: str, batch: int) -> None:
    del isa
    geometry = scan("fan", angles=3, detectors=700, shape=(401, 603), pixel=(0.1, 0.1), pitch=0.2)
    image, data = normal(batch, *geometry.shape), normal(batch, *rays(geometry))
    forward, adjoint = joseph.forward(image, geometry), joseph.adjoint(data, geometry)
    assert relative(joseph.forward(image.float(), geometry).double(), forward) < 3e-6
    assert relative(joseph.adjoint(data.float(), geometry).double(), adjoint) < 3e-6


@pytest.mark.parametrize("lanes", [1, 8, 16])
@pytest.mark.parametrize("beam", ["parallel", "fan"])
def test_adjoint_is_the_transposed_matrix_entry_by_entry(
    isa: str | None, beam: Beam, lanes: int
) -> None:
    del isa
    geometry = scan(beam, angles=8, detectors=9, shape=(6, 11), pixel=(3.0, 2.0), pitch=4.0)
    units = torch.eye(72, dtype=torch.float64).reshape(72, 8, 9)
    columns = torch.cat([joseph.adjoint(part, geometry) for part in units.split(lanes)])
    images = torch.eye(66, dtype=torch.float64).reshape(66, 6, 11)
    rows = torch.cat([joseph.forward(part, geometry) for part in images.split(lanes)])
    assert (rows != 0).any()
    torch.testing.assert_close(
        columns.reshape(72, 66), rows.reshape(66, 72).T, rtol=1e-13, atol=1e-14
    )


@pytest.mark.parametrize("beam", ["parallel", "fan"])
def test_oracle_adjoint_is_the_transposed_matrix_and_the_gradient(beam: Beam) -> None:
    geometry = scan(beam, angles=8, detectors=9, shape=(6, 11), pixel=(3.0, 2.0), pitch=4.0)
    dense = matrix(geometry, oracle.forward)
    data = normal(8, 9)
    expected = (dense.T @ data.flatten()).reshape(6, 11)
    torch.testing.assert_close(oracle.adjoint(data, geometry), expected, rtol=1e-13, atol=1e-13)
    image = torch.zeros(6, 11, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad((oracle.forward(image, geometry) * data).sum(), image)
    torch.testing.assert_close(gradient, expected, rtol=1e-13, atol=1e-13)


def test_matrix_equals_joseph_ray_by_ray() -> None:
    """A second method: hat functions of the distance to the ray, without any index arithmetic."""
    geometry = scan("fan", angles=8, detectors=9, shape=(6, 11), pixel=(3.0, 2.0), pitch=4.0)
    (ny, nx), (dy, dx) = geometry.shape, geometry.pixel
    y = (np.arange(ny) - (ny - 1) / 2) * dy
    x = (np.arange(nx) - (nx - 1) / 2) * dx
    expected = np.zeros((8, 9, ny, nx))
    for a, (sx, sy, px, py, ux, uy) in enumerate(geometry.vectors):
        for d in range(9):
            vx, vy = px + d * ux - sx, py + d * uy - sy
            if abs(vy / dy) >= abs(vx / dx):
                distance = np.abs(x[None, :] - (sx + (y[:, None] - sy) * vx / vy)) / dx
                length = dy * np.hypot(vx, vy) / abs(vy)
            else:
                distance = np.abs(y[:, None] - (sy + (x[None, :] - sx) * vy / vx)) / dy
                length = dx * np.hypot(vx, vy) / abs(vx)
            expected[a, d] = length * np.maximum(0.0, 1.0 - distance)
    found = matrix(geometry, joseph.forward)
    np.testing.assert_allclose(found, expected.reshape(72, -1), rtol=0, atol=1e-12)


def test_constant_image_along_the_axes_and_the_diagonal(isa: str | None) -> None:
    """ny dy and nx dx along the axes; on the diagonal n steps of sqrt(2) pixels."""
    del isa
    half = np.sqrt(0.5)
    vectors = [[0.0, 1.0, 0.2, 9.0, 0, 0], [-1, 0, 9, 0.3, 0, 0], [half, half, 0, 0, 0, 0]]
    geometry = RayGeometry2D(np.array(vectors), False, 1, (7, 5), (0.5, 0.5))
    image = torch.full((7, 5), 3.0, dtype=torch.float64)
    expected = torch.tensor([3 * 7 * 0.5, 3 * 5 * 0.5, 3 * 5 * 0.5 * np.sqrt(2)])
    torch.testing.assert_close(joseph.forward(image, geometry)[:, 0], expected.double())


def test_half_weight_beyond_the_last_pixel_and_nothing_further(isa: str | None) -> None:
    del isa
    vectors = np.array([[0.0, 1.0, 2.5, 0.0, 0.5, 0.0]])
    geometry = RayGeometry2D(vectors, False, 3, (4, 5), (1.0, 1.0))
    image = torch.ones(4, 5, dtype=torch.float64)
    torch.testing.assert_close(
        joseph.forward(image, geometry)[0], torch.tensor([2.0, 0.0, 0.0], dtype=torch.float64)
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    beam=st.sampled_from(["parallel", "fan"]),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    detectors=st.integers(1, 300),
    angles=st.integers(0, 9),
    lead=st.lists(st.integers(0, 3), max_size=3),
    pitch=st.floats(0.05, 20),
    offset=st.floats(-100, 100),
)
def test_any_shape_equals_the_oracle(
    beam: str,
    shape: tuple[int, int],
    detectors: int,
    angles: int,
    lead: list[int],
    pitch: float,
    offset: float,
) -> None:
    geometry = scan(
        cast("Beam", beam),
        shape=shape,
        detectors=detectors,
        angles=max(angles, 1),
        pitch=pitch,
        offset=offset,
    ).subset(slice(angles))
    image, data = normal(*lead, *shape), normal(*lead, *rays(geometry))
    forward, adjoint = joseph.forward(image, geometry), joseph.adjoint(data, geometry)
    assert forward.shape == data.shape
    assert adjoint.shape == image.shape
    # Positions reach 1e3 pixels, whose rounding is 1e-13.
    torch.testing.assert_close(forward, oracle.forward(image, geometry), rtol=1e-11, atol=1e-9)
    torch.testing.assert_close(adjoint, oracle.adjoint(data, geometry), rtol=1e-11, atol=1e-9)
    gap = (forward * data).sum() - (image * adjoint).sum()
    assert abs(gap) <= 1e-12 * (1 + forward.norm() * data.norm())


@pytest.mark.parametrize("batch", [1, 17])
@pytest.mark.parametrize("beam", ["parallel", "fan"])
def test_subset_of_angles_is_rows_of_the_whole(beam: Beam, batch: int) -> None:
    geometry = scan(beam)
    image = normal(batch, *geometry.shape, dtype=torch.float32)
    whole = joseph.forward(image, geometry)
    for chosen in (slice(1, None, 3), [4, 0, 12], []):
        part = joseph.forward(image, geometry.subset(chosen))
        assert torch.equal(part, whole[:, chosen])
    data = torch.zeros_like(whole)
    data[:, 2::5] = normal(*whole[:, 2::5].shape, dtype=torch.float32, seed=1)
    part = joseph.adjoint(data[:, 2::5], geometry.subset(slice(2, None, 5)))
    assert relative(part, joseph.adjoint(data, geometry)) < 1e-6


@pytest.mark.parametrize("batch", [1, 6, 16])
def test_result_does_not_depend_on_threads_or_layout(batch: int) -> None:
    geometry = scan("fan", angles=40, detectors=150, shape=(90, 70))
    image, data = normal(batch, *geometry.shape), normal(batch, *rays(geometry))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append((joseph.forward(image, geometry), joseph.adjoint(data, geometry)))
    finally:
        torch.set_num_threads(before)
    for forward, adjoint in found[1:]:
        assert torch.equal(forward, found[0][0])
        assert torch.equal(adjoint, found[0][1])
    strided = image.mT.contiguous().mT
    assert torch.equal(joseph.forward(strided, geometry), found[0][0])


def test_is_not_recorded_and_leaves_its_argument_alone() -> None:
    geometry = scan()
    image = normal(*geometry.shape).requires_grad_()
    copy = image.detach().clone()
    assert not joseph.forward(image, geometry).requires_grad
    assert torch.equal(image.detach(), copy)


def test_other_devices_use_the_oracle_and_say_so_once(caplog: pytest.LogCaptureFixture) -> None:
    joseph._notice.cache_clear()
    with caplog.at_level(logging.WARNING, logger="learnedrecon"):
        assert joseph._pair(torch.zeros(1, device="meta")) is joseph._PLAIN
        assert joseph._pair(torch.zeros(1, device="meta")) is joseph._PLAIN
    assert len(caplog.records) == 1


def test_without_compiled_kernels_the_oracle_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    geometry = scan("fan")
    image, data = normal(2, *geometry.shape), normal(2, *rays(geometry))
    monkeypatch.setattr(joseph, "_compiled", False)
    joseph._notice.cache_clear()
    with caplog.at_level(logging.WARNING, logger="learnedrecon"):
        assert torch.equal(joseph.forward(image, geometry), oracle.forward(image, geometry))
        assert torch.equal(joseph.adjoint(data, geometry), oracle.adjoint(data, geometry))
    assert len(caplog.records) == 1
    assert joseph.available_isas() == ()
    assert joseph.current_isa() is None


def test_wrong_arguments_are_named() -> None:
    geometry = scan()
    with pytest.raises(DtypeError, match="float32 or float64"):
        joseph.forward(torch.zeros(33, 20, dtype=torch.float16), geometry)
    with pytest.raises(ShapeError, match=r"\(33, 20\)"):
        joseph.forward(torch.zeros(20, 33), geometry)
    with pytest.raises(ShapeError, match=r"\(13, 41\)"):
        joseph.adjoint(torch.zeros(41), geometry)
    with pytest.raises(ConfigError, match="mmx"):
        joseph.set_isa("mmx")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"vectors": np.zeros((3, 5))}, ShapeError),
        ({"detectors": 0}, ShapeError),
        ({"detectors": 2.5}, ShapeError),
        ({"shape": (0, 4)}, ShapeError),
        ({"shape": (4.0, 5.5)}, ShapeError),
        ({"pixel": (1.0, 0.0)}, GeometryError),
        ({"pixel": (1.0, float("nan"))}, GeometryError),
        ({"vectors": np.full((2, 6), np.nan)}, DataError),
        ({"vectors": np.array([[0.0, 0.0, 1.0, 1.0, 1.0, 0.0]])}, GeometryError),
    ],
)
def test_impossible_geometries_are_refused(
    change: dict[str, object], error: type[Exception]
) -> None:
    good = {
        "vectors": np.array([[0.0, 1.0, 0.0, 0.0, 1.0, 0.0]]),
        "fan": False,
        "detectors": 3,
        "shape": (4, 4),
        "pixel": (1.0, 1.0),
    }
    with pytest.raises(error, match="What to do"):
        RayGeometry2D(**{**good, **change})  # type: ignore[arg-type]  # a table of wrong values


def test_detector_pixel_at_the_source_is_refused() -> None:
    with pytest.raises(GeometryError, match="detector pixel 2"):
        RayGeometry2D(np.array([[2.0, 0, 0, 0, 1, 0]]), True, 4, (4, 4), (1.0, 1.0))


NOT_FINITE = [
    (np.array([[0.0, -1e308, -1.7e308, 1.7e308, 1e307, 0.0]]), 1.0),
    (np.array([[0.0, 1.0, 0.3, 0.0, 0.2, 0.0]]), 1e-307),
    (np.array([[0.0, 1.0, 0.3, 0.0, 0.2, 0.0]]), 1e-40),
    (np.array([[0.0, 1.0, 0.3, 0.0, 0.2, 0.0]]), 1e200),
]


@pytest.mark.parametrize("fan", [False, True])
@pytest.mark.parametrize(("vectors", "pixel"), NOT_FINITE)
def test_rays_beyond_the_range_of_numbers_are_refused(
    vectors: np.ndarray, pixel: float, fan: bool
) -> None:
    with pytest.raises(GeometryError, match="What to do"):
        RayGeometry2D(vectors, fan, 41, (64, 64), (pixel, pixel))


@pytest.mark.parametrize("length", [1e-320, 1e-170, 1e170, 1e300])
def test_directions_of_any_length(isa: str | None, length: float) -> None:
    """Dyadic multiples of a direction are the same rays, bit by bit; others up to rounding."""
    del isa
    vectors = np.array([[0.0, 1.0, -1.2, 0.0, 0.3, 0.0], [1.0, 0.0, 0.0, -1.2, 0.0, 0.3]])
    image = normal(6, 5)
    expected = joseph.forward(image, RayGeometry2D(vectors, False, 9, (6, 5), (0.7, 1.1)))
    vectors[:, :2] *= length
    scaled = RayGeometry2D(vectors, False, 9, (6, 5), (0.7, 1.1))
    torch.testing.assert_close(joseph.forward(image, scaled), expected, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(oracle.forward(image, scaled), expected, rtol=1e-13, atol=1e-13)


@compiled
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 8, 16])
def test_compiled_kernels_read_no_address_from_a_ray_that_is_not_finite(
    isa: str, batch: int, dtype: torch.dtype
) -> None:
    """The extension itself, without the checks of RayGeometry2D: these rays miss the image."""
    del isa
    extension = pytest.importorskip("learnedrecon.kernels._joseph")
    good = scan("fan").vectors[:1]
    nan, inf = np.full((1, 6), np.nan), np.full((1, 6), np.inf)
    zero, mixed = np.zeros((1, 6)), np.array([[0.0, -100.0, np.inf, 100.0, -np.inf, 0.0]])
    for vectors in (nan, inf, zero, mixed):
        rows = np.concatenate([good, vectors, good])
        image, data = normal(batch, 64, 64, dtype=dtype), normal(batch, 3, 41, dtype=dtype)
        lines, back = torch.full_like(data, -1), torch.full_like(image, -1)
        extension.forward(image, lines, rows, True, 1.0, 1.0, 1)
        extension.adjoint(data, back, rows, True, 1.0, 1.0, 1)
        whole = RayGeometry2D(np.concatenate([good, good]), True, 41, (64, 64), (1.0, 1.0))
        assert not lines[:, 1].any()
        assert torch.equal(lines[:, ::2], joseph.forward(image, whole))
        assert torch.equal(back, joseph.adjoint(data[:, ::2], whole))
    for pixel in (1e-307, 1e-320):
        extension.forward(image, lines, rows, True, pixel, pixel, 1)
        extension.adjoint(data, back, rows, True, pixel, pixel, 1)
        assert not lines.any()
        assert not back.any()
