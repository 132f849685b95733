"""A convolutional critic: from an image to one number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from learnedrecon.networks.bounded import real_parts, require

if TYPE_CHECKING:
    from collections.abc import Callable

_CONVOLUTIONS: dict[int, Callable[..., nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class Critic(nn.Module):
    """R(u): convolutions 5 wide with SiLU, every one but the first with stride 2, and a sum.

    The architecture follows the regulariser of Lunz, Öktem, Schönlieb (NeurIPS 2018), with
    the sum over the n last pixels, divided by √n, in place of dense layers, so that images of every
    size fit and ‖∇R‖ depends little on it, and a smooth activation, as the gradient penalty
    differentiates it twice. SiLU is nearly linear where its argument is small: a critic of images
    whose differences are small cannot tell them apart by what has zero mean, such as noise. So
    R(u) = s f(u/s) with the network f, which has the slopes of f at every scale s.

    Args:
        channels: Number of real channels of an image.
        hidden: Numbers of channels of the layers.
        dims: Number of space axes, 1 to 3.
        unit: s > 0, the size of the differences of images to resolve, in their unit.

    Raises:
        ConfigError: A number is out of range.

    Shapes: (batch, channels, *space) to (batch,); complex images have half as many channels.
    """

    def __init__(
        self,
        channels: int = 1,
        hidden: tuple[int, ...] = (16, 32, 32),
        dims: int = 2,
        unit: float = 1.0,
    ) -> None:
        super().__init__()
        require(
            channels >= 1 and hidden and min(hidden) >= 1 and dims in _CONVOLUTIONS,
            expected="at least one channel and one layer, on 1 to 3 axes",
            found=f"channels={channels}, hidden={hidden}, dims={dims}",
        )
        require(unit > 0 and math.isfinite(unit), expected="a unit > 0", found=f"unit={unit}")
        self.unit = unit
        build, layers, before = _CONVOLUTIONS[dims], list[nn.Module](), channels
        for number, width in enumerate(hidden):
            layers += [build(before, width, 5, stride=2 if number else 1, padding=2), nn.SiLU()]
            before = width
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(before, 1)

    def forward(self, u: Tensor) -> Tensor:
        features = self.layers(real_parts(u) / self.unit).flatten(2)
        value: Tensor = self.last(features.sum(2) / math.sqrt(features.shape[2])).squeeze(1)
        return self.unit * value


def gradient_penalty(critic: nn.Module, one: Tensor, other: Tensor, shares: Tensor) -> Tensor:
    """(‖∇R(x)‖ - 1)₊² at x = s·a + (1 - s)·b, which keeps a critic near 1-Lipschitz.

    Lunz, Öktem, Schönlieb, NeurIPS 2018, eq. 6; two-sided in Gulrajani et al. 2017. It is
    differentiable in the weights of the critic.

    Args:
        critic: R, from images to (batch,).
        one: a, images (batch, ...).
        other: b, of the same shape.
        shares: s in [0, 1], (batch,).

    Returns:
        Penalty of every sample, (batch,).
    """
    s = shares.reshape(-1, *[1] * (one.ndim - 1))
    x = (s * one + (1 - s) * other).detach().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    size = slope.abs().square().flatten(1).sum(1)
    return (size.clamp(min=1e-24).sqrt() - 1).clamp(min=0).square()
