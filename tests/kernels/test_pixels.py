"""The pixel-driven backprojection against its definition, and its two directions as transposes."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.helpers import normal

from learnedrecon.kernels import oracle_pixels, pixels
from learnedrecon.kernels.joseph import available_isas, set_isa
from learnedrecon.kernels.pixel_sizes import PixelSizes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from learnedrecon.kernels.pixel_sizes import Kind

DTYPES = [torch.float32, torch.float64]
ANGLES = np.linspace(0.1, 6.0, 7)


def scan(
    kind: Kind, shape: tuple[int, int], detectors: int, *, rate: float = 1.1, distance: float = 60.0
) -> tuple[Tensor, PixelSizes]:
    """Views around an image; ``rate`` in detector pixels per mm on the axis."""
    cos, sin, one = np.cos(ANGLES), np.sin(ANGLES), np.ones_like(ANGLES)
    beside = 1 / distance if kind == "arc" else rate
    ahead = 0.0 if kind == "parallel" else 1 / distance
    columns = (beside * cos, beside * sin, 0 * one, -ahead * sin, ahead * cos, one)
    views = np.stack([*columns, 0.5 + ANGLES, one * (detectors / 2 - 0.3)], axis=1)
    around = rate * distance if kind == "arc" else 0.0
    return torch.from_numpy(views), PixelSizes(kind, around, detectors, shape, (1.0, 0.8))


SCANS = {
    "parallel": scan("parallel", (21, 37), 50),
    "flat": scan("flat", (21, 37), 50),
    "arc": scan("arc", (21, 37), 50),
    "falling": scan("flat", (9, 70), 60, rate=-0.9),
    "steep": scan("parallel", (9, 70), 120, rate=1.7),
    "fine pixels": scan("parallel", (9, 17), 200, rate=14.0),
    "fine pixels of a fan": scan("flat", (9, 17), 200, rate=14.0),
    "fine pixels of an arc": scan("arc", (9, 17), 200, rate=14.0),
    "coarse pixels": scan("flat", (9, 170), 3, rate=0.02, distance=200.0),
    "near the source": scan("flat", (9, 17), 30, distance=10.0),
    "near the source of an arc": scan("arc", (9, 17), 30, distance=10.0),
    "a short detector": scan("parallel", (40, 40), 4),
    "wide": scan("parallel", (3, 1100), 60),
    "one of each": scan("flat", (1, 1), 1),
}


@pytest.fixture(params=["oracle", *available_isas()])
def _isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "oracle":
        monkeypatch.setattr(pixels, "current_isa", lambda: None)
    else:
        set_isa(request.param)
    yield
    set_isa(None)


def by_hand(data: Tensor, views: Tensor, sizes: PixelSizes) -> Tensor:
    """The definition, pixel by pixel."""
    (ny, nx), (dy, dx) = sizes.shape, sizes.pixel
    image = np.zeros(sizes.shape)
    for row, view in zip(data.numpy(), views.tolist(), strict=True):
        edged = np.pad(row, 1)
        for iy, ix in product(range(ny), range(nx)):
            x, y = (ix - (nx - 1) / 2) * dx, (iy - (ny - 1) / 2) * dy
            n, d = (view[i] * x + view[i + 1] * y + view[i + 2] for i in (0, 3))
            position, weight = {
                "parallel": (n, 1.0),
                "flat": (n / d, 1 / d**2),
                "arc": (sizes.rate * math.atan2(n, d), 1 / (n**2 + d**2)),
            }[sizes.kind]
            position = min(max(position + view[7], -1), sizes.detectors) + 1
            i = min(int(position), sizes.detectors)
            share = position - i
            image[iy, ix] += view[6] * weight * ((1 - share) * edged[i] + share * edged[i + 1])
    return torch.from_numpy(image)


@pytest.mark.usefixtures("_isa")
@pytest.mark.parametrize("name", SCANS)
def test_the_definition(name: str) -> None:
    views, sizes = SCANS[name]
    data = normal(len(views), sizes.detectors)
    image, expected = pixels.backproject(data, views, sizes), by_hand(data, views, sizes)
    scale = float(expected.abs().max())
    torch.testing.assert_close(image, expected, rtol=0, atol=2e-12 * max(scale, 1.0))
    single = pixels.backproject(data.float(), views, sizes)
    assert single.dtype == torch.float32
    positions = 2.0**-24 * max(sizes.detectors, 50)
    assert float((single - expected).abs().max()) <= 2 * positions * scale


@pytest.mark.usefixtures("_isa")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SCANS)
def test_transposes_of_batches(name: str, dtype: torch.dtype) -> None:
    views, sizes = SCANS[name]
    data = normal(2, 3, len(views), sizes.detectors, dtype=dtype)
    image = normal(2, 3, *sizes.shape, dtype=dtype)
    there, back = pixels.backproject(data, views, sizes), pixels.project(image, views, sizes)
    assert there.shape == image.shape
    assert back.shape == data.shape
    torch.testing.assert_close(there[1, 2], pixels.backproject(data[1, 2], views, sizes))
    torch.testing.assert_close(back[1, 2], pixels.project(image[1, 2], views, sizes))
    products = [(a.double() * b.double()).sum() for a, b in ((there, image), (data, back))]
    scale = there.double().norm() * image.double().norm()
    tolerance = 1e-13 if dtype == torch.float64 else 1e-6
    assert abs(products[0] - products[1]) <= tolerance * scale


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_batch_is_a_stack_of_singles(isa: str, dtype: torch.dtype) -> None:
    views, sizes = SCANS["arc"]
    data, image = (normal(3, *shape, dtype=dtype) for shape in ((len(views), 50), sizes.shape))
    set_isa(isa)
    try:
        for function, argument in ((pixels.backproject, data), (pixels.project, image)):
            singles = [function(one, views, sizes) for one in argument]
            assert torch.equal(function(argument, views, sizes), torch.stack(singles))
    finally:
        set_isa(None)


@pytest.mark.usefixtures("_isa")
def test_more_threads_give_the_same() -> None:
    views, sizes = SCANS["wide"]
    data, image = normal(len(views), sizes.detectors), normal(*sizes.shape)
    alone = pixels.backproject(data, views, sizes), pixels.project(image, views, sizes)
    torch.set_num_threads(3)
    try:
        together = pixels.backproject(data, views, sizes), pixels.project(image, views, sizes)
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.usefixtures("_isa")
@pytest.mark.parametrize("kind", ["flat", "arc"])
def test_a_source_within_the_image_reads_nothing_outside(kind: Kind) -> None:
    """Positions there are not defined; nothing else of the image may suffer from it."""
    views, sizes = scan(kind, (30, 30), 20, distance=6.0)
    image = pixels.backproject(normal(len(views), 20), views, sizes)
    assert image.shape == (30, 30)
    assert pixels.project(normal(30, 30), views, sizes).shape == (len(views), 20)


def test_other_devices_take_the_oracle() -> None:
    views, sizes = SCANS["flat"]
    assert not pixels._use_compiled(torch.empty(7, 50, device="meta"))
    data = normal(2, 7, 50)
    expected = pixels.backproject(data, views, sizes)
    torch.testing.assert_close(oracle_pixels.gather(data, views, sizes), expected)


def test_blocks_of_views_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    views, sizes = SCANS["flat"]
    data, image = normal(1, 7, 50), normal(1, 21, 37)
    whole = oracle_pixels.gather(data, views, sizes), oracle_pixels.scatter(image, views, sizes)
    monkeypatch.setattr(oracle_pixels, "_POSITIONS", 3 * 21 * 37)
    parts = oracle_pixels.gather(data, views, sizes), oracle_pixels.scatter(image, views, sizes)
    torch.testing.assert_close(parts, whole)
