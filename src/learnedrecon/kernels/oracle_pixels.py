"""Pixel-driven backprojection in plain PyTorch, which tests the compiled kernels.

Views are taken in blocks of a fixed number of positions, so that memory is that of the image, the
data, and one block.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from learnedrecon.kernels.pixel_sizes import PixelSizes

_POSITIONS = 1 << 20


def gather(data: Tensor, views: Tensor, sizes: PixelSizes) -> Tensor:
    """The backprojection of data.

    Args:
        data: Data (batch, angles, detectors), float32 or float64.
        views: Coefficients (angles, 8) of the views.
        sizes: Sizes and constants of the scan.

    Returns:
        Images (batch, ny, nx).
    """
    batch = len(data)
    edged = torch.nn.functional.pad(data, (1, 1)).permute(1, 2, 0).contiguous()
    image = data.new_zeros(math.prod(sizes.shape), batch)
    for block in _blocks(views, sizes):
        index, weight = _lookups(views[block], sizes, data)
        table = edged[block].reshape(-1, batch)
        image += torch.nn.functional.embedding_bag(
            index, table, mode="sum", per_sample_weights=weight
        )
    return image.T.reshape(batch, *sizes.shape)


def scatter(image: Tensor, views: Tensor, sizes: PixelSizes) -> Tensor:
    """The transpose of :func:`gather`.

    Args:
        image: Images (batch, ny, nx).
        views: Coefficients (angles, 8) of the views.
        sizes: Sizes and constants of the scan.

    Returns:
        Data (batch, angles, detectors).
    """
    batch, width = len(image), sizes.detectors + 2
    values = image.reshape(batch, -1).T
    parts = []
    for block in _blocks(views, sizes):
        index, weight = _lookups(views[block], sizes, image)
        number = index.shape[1] // 2
        table = image.new_zeros(number * width, batch)
        for column in range(index.shape[1]):
            table.index_add_(0, index[:, column], weight[:, column, None] * values)
        parts.append(table.view(number, width, batch)[:, 1:-1])
    return torch.cat(parts).permute(2, 0, 1)


def _blocks(views: Tensor, sizes: PixelSizes) -> Iterator[slice]:
    size = max(1, _POSITIONS // math.prod(sizes.shape))
    for first in range(0, len(views), size):
        yield slice(first, first + size)


def _lookups(views: Tensor, sizes: PixelSizes, like: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of the table of these views, (pixel, 2·view), and their weights, for data with edges."""
    position, weight = _positions(views, sizes, like.device)
    width = sizes.detectors + 2
    position = (position + 1).clamp_(0, width - 1)
    lower = position.floor().clamp_(max=width - 2)
    fraction = position - lower
    row = lower.int() + width * torch.arange(len(views), device=like.device).int()
    shares = weight[..., None] * torch.stack([1 - fraction, fraction], dim=-1)
    pixels = math.prod(sizes.shape)
    return torch.stack([row, row + 1], -1).view(pixels, -1), shares.to(like).view(pixels, -1)


def _positions(views: Tensor, sizes: PixelSizes, device: torch.device) -> tuple[Tensor, Tensor]:
    """Detector positions in pixels, (ny, nx, view), and weights."""
    # MPS has no float64.
    wide = torch.float64 if device.type != "mps" else torch.float32
    y, x = (
        (torch.arange(number, dtype=wide, device=device) - (number - 1) / 2) * size
        for number, size in zip(sizes.shape, sizes.pixel, strict=True)
    )
    n0, n1, n2, d0, d1, d2, scale, offset = views.to(device, wide).unbind(-1)
    n = (y[:, None] * n1 + n2)[:, None] + x[:, None] * n0
    if sizes.kind == "parallel":
        return n + offset, scale.expand_as(n)
    d = (y[:, None] * d1 + d2)[:, None] + x[:, None] * d0
    if sizes.kind == "flat":
        return n / d + offset, scale / d.square()
    return sizes.rate * torch.atan2(n, d) + offset, scale / (n.square() + d.square())
