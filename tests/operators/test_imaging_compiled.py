"""Blur, wavelets and sampling inside compiled functions, without a break of the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.operators.imaging.blur import Blur, PointSpread
from learnedrecon.operators.imaging.downsample import Downsample, Downsampling
from learnedrecon.operators.imaging.point_spread import Gaussian
from learnedrecon.operators.imaging.wavelet import Wavelet, WaveletBasis

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.linear import LinearOperator

SHAPE = (16, 32)
OPERATORS: dict[str, LinearOperator] = {
    "direct": Blur(PointSpread(SHAPE, Gaussian(0.5), "zero")),
    "fourier": Blur(PointSpread(SHAPE, Gaussian(2.0), "symmetric")),
    "wavelet": Wavelet(WaveletBasis(SHAPE, "db2", 2)),
    "downsample": Downsample(Downsampling(SHAPE, 2, "bicubic")),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_one_graph_and_the_same_gradient(name: str) -> None:
    operator = OPERATORS[name]

    def action(u: Tensor) -> Tensor:
        return operator.adjoint(operator(u)).square().sum()

    compiled = torch.compile(action, backend="aot_eager", fullgraph=True)
    u = torch.randn(2, 1, *SHAPE, requires_grad=True)
    (found,) = torch.autograd.grad(compiled(u), u)
    (expected,) = torch.autograd.grad(action(u), u)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
