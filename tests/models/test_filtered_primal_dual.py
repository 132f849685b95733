"""Learned primal-dual with the filtered residual: near FBP at first, and of the right size."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from learnedrecon.data.phantoms.shepp_logan import shepp_logan
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.models.filtered_primal_dual import FilteredPrimalDual
from learnedrecon.networks.filters import RampFilter
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem
from learnedrecon.solvers.direct.fbp import fbp

PARALLEL = ParallelBeam((16, 14), AngleRange(9), FlatDetector(23))
FAN = FanBeam((16, 14), AngleRange(12, arc=2 * math.pi), FlatDetector(23, 2.0), 40.0, 30.0)


def image() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 1, 16, 14, generator=generator, dtype=torch.float64)


def test_the_number_of_parameters() -> None:
    """Six times 3×3 convolutions 7-16-16-5 and 8-16-16-5, with biases, without slopes."""

    def convolutions(*channels: int) -> int:
        return sum(9 * a * b + b for a, b in itertools.pairwise(channels))

    expected = 6 * (convolutions(7, 16, 16, 5) + convolutions(8, 16, 16, 5))
    assert count_parameters(FilteredPrimalDual()) == expected


@pytest.mark.parametrize("geometry", [PARALLEL, FAN])
@pytest.mark.parametrize("nonlinear", [False, True])
def test_with_zero_weights_it_is_fbp(geometry: ParallelBeam | FanBeam, nonlinear: bool) -> None:
    model = FilteredPrimalDual(iterations=3, hidden=6, image_scale=0.5).double()
    for p in model.parameters():
        torch.nn.init.zeros_(p)
    lines = RayTransform(geometry, torch.float64)(image())
    problem = InverseProblem(RayTransform(geometry, torch.float64), lines)
    if nonlinear:
        operator = TransmissionCT(Transmission(geometry, mu=0.01), torch.float64)
        problem = InverseProblem(operator, torch.exp(-0.01 * lines))
    expected = fbp(RayTransform(geometry), lines, window="hann", bandwidth=0.8)
    torch.testing.assert_close(model(problem).image, expected)


def test_untrained_it_is_near_fbp() -> None:
    torch.manual_seed(0)
    geometry = ParallelBeam((64, 64), AngleRange(30), FlatDetector(95))
    operator = RayTransform(geometry)
    y = operator(torch.from_numpy(shepp_logan(64)).float()[None, None])
    start = fbp(RayTransform(geometry), y, window="hann", bandwidth=0.8)
    with torch.no_grad():
        found = FilteredPrimalDual()(InverseProblem(operator, y)).image
    assert 1e-4 < float((found - start).norm() / start.norm()) < 0.1


@pytest.mark.parametrize("size", [32, 64])
def test_the_filtered_residual_is_of_the_size_of_an_image_error(size: int) -> None:
    """2n T*FT is near a multiple κ of the identity for dense angles, κ about 1 at every size."""
    detector = FlatDetector(2 * (3 * size // 4) + 1)
    operator = RayTransform(ParallelBeam((size, size), AngleRange(2 * size), detector))
    y, x = torch.meshgrid(*2 * [torch.linspace(-1, 1, size)], indexing="ij")
    u = torch.exp(-20 * ((x - 0.1) ** 2 + (y + 0.2) ** 2))
    back = operator.adjoint(RampFilter()(operator(u)))
    back = 2 * detector.pixels * back / operator.norm() ** 2
    kappa = float((back * u).sum() / u.square().sum())
    assert 0.5 < kappa < 2
    assert float((back / kappa - u).norm() / u.norm()) < 0.05
