"""The compiled backprojection of voxels against plain PyTorch, and either against its transpose."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.helpers import normal
from torch import Tensor

from learnedrecon.errors import DataError
from learnedrecon.kernels import oracle_voxels, voxels
from learnedrecon.kernels.joseph import available_isas, set_isa
from learnedrecon.kernels.voxel_geometry import VoxelGeometry

if TYPE_CHECKING:
    from collections.abc import Iterator

DTYPES = [torch.float32, torch.float64]


def scan(
    shape: tuple[int, int, int], detectors: tuple[int, int], *, nearer: float = 0.02, rise: float
) -> VoxelGeometry:
    theta = np.linspace(0.1, 6.0, 5)
    cos, sin = np.cos(theta), np.sin(theta)
    views = np.stack([1.3 * cos, 1.3 * sin, -nearer * sin, nearer * cos], axis=1)
    centre = (detectors[0] / 2 + 0.7, detectors[1] / 2 + 0.4)
    return VoxelGeometry(views, detectors, shape, (1.0, 0.8), centre, rise, -(shape[0] - 1) / 2)


SCANS: dict[str, VoxelGeometry] = {
    "cone": scan((9, 6, 21), (14, 30), rise=1.2),
    "tall": scan((70, 3, 2), (90, 6), rise=1.3),
    "parallel": scan((5, 9, 17), (6, 20), nearer=0.0, rise=0.9),
    "coarse rows": scan((20, 5, 18), (3, 25), rise=0.1),
    "fine rows": scan((4, 5, 6), (40, 12), rise=9.0),
    "a short panel": scan((30, 8, 8), (5, 4), rise=1.1),
    "one of each": scan((1, 1, 1), (1, 1), rise=1.0),
}


@pytest.fixture(params=["oracle", *available_isas()])
def _isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "oracle":
        monkeypatch.setattr(voxels, "current_isa", lambda: None)
    else:
        set_isa(request.param)
    yield
    set_isa(None)


def by_hand(data: Tensor, geometry: VoxelGeometry) -> Tensor:
    """The definition, voxel by voxel."""
    (nz, ny, nx), (dy, dx) = geometry.shape, geometry.pixel
    rows, columns = geometry.detectors
    edged = np.pad(data.numpy(), ((0, 0), (1, 1), (1, 1)))
    volume = np.zeros(geometry.shape)
    for view, (a, b, c, d) in enumerate(geometry.views):
        for iz, iy, ix in np.ndindex(nz, ny, nx):
            x, y = (ix - (nx - 1) / 2) * dx, (iy - (ny - 1) / 2) * dy
            depth = 1 / (1 + c * x + d * y)
            column = min(max(geometry.centre[1] + (a * x + b * y) * depth, 0), columns + 1)
            row = geometry.centre[0] + geometry.rise * depth * (iz + geometry.bottom)
            row = min(max(row, 0), rows + 1)
            i, j = min(int(row), rows), min(int(column), columns)
            f, g = row - i, column - j
            low, high = edged[view, i, j : j + 2], edged[view, i + 1, j : j + 2]
            value = (1 - f) * low + f * high
            volume[iz, iy, ix] += depth**2 * ((1 - g) * value[0] + g * value[1])
    return torch.from_numpy(volume)


@pytest.mark.usefixtures("_isa")
@pytest.mark.parametrize("name", ["cone", "parallel", "a short panel", "one of each"])
def test_the_definition(name: str) -> None:
    geometry = SCANS[name]
    data = normal(5, *geometry.detectors)
    volume = voxels.backproject(data, geometry)
    torch.testing.assert_close(volume, by_hand(data, geometry), rtol=0, atol=1e-12)
    single = voxels.backproject(data.float(), geometry)
    assert single.dtype == torch.float32
    assert (single - volume).abs().max() <= 2e-5 * volume.abs().max()


@pytest.mark.usefixtures("_isa")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SCANS)
def test_transposes_of_batches(name: str, dtype: torch.dtype) -> None:
    geometry = SCANS[name]
    data = normal(2, 3, 5, *geometry.detectors, dtype=dtype)
    volume = normal(2, 3, *geometry.shape, dtype=dtype)
    there, back = voxels.backproject(data, geometry), voxels.project(volume, geometry)
    assert there.shape == volume.shape
    assert back.shape == data.shape
    torch.testing.assert_close(there[1, 2], voxels.backproject(data[1, 2], geometry))
    torch.testing.assert_close(back[1, 2], voxels.project(volume[1, 2], geometry))
    products = [(a.double() * b.double()).sum() for a, b in ((there, volume), (data, back))]
    scale = there.double().norm() * volume.double().norm()
    assert abs(products[0] - products[1]) <= (1e-12 if dtype == torch.float64 else 1e-6) * scale
    product = (back.double() * data.double()).sum()
    assert math.isclose(product, products[1])


@pytest.mark.usefixtures("_isa")
def test_more_threads_give_the_same() -> None:
    geometry = SCANS["cone"]
    data, volume = normal(5, *geometry.detectors), normal(*geometry.shape)
    alone = voxels.backproject(data, geometry), voxels.project(volume, geometry)
    torch.set_num_threads(3)
    try:
        together = voxels.backproject(data, geometry), voxels.project(volume, geometry)
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_other_devices_take_the_oracle() -> None:
    geometry = SCANS["cone"]
    data = torch.empty(5, *geometry.detectors, device="meta")
    assert not voxels._use_compiled(data)
    edged = torch.nn.functional.pad(normal(1, 5, 14, 30), (1, 1, 1, 1)).permute(1, 3, 0, 2)
    expected = voxels.backproject(normal(1, 5, 14, 30), geometry)
    torch.testing.assert_close(oracle_voxels.gather(edged.contiguous(), geometry), expected)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_views_that_are_no_numbers_are_refused(bad: float) -> None:
    """Before the kernels make whole numbers of them, which has no defined result."""
    geometry = SCANS["cone"]
    views = geometry.views.copy()
    views[1, 0] = bad
    with pytest.raises(DataError, match="finite coefficients"):
        replace(geometry, views=views)
    with pytest.raises(DataError, match="finite coefficients"):
        replace(geometry, rise=bad)
    views = geometry.views.copy()
    later = replace(geometry, views=views)
    views[1, 0] = bad
    np.testing.assert_array_equal(later.views, geometry.views)
    with pytest.raises(ValueError, match="read-only"):
        later.views[1, 0] = bad
