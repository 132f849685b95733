"""The sums along rays against their oracle, closed forms and difference quotients."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest
import torch
from tests.helpers import normal
from torch import Tensor

from learnedrecon.kernels import joseph, moments
from learnedrecon.kernels.geometry import RayGeometry2D
from learnedrecon.kernels.moments import Lines

compiled = pytest.mark.skipif(not joseph.available_isas(), reason="no compiled kernels")
Sums: TypeAlias = Callable[[Tensor, Lines], Tensor]
DTYPES = (torch.float32, torch.float64)


def lines(angles: int, detectors: int, size: float, *, seed: int = 0) -> Lines:
    """Rays of both kinds in any order, some of which miss the image or leave it."""
    intercept = size * (normal(angles, detectors, seed=seed) + 0.5)
    slope = 2 * torch.rand(angles, detectors, dtype=torch.float64) - 1
    by_rows = torch.rand(angles, detectors) < 0.5
    return Lines(by_rows, intercept, slope, (1 + slope.square()).sqrt())


@compiled
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("ny", "nx"), [(1, 1), (1, 9), (33, 20), (64, 64)])
def test_the_compiled_sums_equal_the_plain_ones(ny: int, nx: int, dtype: torch.dtype) -> None:
    image, rays = normal(ny, nx).to(dtype), lines(13, 37, max(ny, nx))
    expected = moments.moments_plain(image, rays)
    assert expected.dtype == torch.float64
    torch.testing.assert_close(moments.moments(image, rays), expected, rtol=1e-12, atol=1e-10)
    strided = image.T.contiguous().T
    torch.testing.assert_close(moments.moments(strided, rays), expected, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("sums", [moments.moments, moments.moments_plain])
class TestBoth:
    """What holds for either implementation."""

    def test_on_a_plane_they_are_sums_over_the_steps(self, sums: Sums) -> None:
        """u = 2k + 3i along the rows, for rays that stay inside: differences are 2."""
        rows, columns = 7, 40
        i, k = torch.arange(rows)[:, None].double(), torch.arange(columns).double()
        intercept = torch.linspace(8, 30, 12, dtype=torch.float64).reshape(2, 6)
        slope = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(2, 6)
        across = Lines(torch.ones(2, 6, dtype=torch.bool), intercept, slope, slope)
        along = across._replace(by_rows=~across.by_rows)
        for image, rays in ((2 * k + 3 * i, across), ((2 * k + 3 * i).T, along)):
            found = sums(image.contiguous(), rays)
            steps = i.sum()
            torch.testing.assert_close(found[0], torch.full((2, 6), 2.0 * rows).double())
            torch.testing.assert_close(found[1], (2 * steps).expand(2, 6))
            value = 2 * (intercept * rows + slope * steps) + 3 * steps
            torch.testing.assert_close(found[2], value)

    def test_the_last_one_is_the_line_integral(self, sums: Sums) -> None:
        geometry = fan()
        table = geometry.table()
        rays = Lines(*map(torch.tensor, table))
        image = normal(*geometry.shape)
        found = sums(image, rays)[2] * rays.weight
        torch.testing.assert_close(found, joseph.forward(image, geometry))

    def test_the_others_are_its_derivatives(self, sums: Sums) -> None:
        """Central differences are exact away from the kinks at whole positions."""
        image, rays, h = normal(20, 33), lines(5, 40, 30), 1e-6
        found = sums(image, rays)
        for index, field in enumerate(("intercept", "slope")):
            ends = [
                sums(image, rays._replace(**{field: getattr(rays, field) + step}))[2]
                for step in (h, -h)
            ]
            quotient = (ends[0] - ends[1]) / (2 * h)
            torch.testing.assert_close(found[index], quotient, rtol=1e-6, atol=1e-6)

    def test_what_is_outside_is_zero(self, sums: Sums) -> None:
        far = torch.tensor([[-1e300, -3.0, -1.25, 5.0, 6.0, 1e300]], dtype=torch.float64)
        rays = Lines(torch.ones(1, 6, dtype=torch.bool), far, torch.zeros_like(far), far)
        assert torch.equal(sums(torch.ones(4, 5).double(), rays), torch.zeros(3, 1, 6).double())


def fan() -> RayGeometry2D:
    theta = torch.arange(9).double()[:, None] * 0.7
    along = torch.cat([theta.cos(), theta.sin()], 1)
    direction = torch.cat([-theta.sin(), theta.cos()], 1)
    vectors = torch.cat([-50 * direction, 20 * direction - 14 * along, 1.4 * along], 1)
    return RayGeometry2D(vectors.numpy(), True, 21, (14, 11), (1.2, 0.7))


@compiled
def test_the_result_does_not_depend_on_threads() -> None:
    image, rays, before = normal(90, 70), lines(40, 150, 90), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(moments.moments(image, rays))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


@compiled
def test_positions_that_are_not_numbers_read_nothing_outside() -> None:
    bad = torch.tensor([[float("nan"), float("inf"), -float("inf")]], dtype=torch.float64)
    rays = Lines(torch.ones(1, 3, dtype=torch.bool), bad, bad, bad)
    moments.moments(torch.ones(4, 5), rays)


def test_the_argument_is_left_alone() -> None:
    image = normal(4, 5).requires_grad_()
    copy = image.detach().clone()
    assert not moments.moments(image, lines(2, 3, 5)).requires_grad
    assert torch.equal(image.detach(), copy)
