"""Convolutional networks: the Γ of most learned iterative schemes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import nn

from learnedrecon.errors import ConfigError, describe
from learnedrecon.networks._checks import check_images

if TYPE_CHECKING:
    from collections.abc import Callable

Activation: TypeAlias = Literal["relu", "prelu", "leaky_relu"]
Init: TypeAlias = Literal["xavier_uniform", "xavier_normal"]

_CONVOLUTIONS: dict[int, Callable[..., nn.Conv1d | nn.Conv2d | nn.Conv3d]] = {
    1: nn.Conv1d,
    2: nn.Conv2d,
    3: nn.Conv3d,
}
_INITS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
}


@dataclass(frozen=True)
class ConvSpec:
    """The configuration of a :class:`ConvNet`.

    Attributes:
        channels: Numbers of channels of the input, of every hidden layer, and of the output: (8,
            32, 32, 6).
        kernel: Odd width of every kernel. An int gives square kernels in two dimensions; a tuple
            has one width per space axis, and its length is the number of dimensions: (3, 3, 3).
        activation: Activation between the layers, not after the last. "prelu" learns one slope per
            channel.
        slope: Slope for negative arguments: the initial one of "prelu", the fixed one of
            "leaky_relu".
        init: Distribution of the initial weights (Glorot, Bengio 2010), drawn from torch's default
            generator.
        biases: Initial bias, constant in a layer: one number for all layers, or one per layer.
        last_scale: Factor of the initial weights of the last layer: a network with a small one is
            initially near its last bias, so that ``u + Γ(u)`` is near the identity.

    Raises:
        ConfigError: A field is out of range, or fields do not fit each other.
    """

    channels: tuple[int, ...]
    kernel: int | tuple[int, ...] = 3
    activation: Activation = "relu"
    slope: float = 0.0
    init: Init = "xavier_uniform"
    biases: float | tuple[float, ...] = 0.0
    last_scale: float = 1.0

    def __post_init__(self) -> None:
        _require(
            len(self.channels) >= 2 and min(self.channels) >= 1,
            expected="channels of at least an input and an output, all positive",
            found=f"channels={self.channels}",
        )
        _require(
            self.dims in _CONVOLUTIONS and all(k >= 1 and k % 2 == 1 for k in self.kernel_size),
            expected="an odd kernel width in each of 1, 2 or 3 dimensions",
            found=f"kernel={self.kernel}",
        )
        _require(
            self.activation in {"relu", "prelu", "leaky_relu"},
            expected="activation 'relu', 'prelu' or 'leaky_relu'",
            found=f"activation={self.activation!r}",
        )
        _require(
            math.isfinite(self.slope) and (self.activation != "relu" or self.slope == 0.0),
            expected="a finite slope, and 0 for 'relu', which has none",
            found=f"slope={self.slope} with activation={self.activation!r}",
        )
        _require(
            self.init in _INITS,
            expected="init " + " or ".join(map(repr, _INITS)),
            found=f"init={self.init!r}",
        )
        _require(
            len(self.layer_biases) == self.layers and all(map(math.isfinite, self.layer_biases)),
            expected=f"one finite bias, or one for each of the {self.layers} layers",
            found=f"biases={self.biases}",
        )
        _require(
            math.isfinite(self.last_scale),
            expected="a finite last_scale",
            found=f"last_scale={self.last_scale}",
        )

    @property
    def layers(self) -> int:
        """The number of convolutions."""
        return len(self.channels) - 1

    @property
    def kernel_size(self) -> tuple[int, ...]:
        """The width of the kernels along each space axis."""
        return (self.kernel, self.kernel) if isinstance(self.kernel, int) else self.kernel

    @property
    def dims(self) -> int:
        """The number of space axes, 1 to 3."""
        return len(self.kernel_size)

    @property
    def layer_biases(self) -> tuple[float, ...]:
        """The initial bias of each layer."""
        return self.biases if isinstance(self.biases, tuple) else (self.biases,) * self.layers


@dataclass(frozen=True)
class Convolutions:
    """A function from channels in, channels out and the number of space axes to a :class:`ConvNet`.

    Attributes:
        hidden: Numbers of channels of the hidden layers.
        activation: Activation, as in :class:`ConvSpec`.
        slope: Slope for negative arguments, as in :class:`ConvSpec`.
        init: Distribution of the initial weights, as in :class:`ConvSpec`.
        biases: Initial biases, as in :class:`ConvSpec`.
        last_scale: Factor of the initial weights of the last layer, as in :class:`ConvSpec`.
    """

    hidden: tuple[int, ...]
    activation: Activation = "relu"
    slope: float = 0.0
    init: Init = "xavier_uniform"
    biases: float | tuple[float, ...] = 0.0
    last_scale: float = 1.0

    def __call__(self, inputs: int, outputs: int, axes: int) -> ConvNet:
        """A network with new weights, kernels of width 3 along every axis."""
        return ConvNet(
            ConvSpec(
                (inputs, *self.hidden, outputs),
                (3,) * axes,
                activation=self.activation,
                slope=self.slope,
                init=self.init,
                biases=self.biases,
                last_scale=self.last_scale,
            )
        )


class ConvNet(nn.Module):
    """Convolutions with zero padding and an activation between them: ``A_L ∘ ρ ∘ ... ∘ ρ ∘ A_1``.

    The network maps (batch, channels[0], *space) to (batch, channels[-1], *space) of the same
    space, in the dtype of the weights. Contiguous and ``channels_last`` inputs give the same
    numbers up to rounding, in the memory format that torch's convolution prefers: for speed on a
    GPU convert both, ``net.to(memory_format=torch.channels_last)`` and the input.

    The Γ of the learned gradient (Adler, Öktem 2017) is
    ``ConvSpec((8, 32, 32, 6), init="xavier_normal", biases=(0.01, 0.01, 0.0))``; those of learned
    primal-dual (Adler, Öktem 2018) are ``ConvSpec((7, 32, 32, 5), activation="prelu")`` and
    ``ConvSpec((6, 32, 32, 5), activation="prelu")``.

    Args:
        spec: Configuration of the layers.
    """

    def __init__(self, spec: ConvSpec) -> None:
        super().__init__()
        self.spec = spec
        layers: list[nn.Module] = []
        for index, (c_in, c_out) in enumerate(pairwise(spec.channels)):
            if index > 0:
                layers.append(_activation(spec, c_in))
            layers.append(_convolution(spec, index, c_in, c_out))
        self.layers = nn.Sequential(*layers)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """Applies the network.

        Raises:
            ShapeError: ``u`` is not (batch, channels[0], *space) with ``spec.dims`` space axes.
            DtypeError: ``u`` is not real floating point.
        """
        check_images(u, channels=self.spec.channels[0], dims=self.spec.dims, name="ConvNet")
        return self.layers(u)


def _convolution(spec: ConvSpec, index: int, c_in: int, c_out: int) -> nn.Module:
    padding = tuple(width // 2 for width in spec.kernel_size)
    layer = _CONVOLUTIONS[spec.dims](c_in, c_out, spec.kernel_size, padding=padding)
    _INITS[spec.init](layer.weight)
    if index == spec.layers - 1:
        with torch.no_grad():
            layer.weight.mul_(spec.last_scale)
    if layer.bias is not None:
        nn.init.constant_(layer.bias, spec.layer_biases[index])
    return layer


def _activation(spec: ConvSpec, channels: int) -> nn.Module:
    match spec.activation:
        case "relu":
            return nn.ReLU()
        case "prelu":
            return nn.PReLU(channels, init=spec.slope)
        case "leaky_relu":
            return nn.LeakyReLU(spec.slope)


def _require(condition: object, *, expected: str, found: str) -> None:
    if not condition:
        raise ConfigError(describe(expected=expected, found=found, fix="correct the ConvSpec"))
