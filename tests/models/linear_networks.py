"""Weights with which a network of convolutions is a matrix over channels, or a proximal map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from learnedrecon.networks.conv import ConvNet

if TYPE_CHECKING:
    from torch import Tensor


@torch.no_grad()
def set_pointwise(network: nn.Module, first: Tensor, bias: Tensor, last: Tensor) -> None:
    """Makes a network of three layers u ↦ last · relu(first · u + bias) in every pixel.

    Hidden channels that are not used are 0; PReLU has slope 0, as it has initially.
    """
    (inside,) = (m for m in network.modules() if isinstance(m, ConvNet))
    layers = [m for m in inside.modules() if isinstance(m, nn.Conv1d | nn.Conv2d)]
    for p in inside.parameters():
        p.zero_()
    used = len(first)
    assert len(layers) == 3
    for layer, matrix in zip(layers, (first, torch.eye(used), last), strict=True):
        taps = layer.weight.flatten(2)
        middle = taps[..., taps.shape[-1] // 2]
        middle[: len(matrix), : matrix.shape[1]] = matrix.to(layer.weight.dtype)
    assert layers[0].bias is not None
    layers[0].bias[:used] = bias


def set_linear(network: nn.Module, matrix: Tensor) -> None:
    """Makes a network of three layers u ↦ matrix · u, since t = relu(t) - relu(-t).

    It has at least twice as many hidden channels as input channels.
    """
    inputs = torch.eye(matrix.shape[1])
    signs = torch.cat([inputs, -inputs])
    set_pointwise(network, signs, torch.zeros(len(signs)), torch.cat([matrix, -matrix], 1))
