"""Filters with periodic borders, which Fourier transforms make diagonal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from learnedrecon.errors import ShapeError, require

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CONVOLVE: dict[int, Callable[..., Tensor]] = {
    1: functional.conv1d,
    2: functional.conv2d,
    3: functional.conv3d,
}


def correlated(u: Tensor, kernels: Tensor) -> Tensor:
    """Correlations with periodic borders.

    Args:
        u: Images, (batch, channels, *space).
        kernels: Kernels, (filters, channels, *kernel), of one odd width along every axis.

    Returns:
        Responses, (batch, filters, *space).

    Raises:
        ShapeError: An axis has fewer pixels than the kernels.
    """
    width, axes = kernels.shape[-1], kernels.ndim - 2
    _require_size(u.shape[2:], width)
    wide = functional.pad(u, [width // 2] * (2 * axes), mode="circular")
    return _CONVOLVE[axes](wide, kernels)


def correlated_back(v: Tensor, kernels: Tensor) -> Tensor:
    """The transpose of :func:`correlated`.

    Args:
        v: Responses, (batch, filters, *space).
        kernels: Kernels, (filters, channels, *kernel), as of :func:`correlated`.

    Returns:
        Images, (batch, channels, *space).
    """
    turned = kernels.transpose(0, 1).flip(list(range(2, kernels.ndim)))
    return correlated(v, turned)


def power(kernels: Tensor, shape: Sequence[int]) -> Tensor:
    """The Fourier multiplier Σ_i |f̂_i|² of Σ_i f_iᵀf_i for images of one channel.

    Args:
        kernels: Kernels f_i, (filters, 1, *kernel), real.
        shape: Shape of the images.

    Returns:
        Multiplier, of that shape, in the order of ``torch.fft.fftn``.

    Raises:
        ShapeError: An axis has fewer pixels than the kernels.
    """
    _require_size(shape, kernels.shape[-1])
    axes = tuple(range(-len(shape), 0))
    transforms = torch.fft.fftn(kernels[:, 0], s=tuple(shape), dim=axes)
    return (transforms.real.square() + transforms.imag.square()).sum(0)


def divided(u: Tensor, multiplier: Tensor) -> Tensor:
    """The solution of a system whose matrix is a Fourier multiplier.

    Args:
        u: Right side, (batch, channel, *space), real or complex.
        multiplier: Positive multiplier, (..., *space), in the order of ``torch.fft.fftn``; for real
            images with the same value at opposite frequencies.
    """
    axes = tuple(range(2, u.ndim))
    if u.is_complex():
        return torch.fft.ifftn(torch.fft.fftn(u, dim=axes) / multiplier, dim=axes)
    half = multiplier[..., : u.shape[-1] // 2 + 1]
    return torch.fft.irfftn(torch.fft.rfftn(u, dim=axes) / half, s=u.shape[2:], dim=axes)


def _require_size(shape: Sequence[int], width: int) -> None:
    require(
        min(shape) >= width,
        ShapeError,
        expected=f"at least {width} pixels along each axis, the width of the filters",
        found=f"shape {tuple(shape)}",
        fix="use larger images or narrower filters",
    )
