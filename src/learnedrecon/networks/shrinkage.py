"""Filters and pointwise functions of ADMM-Net (Yang, Sun, Li, Xu, NeurIPS 2016)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from learnedrecon.errors import ConfigError, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_WIDTH = 3
_CONVOLVE: dict[int, Callable[..., Tensor]] = {
    1: functional.conv1d,
    2: functional.conv2d,
    3: functional.conv3d,
}


def cosine_filters(axes: int) -> Tensor:
    """The 3^axes products of orthonormal discrete cosines (DCT-II) of length 3, divided by √3^axes.

    The constant filter is the first. Their correlations W with periodic borders have W*W = I.

    Args:
        axes: Number of space axes, 1 to 3.

    Returns:
        Kernels, (3^axes, 1, 3, ...), float32.
    """
    k, j = torch.arange(_WIDTH)[:, None], torch.arange(_WIDTH)
    rows = torch.cos(math.pi * k * (2 * j + 1) / (2 * _WIDTH)) * math.sqrt(2 / _WIDTH)
    rows[0] = math.sqrt(1 / _WIDTH)
    kernels = torch.ones(1)
    for _ in range(axes):
        kernels = torch.einsum("a...,bj->ab...j", kernels, rows).flatten(0, 1)
        kernels = kernels / math.sqrt(_WIDTH)
    return kernels.reshape(-1, 1, *[_WIDTH] * axes)


def soft_threshold(x: Tensor, threshold: float) -> Tensor:
    """sign(x) max(|x| - θ, 0).

    Args:
        x: Real tensor.
        threshold: θ ≥ 0.
    """
    return x - x.clamp(-threshold, threshold)


class Analysis(nn.Module):
    """The filters W of every channel with periodic borders, discrete cosines at first.

    Args:
        axes: Number of space axes, 1 to 3.

    Shapes: (batch, c, *space) to (batch, c · filters, *space), the filters of a channel together.
    """

    def __init__(self, axes: int) -> None:
        super().__init__()
        self.kernels = nn.Parameter(cosine_filters(axes))

    def forward(self, u: Tensor) -> Tensor:
        """Applies the filters."""
        single = u.flatten(0, 1).unsqueeze(1)
        found = _correlate(single, self.kernels)
        return found.reshape(len(u), -1, *u.shape[2:])


class Synthesis(nn.Module):
    """The transpose W* of :class:`Analysis` with filters of its own.

    Args:
        axes: Number of space axes, 1 to 3.

    Shapes: (batch, c · filters, *space) to (batch, c, *space).
    """

    def __init__(self, axes: int) -> None:
        super().__init__()
        self.kernels = nn.Parameter(cosine_filters(axes))

    def forward(self, features: Tensor) -> Tensor:
        """Applies the transpose."""
        kernels, space = self.kernels, features.shape[2:]
        grouped = features.reshape(-1, len(kernels), *space)
        turned = kernels.transpose(0, 1).flip(list(range(2, kernels.ndim)))
        return _correlate(grouped, turned).reshape(len(features), -1, *space)


class PiecewiseLinear(nn.Module):
    """Continuous piecewise linear functions with equidistant nodes on [-1, 1]; slope 1 outside.

    All are the identity initially.

    Args:
        functions: Number f of functions.
        count: Number of nodes, at least 2.

    Attributes:
        values: Trained values at the nodes, (functions, count).

    Shapes: (batch, c · f, *space), channel i by function i modulo f, to the same.

    Raises:
        ConfigError: There are fewer than two nodes.
    """

    def __init__(self, functions: int, count: int = 101) -> None:
        super().__init__()
        if count < len((-1, 1)):
            raise ConfigError(
                describe(
                    expected="at least two nodes, -1 and 1",
                    found=str(count),
                    fix="use 101 as in the paper",
                )
            )
        self.count = count
        self.values = nn.Parameter(torch.linspace(-1, 1, count).repeat(functions, 1))

    def nodes(self) -> Tensor:
        """The nodes, (count,)."""
        return torch.linspace(-1, 1, self.count, device=self.values.device, dtype=self.values.dtype)

    def forward(self, u: Tensor) -> Tensor:
        """Applies the functions."""
        f = len(self.values)
        grouped = u.reshape(-1, f, math.prod(u.shape[2:]))
        inside = grouped.clamp(-1, 1)
        position = (inside + 1) * ((self.count - 1) / 2)
        left = position.detach().floor().clamp(max=self.count - 2)
        fraction = position - left
        rows = self.values.expand(len(grouped), f, self.count)
        low, high = (rows.gather(2, left.long() + shift) for shift in (0, 1))
        return (low + fraction * (high - low) + (grouped - inside)).reshape(u.shape)


def _correlate(u: Tensor, kernels: Tensor) -> Tensor:
    axes = kernels.ndim - 2
    return _CONVOLVE[axes](functional.pad(u, [1] * (2 * axes), mode="circular"), kernels)
