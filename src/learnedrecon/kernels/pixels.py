"""Pixel-driven backprojection and its exact transpose, by the fastest available kernel.

CPU tensors go to the compiled kernels (cpp/pixels/), all others, or all of them where the package
was installed without a C++ compiler, to :mod:`learnedrecon.kernels.oracle_pixels`. Autograd does
not record these functions.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import torch

from learnedrecon.kernels import oracle_pixels
from learnedrecon.kernels.joseph import current_isa
from learnedrecon.kernels.pixel_sizes import KINDS

with suppress(ImportError):  # installed without a C++ compiler
    from learnedrecon.kernels import _joseph

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from learnedrecon.kernels.pixel_sizes import PixelSizes


@torch.no_grad()
def backproject(data: Tensor, views: Tensor, sizes: PixelSizes) -> Tensor:
    """The sum over the views of the data at every pixel's detector position, interpolated.

    Args:
        data: Data (*lead, angles, detectors), float32 or float64, on any device. The value falls
            to 0 one detector pixel beyond either end.
        views: Coefficients (angles, 8), float64, finite, on the CPU; see
            :class:`learnedrecon.kernels.pixel_sizes.PixelSizes`.
        sizes: Sizes and constants of the scan.

    Returns:
        Images (*lead, ny, nx) of the same dtype.

    Raises:
        ConfigError: LEARNEDRECON_SIMD names an instruction set that is not available.
    """
    lead = data.shape[:-2]
    stack = data.detach().reshape(math.prod(lead), len(views), sizes.detectors)
    if _use_compiled(data):
        image = stack.new_empty((len(stack), *sizes.shape))
        _joseph.gather_pixels(
            stack.contiguous().numpy(),
            image.numpy(),
            views.numpy(),
            KINDS.index(sizes.kind),
            _placement(sizes),
            torch.get_num_threads(),
        )
    else:
        image = oracle_pixels.gather(stack, views, sizes)
    return image.reshape(*lead, *sizes.shape)


@torch.no_grad()
def project(image: Tensor, views: Tensor, sizes: PixelSizes) -> Tensor:
    """The exact transpose of :func:`backproject`.

    Args:
        image: Images (*lead, ny, nx), float32 or float64, on any device.
        views: Coefficients (angles, 8), as in :func:`backproject`.
        sizes: Sizes and constants of the scan.

    Returns:
        Data (*lead, angles, detectors) of the same dtype.
    """
    lead = image.shape[:-2]
    images = image.detach().reshape(math.prod(lead), *sizes.shape)
    if _use_compiled(image):
        data = images.new_empty((len(images), len(views), sizes.detectors))
        _joseph.scatter_pixels(
            images.contiguous().numpy(),
            data.numpy(),
            views.numpy(),
            KINDS.index(sizes.kind),
            _placement(sizes),
            torch.get_num_threads(),
        )
    else:
        data = oracle_pixels.scatter(images, views, sizes)
    return data.reshape(*lead, len(views), sizes.detectors)


def _placement(sizes: PixelSizes) -> NDArray[np.float64]:
    """The numbers that cpp/pixels/module.cpp takes: dy, dx, rate."""
    return np.array([*sizes.pixel, sizes.rate], dtype=np.float64)


def _use_compiled(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and current_isa() is not None
