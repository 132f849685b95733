"""Networks with a Lipschitz constant of at most 1, by construction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from learnedrecon.errors import ConfigError, describe
from learnedrecon.networks._checks import check_images
from learnedrecon.networks.spectral import Padding, conv_norm_bound

LipschitzActivation: TypeAlias = Literal["maxmin", "relu", "leaky_relu"]
_FINE = {1: 256, 2: 64, 3: 24}
_CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


@dataclass(frozen=True)
class LipschitzSpec:
    """What a :class:`LipschitzNet` is made of.

    Attributes:
        channels: of the input, of every hidden layer, and of the output.
        kernel: odd width of every kernel.
        dims: the number of space axes, 1 to 3.
        activation: between the layers, all of constant 1: "maxmin" sorts neighbouring pairs of
            channels (Anil, Lucas, Grosse 2019) and keeps the norm of gradients, so hidden layers
            need even numbers of channels.
        padding: "zeros" or "circular".

    Raises:
        ConfigError: a field is out of range.
    """

    channels: tuple[int, ...]
    kernel: int = 3
    dims: int = 2
    activation: LipschitzActivation = "maxmin"
    padding: Padding = "zeros"

    def __post_init__(self) -> None:
        _require(
            len(self.channels) >= 2 and min(self.channels) >= 1,
            expected="channels of at least an input and an output, all positive",
            found=f"channels={self.channels}",
        )
        _require(
            self.kernel >= 1 and self.kernel % 2 == 1 and self.dims in _CONVOLVE,
            expected="an odd kernel in 1, 2 or 3 dimensions",
            found=f"kernel={self.kernel}, dims={self.dims}",
        )
        _require(
            self.activation in {"maxmin", "relu", "leaky_relu"},
            expected="activation 'maxmin', 'relu' or 'leaky_relu'",
            found=f"activation={self.activation!r}",
        )
        _require(
            self.activation != "maxmin" or all(c % 2 == 0 for c in self.channels[1:-1]),
            expected="even numbers of hidden channels for 'maxmin'",
            found=f"channels={self.channels}",
        )
        _require(
            self.padding in {"zeros", "circular"},
            expected="padding 'zeros' or 'circular'",
            found=f"padding={self.padding!r}",
        )


class BoundedConv(nn.Module):
    """A convolution divided by a bound of its norm: ‖K‖ ≤ 1 on images of every size.

    The bound is that of :func:`conv_norm_bound`; it is part of the graph, and kept between calls
    without gradients for as long as the weight is the same, entry by entry.

    Args:
        c_in: channels in.
        c_out: channels out.
        spec: kernel, dimensions and padding.

    Shapes: (batch, c_in, *space) to (batch, c_out, *space).
    """

    def __init__(self, c_in: int, c_out: int, spec: LipschitzSpec) -> None:
        super().__init__()
        self.padding: Padding = spec.padding
        self.weight = nn.Parameter(torch.empty(c_out, c_in, *[spec.kernel] * spec.dims))
        self.bias = nn.Parameter(torch.zeros(c_out))
        nn.init.orthogonal_(self.weight)
        self._kept: tuple[Tensor, Tensor] | None = None

    def bounded_weight(self) -> Tensor:
        """The weight that is convolved with, over the bound."""
        if torch.is_grad_enabled() and self.weight.requires_grad:
            return self.weight / self._bound()
        if self._kept is None or not _same(self._kept[0], self.weight):
            with torch.inference_mode(mode=False), torch.no_grad():
                self._kept = (self.weight.detach().clone(), self.weight / self._bound())
        return self._kept[1]

    def _bound(self) -> Tensor:
        points = max(16, 3 * self.weight.shape[-1])
        return conv_norm_bound(self.weight, padding=self.padding, points=points)

    def forward(self, u: Tensor) -> Tensor:
        weight = self.bounded_weight()
        dims, width = weight.ndim - 2, weight.shape[-1] // 2
        if self.padding == "circular":
            u = functional.pad(u, (width, width) * dims, mode="circular")
            width = 0
        return _CONVOLVE[dims](u, weight, self.bias, padding=width)

    def __getstate__(self) -> dict[str, object]:
        return {**super().__getstate__(), "_kept": None}


class MaxMin(nn.Module):
    """Sorts channels 2k and 2k + 1: a permutation at every pixel, so it keeps norms."""

    def forward(self, u: Tensor) -> Tensor:
        first, second = u[:, ::2], u[:, 1::2]
        pairs = torch.stack([torch.maximum(first, second), torch.minimum(first, second)], dim=2)
        return pairs.flatten(1, 2)


class LipschitzNet(nn.Module):
    """N = K_L ∘ ρ ∘ ... ∘ ρ ∘ K_1 with ‖K_i‖ ≤ 1 and ρ of constant 1: ‖N(u) - N(v)‖ ≤ ‖u - v‖.

    Maps (batch, channels[0], *space) to (batch, channels[-1], *space), same space.

    Args:
        spec: the layers.
    """

    def __init__(self, spec: LipschitzSpec) -> None:
        super().__init__()
        self.spec = spec
        layers: list[nn.Module] = []
        for index, (c_in, c_out) in enumerate(pairwise(spec.channels)):
            if index > 0:
                layers.append(_activation(spec.activation))
            layers.append(BoundedConv(c_in, c_out, spec))
        self.layers = nn.Sequential(*layers)

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
        """A bound of the Lipschitz constant of the weights as they are, in exact arithmetic.

        Of the weights that the forward pass convolves with, in their precision; evaluated in
        float64, finer than where they are divided. Infinite if there is a layer, such as one that
        was put in later, of which no bound is known.
        """
        total = 1.0
        for layer in self.layers:
            total *= _bound_of(layer)
        return total


class NearIdentity(nn.Module):
    """R(u) = u - ε N(u) with a 1-Lipschitz N: R - Id is ε-Lipschitz, by construction.

    N sees the real and then the imaginary parts of c complex channels as 2c real ones, which keeps
    norms.

    Args:
        network: N, whose output has the channels of its input.
        epsilon: ε ≥ 0.

    Raises:
        ConfigError: ε < 0, or N changes the number of channels.
    """

    def __init__(self, network: LipschitzNet, epsilon: float) -> None:
        super().__init__()
        channels = network.spec.channels
        _require(
            epsilon >= 0 and channels[0] == channels[-1],
            expected="epsilon >= 0, and a network with as many channels out as in",
            found=f"epsilon={epsilon}, channels={channels}",
        )
        self.network = network
        self.epsilon = float(epsilon)

    def forward(self, u: Tensor) -> Tensor:
        if not u.is_complex():
            return u - self.epsilon * self.network(u).to(u.dtype)
        parts = self.network(torch.cat([u.real, u.imag], dim=1)).to(u.real.dtype)
        return u - self.epsilon * torch.complex(*parts.chunk(2, dim=1))

    def deviation_bound(self) -> float:
        """A bound of the Lipschitz constant of R - Id, for the weights as they are.

        With a margin for ε in float32. Infinite where none is known.
        """
        bound = self.network.lipschitz_bound()
        return math.inf if math.isinf(bound) else self.epsilon * bound * (1 + 2.0**-23)


def _bound_of(layer: nn.Module) -> float:
    if type(layer) is BoundedConv:
        weight = layer.bounded_weight().double()
        points = _FINE[weight.ndim - 2]
        points = max(points, 4 * max(weight.shape[2:]))
        return float(conv_norm_bound(weight, padding=layer.padding, points=points))
    if type(layer) is nn.LeakyReLU:
        return max(1.0, abs(layer.negative_slope))
    return 1.0 if type(layer) in {MaxMin, nn.ReLU} else math.inf


def _same(kept: Tensor, weight: Tensor) -> bool:
    """By value: a write through ``weight.data`` leaves no other trace."""
    alike = kept.dtype == weight.dtype and kept.device == weight.device
    return alike and torch.equal(kept, weight)


def _activation(name: LipschitzActivation) -> nn.Module:
    match name:
        case "maxmin":
            return MaxMin()
        case "relu":
            return nn.ReLU()
        case "leaky_relu":
            return nn.LeakyReLU(0.1)


def _require(condition: object, *, expected: str, found: str) -> None:
    if not condition:
        raise ConfigError(describe(expected=expected, found=found, fix="correct the specification"))
