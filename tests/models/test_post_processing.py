"""FBP + U-Net: the published size, and FBP before training."""

from __future__ import annotations

import math

import pytest
import torch

from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.models.post_processing import PostProcessing
from learnedrecon.models.start import FilteredBackprojection
from learnedrecon.networks.unet import UNetSpec
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.problem import InverseProblem
from learnedrecon.solvers.direct.fbp import fbp

SMALL = UNetSpec(base=4, depth=2, groups=2)
GEOMETRIES: list[ParallelBeam | FanBeam] = [
    ParallelBeam((13, 10), AngleRange(9), FlatDetector(19)),
    FanBeam((13, 10), AngleRange(12, arc=2 * math.pi), FlatDetector(23, 2.0), 40.0, 30.0),
]


def test_the_sizes_in_millions() -> None:
    default = count_parameters(PostProcessing())
    large = count_parameters(PostProcessing(network=UNetSpec(base=64)))
    assert default == pytest.approx(7.8e6, abs=0.05e6)
    assert large == pytest.approx(31.0e6, abs=0.05e6)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("image_scale", [1.0, 0.02])
def test_untrained_it_is_fbp(geometry: ParallelBeam | FanBeam, image_scale: float) -> None:
    operator = RayTransform(geometry, torch.float64)
    y = operator(torch.rand(2, 1, 13, 10, dtype=torch.float64))
    model = PostProcessing(network=SMALL, image_scale=image_scale).double()
    expected = fbp(RayTransform(geometry), y, window="hann", bandwidth=0.8)
    torch.testing.assert_close(model(InverseProblem(operator, y)).image, expected)


def test_the_spec_says_how_the_start_is_made() -> None:
    geometry = GEOMETRIES[0]
    operator = RayTransform(geometry, torch.float64)
    y = operator(torch.rand(2, 1, 13, 10, dtype=torch.float64))
    model = PostProcessing(SMALL, start=FilteredBackprojection("ram-lak")).double()
    torch.testing.assert_close(
        model(InverseProblem(operator, y)).image, fbp(RayTransform(geometry), y)
    )
