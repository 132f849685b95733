"""The operators of compiled backprojections: adjoint to each other, and differentiable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from tests.helpers import normal

from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.solvers.direct import fbp as module
from learnedrecon.solvers.direct.pixel_operators import backprojected, gather, scatter

if TYPE_CHECKING:
    import pytest
    from torch import Tensor


def test_each_is_the_derivative_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are linear, so that gradients of either are values of the other."""
    kernels: list[Any] = []

    def noted(kernel: Any, data: Tensor) -> Tensor:
        kernels.append(kernel)
        return backprojected(kernel, data)

    monkeypatch.setattr(module, "backprojected", noted)
    scan = ParallelBeam((3, 4), AngleRange(4), FlatDetector(5))
    module.fbp(RayTransform(scan, torch.float64), normal(1, 1, 4, 5))
    views, sizes = kernels[0].views, kernels[0].sizes
    y, u = normal(1, 1, 4, kernels[0].sizes[2]), normal(1, 1, 3, 4, seed=1)
    torch.testing.assert_close(
        (gather(y, views, *sizes) * u).sum(), (scatter(u, views, *sizes) * y).sum()
    )
    for function, x in ((gather, y), (scatter, u)):
        x.requires_grad_()
        assert torch.autograd.gradcheck(lambda z, f=function: f(z, views, *sizes), (x,))
