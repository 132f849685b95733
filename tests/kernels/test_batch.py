"""A scan's result does not depend on which others are in its batch, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from learnedrecon.kernels import joseph
from learnedrecon.kernels.joseph import RayGeometry2D

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor


CASES = [
    (transform, fan) for transform in (joseph.forward, joseph.adjoint) for fan in (False, True)
]


@pytest.fixture(params=joseph.available_isas() or [None], autouse=True)
def isa(request: pytest.FixtureRequest) -> Iterator[None]:
    joseph.set_isa(request.param)
    yield
    joseph.set_isa(None)


def scan(*, fan: bool, pitch: float) -> RayGeometry2D:
    theta = np.array([0.0, 0.3, np.pi / 4, 1.5, np.pi / 2, 2.2, 3.0])
    across = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    along = np.stack([-np.sin(theta), np.cos(theta)], axis=1)
    first = across * (1.3 - pitch * 35) + 60.0 * along
    start = -60.0 * along if fan else along
    vectors = np.concatenate([start, first, pitch * across], axis=1)
    return RayGeometry2D(vectors, fan, 71, (53, 46), (1.0, 1.1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("pitch", [0.2, 0.998, 1.7, 5.0, 19.0])
@pytest.mark.parametrize(("transform", "fan"), CASES)
def test_batch_is_its_members(
    transform: Callable[[Tensor, RayGeometry2D], Tensor],
    fan: bool,
    pitch: float,
    dtype: torch.dtype,
) -> None:
    geometry = scan(fan=fan, pitch=pitch)
    lines = (geometry.angles, geometry.detectors)
    shape = geometry.shape if transform is joseph.forward else lines
    batch = torch.randn(17, *shape, dtype=dtype)
    alone = torch.stack([transform(member, geometry) for member in batch])
    assert alone.any()
    for size in (2, 3, 4, 5, 8, 9, 16, 17):
        assert torch.equal(transform(batch[:size], geometry), alone[:size])
    assert torch.equal(transform(batch[[3, 11, 3]], geometry), alone[[3, 11, 3]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fan", [False, True])
@pytest.mark.parametrize("pitch", [1.0, 1.7, 5.0])
def test_member_of_tall_images(pitch: float, fan: bool, dtype: torch.dtype) -> None:
    geometry = replace(scan(fan=fan, pitch=pitch), shape=(300, 130))
    images = torch.randn(7, 300, 130, dtype=dtype)
    data = torch.randn(7, geometry.angles, geometry.detectors, dtype=dtype)
    for transform, batch in ((joseph.forward, images), (joseph.adjoint, data)):
        alone = torch.stack([transform(member, geometry) for member in batch])
        assert torch.equal(transform(batch, geometry), alone)
