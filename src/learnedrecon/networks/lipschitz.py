"""Convolutional networks with a Lipschitz constant of at most 1 by construction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from learnedrecon.networks._checks import check_images
from learnedrecon.networks.bounded import (
    BoundedConv,
    BoundedNetwork,
    KernelSpec,
    require,
)
from learnedrecon.networks.spectral import Padding

LipschitzActivation: TypeAlias = Literal["maxmin", "relu", "leaky_relu"]


@dataclass(frozen=True)
class LipschitzSpec:
    """The configuration of a :class:`LipschitzNet`.

    Attributes:
        channels: Numbers of channels of the input, of every hidden layer, and of the output.
        kernel: Odd width of every kernel.
        dims: Number of space axes, 1 to 3.
        activation: Activation between the layers, of Lipschitz constant 1: "maxmin" sorts
            neighbouring pairs of channels (Anil, Lucas, Grosse 2019) and preserves the norm of
            gradients, so that hidden layers need even numbers of channels.
        padding: "zeros" or "circular".

    Raises:
        ConfigError: A field is out of range.
    """

    channels: tuple[int, ...]
    kernel: int = 3
    dims: int = 2
    activation: LipschitzActivation = "maxmin"
    padding: Padding = "zeros"

    def __post_init__(self) -> None:
        require(
            len(self.channels) >= 2 and min(self.channels) >= 1,
            expected="channels of at least an input and an output, all positive",
            found=f"channels={self.channels}",
        )
        require(
            self.activation in {"maxmin", "relu", "leaky_relu"},
            expected="activation 'maxmin', 'relu' or 'leaky_relu'",
            found=f"activation={self.activation!r}",
        )
        require(
            self.activation != "maxmin" or all(c % 2 == 0 for c in self.channels[1:-1]),
            expected="even numbers of hidden channels for 'maxmin'",
            found=f"channels={self.channels}",
        )
        KernelSpec(self.kernel, self.dims, self.padding)


class MaxMin(nn.Module):
    """MaxMin activation: sorts channels 2k and 2k + 1 at every pixel, which preserves norms."""

    def forward(self, u: Tensor) -> Tensor:
        first, second = u[:, ::2], u[:, 1::2]
        pairs = torch.stack([torch.maximum(first, second), torch.minimum(first, second)], dim=2)
        return pairs.flatten(1, 2)


class LipschitzNet(BoundedNetwork):
    """N = K_L ∘ ρ ∘ ... ∘ ρ ∘ K_1 with ‖K_i‖ ≤ 1 and ρ of constant 1: ‖N(u) - N(v)‖ ≤ ‖u - v‖.

    The network maps (batch, channels[0], *space) to (batch, channels[-1], *space) of the same
    space.

    Args:
        spec: Configuration of the layers.
    """

    def __init__(self, spec: LipschitzSpec) -> None:
        super().__init__()
        self.spec = spec
        kernel = KernelSpec(spec.kernel, spec.dims, spec.padding)
        layers: list[nn.Module] = []
        for index, (c_in, c_out) in enumerate(pairwise(spec.channels)):
            if index > 0:
                layers.append(_activation(spec.activation))
            layers.append(BoundedConv(c_in, c_out, kernel))
        self.layers = nn.Sequential(*layers)

    @property
    def ends(self) -> tuple[int, int]:
        return self.spec.channels[0], self.spec.channels[-1]

    def forward(self, u: Tensor) -> Tensor:
        """Applies the network.

        Raises:
            ShapeError: ``u`` is not (batch, channels[0], *space).
            DtypeError: ``u`` is not real floating point.
        """
        check_images(u, channels=self.spec.channels[0], dims=self.spec.dims, name="LipschitzNet")
        return self.layers(u)

    @torch.no_grad()
    def lipschitz_bound(self) -> float:
        total = 1.0
        for layer in self.layers:
            total *= _bound_of(layer)
        return total


def _bound_of(layer: nn.Module) -> float:
    if type(layer) is BoundedConv:
        return layer.norm_bound()
    if type(layer) is nn.LeakyReLU:
        return max(1.0, abs(layer.negative_slope))
    return 1.0 if type(layer) in {MaxMin, nn.ReLU} else math.inf


def _activation(name: LipschitzActivation) -> nn.Module:
    match name:
        case "maxmin":
            return MaxMin()
        case "relu":
            return nn.ReLU()
        case "leaky_relu":
            return nn.LeakyReLU(0.1)
