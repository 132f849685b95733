"""Single and double precision against the oracle at real sizes and in corner cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from learnedrecon.kernels import joseph, oracle
from learnedrecon.kernels.joseph import RayGeometry2D

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

NINE = np.array([0, 45, 90, 135, 17.3, 45 + 6e-8, 45 - 6e-8, 171.2, -63.9]) * np.pi / 180
"""With two that are 1e-9 rad from a diagonal."""
CORNER = np.array([0, np.pi / 4, np.pi / 4 + 1e-9, 0.7, np.pi / 2, 2.5, np.pi, 5.0])


@pytest.fixture(params=joseph.available_isas() or [None], autouse=True)
def isa(request: pytest.FixtureRequest) -> Iterator[None]:
    joseph.set_isa(request.param)
    yield
    joseph.set_isa(None)


def frames(theta: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    across = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    return across, np.stack([-np.sin(theta), np.cos(theta)], axis=1)


def scan(
    theta: NDArray[np.float64],
    detectors: int,
    shape: tuple[int, int],
    *,
    pitch: float = 1.0,
    fan: bool = False,
    offset: float = 0.0,
    tilt: float = 0.0,
) -> RayGeometry2D:
    """Pixels of 1 mm; a tilt in radians turns the panel about its middle; pitch < 0 reverses it."""
    across, along = frames(theta)
    panel, _ = frames(theta + tilt)
    distance = 1.2 * float(np.hypot(*shape))
    first = distance * along + offset * across - pitch * (detectors - 1) / 2 * panel
    start = -distance * along if fan else along
    vectors = np.concatenate([start, first, pitch * panel], axis=1)
    return RayGeometry2D(vectors, fan, detectors, shape, (1.0, 1.0))


def check(geometry: RayGeometry2D, batch: int = 2) -> None:
    """The largest error relative to the largest number."""
    u = torch.randn(batch, *geometry.shape).double()
    v = torch.randn(batch, geometry.angles, geometry.detectors).double()
    expected = oracle.forward(u, geometry), oracle.adjoint(v, geometry)
    for dtype, tolerance in ((torch.float64, 1e-11), (torch.float32, 3e-6)):
        image, data = u.to(dtype), v.to(dtype)
        found = joseph.forward(image, geometry), joseph.adjoint(data, geometry)
        for one, other in zip(found, expected, strict=True):
            scale = max(float(other.abs().max()), 1e-30)
            assert float((one.double() - other).abs().max()) <= tolerance * scale


@pytest.mark.parametrize("fan", [False, True])
def test_nine_views_of_362_pixels(fan: bool) -> None:
    check(scan(NINE, 513, (362, 362), pitch=1.5 if fan else 0.998, fan=fan), batch=1)


@pytest.mark.parametrize("fan", [False, True])
def test_nine_views_of_a_wide_image(fan: bool) -> None:
    check(scan(NINE, 736, (300, 500), pitch=0.8, fan=fan, offset=31.7), batch=1)


@pytest.mark.parametrize("fan", [False, True])
@pytest.mark.parametrize("tilt", [0.3, -1.0, np.pi])
def test_tilted_and_turned_panels(tilt: float, fan: bool) -> None:
    check(scan(CORNER, 150, (64, 53), pitch=1.3, fan=fan, tilt=tilt))


@pytest.mark.parametrize("fan", [False, True])
@pytest.mark.parametrize("pitch", [-0.4, -1.0, -2.5])
def test_reversed_detectors_give_reversed_data(pitch: float, fan: bool) -> None:
    geometry, mirrored = (scan(CORNER, 101, (60, 41), pitch=p, fan=fan) for p in (pitch, -pitch))
    check(geometry)
    image = torch.randn(60, 41, dtype=torch.float64)
    torch.testing.assert_close(
        joseph.forward(image, geometry),
        joseph.forward(image, mirrored).flip(1),
        rtol=0,
        atol=1e-10,
    )


@pytest.mark.parametrize("fan", [False, True])
def test_rays_that_miss_the_image(fan: bool) -> None:
    wide = scan(CORNER, 900, (30, 20), pitch=1.0, fan=fan)
    check(wide)
    away = scan(CORNER, 40, (30, 20), pitch=1.0, fan=fan, offset=400.0)
    check(away)
    assert not joseph.forward(torch.ones(30, 20), away).any()
    assert not joseph.adjoint(torch.ones(8, 40), away).any()


@pytest.mark.parametrize("shape", [(12, 12), (13, 12), (7, 16)])
def test_rays_along_edges_of_pixels_see_half_of_either_side(shape: tuple[int, int]) -> None:
    """Rays on the edges x = k + 1/2 of columns, then on those of rows, in both directions."""
    ny, nx = shape
    vectors = np.array(
        [
            [0, 1, -nx / 2, 0, 1, 0],
            [0, -1, nx / 2, 0, -1, 0],
            [1, 0, 0, -ny / 2, 0, 1],
            [-1, 0, 0, ny / 2, 0, -1],
        ],
        dtype=np.float64,
    )
    geometry = RayGeometry2D(vectors, False, max(shape) + 1, shape, (1.0, 1.0))
    check(geometry)
    image = torch.randn(ny, nx, dtype=torch.float64)
    for axis, row in ((0, 0), (1, 2)):
        lines = torch.nn.functional.pad(image.sum(axis), (1, 1))
        edges = (lines[1:] + lines[:-1]) / 2
        found = joseph.forward(image, geometry)[:, : len(edges)]
        torch.testing.assert_close(found[row], edges, rtol=0, atol=1e-13)
        torch.testing.assert_close(found[row + 1], edges.flip(0), rtol=0, atol=1e-13)


@pytest.mark.parametrize("fan", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 97), (97, 1), (2, 200), (33, 3)])
def test_thin_images(shape: tuple[int, int], fan: bool) -> None:
    for pitch in (0.3, 1.0, 2.2):
        check(scan(CORNER, 70, shape, pitch=pitch, fan=fan, offset=0.3), batch=3)


@pytest.mark.parametrize("fan", [False, True])
@pytest.mark.parametrize("detectors", [1, 2, 15, 16, 17])
def test_few_detectors_and_one_angle(detectors: int, fan: bool) -> None:
    for angle in (0.0, np.pi / 4, 1.1):
        check(scan(np.array([angle]), detectors, (40, 31), fan=fan, offset=-3.3))


@pytest.mark.parametrize("fan", [False, True])
def test_repeated_angles_add_up(fan: bool) -> None:
    geometry = scan(CORNER, 45, (30, 41), fan=fan)
    repeated = geometry.subset([3, 3, 0, 3])
    check(repeated)
    data = torch.randn(4, 45, dtype=torch.float64)
    parts = [joseph.adjoint(data[k : k + 1], repeated.subset([k])) for k in range(4)]
    torch.testing.assert_close(joseph.adjoint(data, repeated), sum(parts), rtol=0, atol=1e-12)
