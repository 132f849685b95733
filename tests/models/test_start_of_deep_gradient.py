"""Where deep gradient descent starts, seen through steps that change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.models.deep_gradient import DeepGradientDescent
from learnedrecon.models.start import FilteredBackprojection
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.problem import InverseProblem
from learnedrecon.solvers.direct.fbp import fbp

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.models.start import Start

SCAN = ParallelBeam((8, 8), AngleRange(6), FlatDetector(11))
RAY = RayTransform(SCAN, torch.float64)
TRUTH = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
DATA = RAY(TRUTH)
HALF = FilteredBackprojection("hann", 0.5)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("auto", fbp(RAY, DATA)),
        ("fbp", fbp(RAY, DATA)),
        (HALF, fbp(RAY, DATA, window="hann", bandwidth=0.5)),
        ("adjoint", RAY.adjoint(DATA) / RAY.norm() ** 2),
        ("zero", torch.zeros_like(TRUTH)),
    ],
    ids=["auto", "fbp", "half the band", "adjoint", "zero"],
)
def test_where_it_starts(start: Start, expected: Tensor) -> None:
    model = DeepGradientDescent(2, 4, start=start, image_scale=0.5, like=RAY).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()  # every step is the identity
    torch.testing.assert_close(model(InverseProblem(RAY, DATA)).image, expected)
