"""PSNR, SSIM and NMSE: one number per image, computed in float64.

Images are (batch, channel, ny, nx), an image being all its channels, or a single (ny, nx). The true
image and the estimate are keywords, because these measures are not symmetric and there is no common
order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import skimage.metrics
import torch

from learnedrecon.errors import DataError, DtypeError, ShapeError, describe
from learnedrecon.metrics.ranges import check_range

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from learnedrecon.metrics.ranges import DataRange

Images: TypeAlias = "torch.Tensor | NDArray[np.generic]"

SSIM_WINDOW = 7
"""Pixels along each side of the window of SSIM, the least that an image must have."""


def psnr(*, truth: Images, estimate: Images, data_range: DataRange) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio in dB, ``10 log10(range² / mean((u - û)²))``.

    To the last bit the number that scikit-image gives, whose import takes longer.

    Args:
        truth: True images u, (batch, channel, ny, nx) or (ny, nx).
        estimate: Estimates û, of the same shape.
        data_range: Value of :data:`learnedrecon.metrics.DataRange`; there is no default.

    Returns:
        PSNR (batch,), (1,) for a single image, float64; inf where the estimate is exact.

    Raises:
        ShapeError: The shapes differ, are neither of the two, or are empty.
        DtypeError: The images are complex.
        DataError: A value is NaN or infinite, or a true image is constant with the range 'max-min'.
        ConfigError: ``data_range`` is a bare number or string.
    """
    u, v = _prepared(truth, estimate, device="cpu")
    with np.errstate(divide="ignore"):
        return np.array(
            [
                10 * np.log10(value**2 / np.mean((a - b) ** 2))
                for a, b, value in zip(u.numpy(), v.numpy(), _ranges(u, data_range), strict=True)
            ],
            dtype=np.float64,
        )


def psnr_torch(
    *, truth: torch.Tensor, estimate: torch.Tensor, data_range: DataRange
) -> torch.Tensor:
    """:func:`psnr` of a whole batch at once, on the device of ``truth``, for training logs.

    Definition and errors are the same; there is no gradient.

    Args:
        truth: True images u, (batch, channel, ny, nx).
        estimate: Estimates û, of the same shape.
        data_range: Value of :data:`learnedrecon.metrics.DataRange`; there is no default.

    Returns:
        PSNR (batch,), float64, on the device of ``truth``.
    """
    u, v = _prepared(truth, estimate, device=truth.device)
    check_range(data_range)
    error = (u - v).square().flatten(start_dim=1).mean(dim=1)
    return 10.0 * torch.log10(data_range.per_image(u).square() / error)


def ssim(*, truth: Images, estimate: Images, data_range: DataRange) -> NDArray[np.float64]:
    """Structural similarity (Wang et al. 2004), by scikit-image with its default options.

    These are the options of the dival tables: a uniform 7×7 window, sample covariances, K1 = 0.01,
    K2 = 0.03, the mean over all windows that lie in the image. It is not Wang's Gaussian window.
    For several channels it is the mean over the channels, which share one range.

    Args:
        truth: True images u, (batch, channel, ny, nx) or (ny, nx), ny and nx at least 7.
        estimate: Estimates û, of the same shape.
        data_range: Value of :data:`learnedrecon.metrics.DataRange`; there is no default.

    Returns:
        SSIM (batch,), (1,) for a single image, float64.

    Raises:
        ShapeError: As for :func:`psnr`, or an image is smaller than the window.
        DtypeError: The images are complex.
        DataError: A value is NaN or infinite, or a true image is constant with the range 'max-min'.
        ConfigError: ``data_range`` is a bare number or string.
    """
    u, v = _prepared(truth, estimate, device="cpu")
    if min(u.shape[-2:]) < SSIM_WINDOW:
        raise ShapeError(
            describe(
                expected=f"images of at least {SSIM_WINDOW}×{SSIM_WINDOW} pixels, for SSIM",
                found=f"shape {tuple(u.shape)}",
                fix="use PSNR or NMSE for images this small",
            )
        )
    return np.array(
        [
            skimage.metrics.structural_similarity(
                a, b, data_range=value, channel_axis=0, win_size=SSIM_WINDOW
            )
            for a, b, value in zip(u.numpy(), v.numpy(), _ranges(u, data_range), strict=True)
        ],
        dtype=np.float64,
    )


def nmse(*, truth: Images, estimate: Images) -> NDArray[np.float64]:
    """Normalised squared error, ``‖u - û‖² / ‖u‖²``.

    Args:
        truth: True images u, (batch, channel, ny, nx) or (ny, nx).
        estimate: Estimates û, of the same shape.

    Returns:
        NMSE (batch,), (1,) for a single image, float64.

    Raises:
        ShapeError: As for :func:`psnr`.
        DtypeError: The images are complex.
        DataError: A value is NaN or infinite, or a true image is zero.
    """
    u, v = _prepared(truth, estimate, device="cpu")
    energy = u.square().flatten(start_dim=1).sum(dim=1)
    if zero := (energy == 0).nonzero().flatten().tolist():
        raise DataError(
            describe(
                expected="true images that are not zero, for NMSE",
                found=f"zero images at batch index {zero}",
                fix="omit these images, or use PSNR",
            )
        )
    error = (u - v).square().flatten(start_dim=1).sum(dim=1)
    return (error / energy).numpy()


def _ranges(truth: torch.Tensor, data_range: DataRange) -> list[float]:
    check_range(data_range)
    return data_range.per_image(truth).tolist()


def _prepared(
    truth: Images, estimate: Images, *, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as float64 (batch, channel, ny, nx) on ``device``, checked."""
    if tuple(truth.shape) != tuple(estimate.shape):
        raise ShapeError(
            describe(
                expected="truth and estimate of the same shape",
                found=f"{tuple(truth.shape)} and {tuple(estimate.shape)}",
                fix="crop, squeeze or stack one of them; nothing is broadcast",
            )
        )
    return _images(truth, device, name="truth"), _images(estimate, device, name="estimate")


def _images(images: Images, device: torch.device | str, *, name: str) -> torch.Tensor:
    shape = tuple(images.shape)
    if len(shape) not in {2, 4} or 0 in shape:
        raise ShapeError(
            describe(
                expected=f"{name} as (batch, channel, ny, nx) or (ny, nx), not empty",
                found=f"shape {shape}",
                fix="add the missing axes, so that it is clear what is one image",
            )
        )
    if isinstance(images, torch.Tensor):
        tensor = images.detach()
    else:
        tensor = torch.from_numpy(np.array(images))
    if tensor.is_complex():
        raise DtypeError(
            describe(
                expected=f"{name} with real numbers",
                found=str(tensor.dtype),
                fix="take the absolute value",
            )
        )
    tensor = tensor.to(device=device, dtype=torch.float64)
    return _finite(tensor if len(shape) == 4 else tensor[None, None], name)


def _finite(images: torch.Tensor, name: str) -> torch.Tensor:
    finite = images.isfinite().flatten(start_dim=1).all(dim=1)
    if not finite.all():
        raise DataError(
            describe(
                expected="finite images",
                found=f"NaN or infinite values in {name}, batch index "
                f"{(~finite).nonzero().flatten().tolist()}",
                fix="find the computation that produced them, as a mean over such images has no "
                "meaning",
            )
        )
    return images
