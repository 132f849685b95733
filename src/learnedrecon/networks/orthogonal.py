"""Learned orthogonal resampling: it preserves norms, and its inverse is its adjoint."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from learnedrecon.errors import ConfigError, ShapeError, describe

_CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSE = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


class OrthogonalDownsampling(nn.Module):
    """Orthogonal downsampling K of blocks of 2^d pixels to 2^d channels: K*K = KK* = Id.

    A convolution whose stride is its width, with an orthogonal matrix exp(A - Aᵀ)H for each channel
    (Etmann, Ke, Schönlieb, iUNets, IEEE MLSP 2020). A is learned; its initial value is zero, where
    K is the Haar transform H. It works in the precision of its weights, outside autocast.

    Args:
        channels: Number C of input channels.
        dims: Number d of space axes, 1 to 3.

    Shapes: (batch, C, *space) to (batch, C·2^d, *space/2), where every size is even.

    Raises:
        ConfigError: There are no channels, or dims is out of range.
    """

    signs: Tensor

    def __init__(self, channels: int, dims: int = 2) -> None:
        super().__init__()
        if channels < 1 or dims not in _CONVOLVE:
            raise ConfigError(
                describe(
                    expected="at least one channel, in 1, 2 or 3 dimensions",
                    found=f"channels={channels}, dims={dims}",
                    fix="correct them",
                )
            )
        self.dims = dims
        size = 2**dims
        self.generator = nn.Parameter(torch.zeros(channels, size, size))
        self.register_buffer("signs", _signs(dims), persistent=False)

    def matrices(self) -> Tensor:
        """The orthogonal matrices (channels, 2^d, 2^d)."""
        haar = self.signs * 2 ** (-self.dims / 2)
        return torch.linalg.matrix_exp(self.generator - self.generator.mT) @ haar

    def forward(self, u: Tensor) -> Tensor:
        """The downsampled image Ku.

        Raises:
            ShapeError: A size is odd.
        """
        if any(size % 2 for size in u.shape[2:]):
            raise ShapeError(
                describe(
                    expected="images of even sizes to halve",
                    found=f"shape {tuple(u.shape)}",
                    fix="pad the image to even sizes",
                )
            )
        with torch.autocast(u.device.type, enabled=False):
            kernel = self._kernel()
            return _CONVOLVE[self.dims](u, kernel, stride=2, groups=len(self.generator))

    def adjoint(self, v: Tensor) -> Tensor:
        """The adjoint K*v, equal to K⁻¹v."""
        with torch.autocast(v.device.type, enabled=False):
            kernel = self._kernel()
            return _TRANSPOSE[self.dims](v, kernel, stride=2, groups=len(self.generator))

    def _kernel(self) -> Tensor:
        return self.matrices().reshape(-1, 1, *[2] * self.dims)


def _signs(dims: int) -> Tensor:
    """The Haar transform of a block of 2^d pixels, up to its factor 2^(-d/2)."""
    matrix = torch.ones(1, 1)
    for _ in range(dims):
        matrix = torch.kron(matrix, torch.tensor([[1.0, 1.0], [1.0, -1.0]]))
    return matrix
