"""Two-dimensional real pictures of images of any kind, for scores and figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def pictures(images: Tensor) -> Tensor:
    """Real pictures (batch, channel, ny, nx) of images, volumes and vectors.

    Complex images become their magnitudes, as is usual in MRI. The slices of a volume become
    channels: PSNR and NMSE are then those of the volume, and SSIM is the mean over its slices. A
    vector becomes a picture with one row.

    Args:
        images: Images (batch, channel, *space), real or complex, with any number of space axes.
    """
    real = images.abs() if images.is_complex() else images
    if real.ndim == 2:
        real = real.unsqueeze(-1)
    if real.ndim == 3:
        real = real.unsqueeze(-2)
    return real.reshape(len(real), -1, *real.shape[-2:])
