"""Convolutions between the subbands of a wavelet transform: the learned part of ΨDONet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_WIDTH = 3
_CONVOLVE: dict[int, Callable[..., Tensor]] = {
    1: functional.conv1d,
    2: functional.conv2d,
    3: functional.conv3d,
}


class SubbandConvolutions(nn.Module):
    """A linear map Λ of wavelet coefficients: convolutions between all pairs of subbands.

    Coefficients are in the layout of :class:`learnedrecon.operators.Wavelet`. To the subbands of a
    level come 3×3 convolutions (of width 3 along every axis, periodic, without bias) of all
    subbands, those of finer levels averaged and those of coarser ones repeated to its size. With J
    levels in two dimensions these are (3J + 1)² kernels. All are 0 initially.

    Args:
        axes: Number of space axes, 1 to 3.
        levels: Number J of levels.

    Shapes: (batch, c, *space) to the same, every channel for itself; 2^J divides every axis.
    """

    def __init__(self, axes: int, levels: int) -> None:
        super().__init__()
        self.axes = axes
        details = 2**axes - 1
        bands = [details + 1, *[details] * (levels - 1)]
        width = [_WIDTH] * axes
        kernels = (torch.zeros(n, sum(bands), *width) for n in bands)
        self.kernels = nn.ParameterList([nn.Parameter(k) for k in kernels])

    def forward(self, w: Tensor) -> Tensor:
        """Applies the convolutions."""
        single = w.flatten(0, 1).unsqueeze(1)
        levels = self.split(single)
        found = [
            self._convolved(torch.cat([resampled(v, into.shape[2:]) for v in levels], dim=1), k)
            for into, k in zip(levels, self.kernels, strict=True)
        ]
        return self.joined(found).reshape(w.shape)

    def split(self, w: Tensor) -> list[Tensor]:
        """The subbands of every level from the coarsest on, (batch, subbands, *space of level).

        Args:
            w: Coefficients, (batch, 1, *space).
        """
        found, low = [], w
        for _ in self.kernels:
            low, *details = quadrants(low, self.axes)
            found.append(torch.cat(details, dim=1))
        coarsest = torch.cat([low, found[-1]], dim=1)
        return [coarsest, *reversed(found[:-1])]

    def joined(self, levels: list[Tensor]) -> Tensor:
        """The inverse of :meth:`split`."""
        low, coarsest = levels[0][:, :1], levels[0][:, 1:]
        for details in (coarsest, *levels[1:]):
            low = from_quadrants([low, *details.split(1, dim=1)], self.axes)
        return low

    def _convolved(self, v: Tensor, kernels: Tensor) -> Tensor:
        wide = functional.pad(v, [1] * (2 * self.axes), mode="circular")
        return _CONVOLVE[self.axes](wide, kernels)


def quadrants(w: Tensor, axes: int) -> list[Tensor]:
    """The 2^axes blocks of an array halved along its last axes, the low-pass one first.

    Args:
        w: Array, (..., *space).
        axes: Number of space axes.
    """
    blocks = [w]
    for axis in range(-axes, 0):
        blocks = [half for block in blocks for half in block.chunk(2, dim=axis)]
    return blocks


def from_quadrants(blocks: Sequence[Tensor], axes: int) -> Tensor:
    """The inverse of :func:`quadrants`.

    Args:
        blocks: Blocks, 2^axes arrays (..., *half).
        axes: Number of space axes.
    """
    for axis in range(-1, -axes - 1, -1):
        pairs = zip(blocks[::2], blocks[1::2], strict=True)
        blocks = [torch.cat(pair, dim=axis) for pair in pairs]
    return blocks[0]


def resampled(v: Tensor, shape: torch.Size) -> Tensor:
    """Averages of blocks for a smaller shape, repeated entries for a larger one.

    Args:
        v: Subbands, (batch, subbands, *space).
        shape: Shape of the space, the same power of 2 times smaller or larger along every axis.
    """
    for axis, n in enumerate(shape, start=2):
        if n < v.shape[axis]:
            v = v.unflatten(axis, (n, v.shape[axis] // n)).mean(axis + 1)
        elif n > v.shape[axis]:
            v = v.repeat_interleave(n // v.shape[axis], dim=axis)
    return v
