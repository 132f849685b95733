"""NMSE, PSNR and SSIM of volumes, as fastMRI's ``evaluate.py`` computes them.

Zbontar et al. 2018, arXiv:1811.08839. The data range of PSNR and of every slice's SSIM is the
largest value of the reference *volume*; SSIM is the mean over the slices. The same measures slice
by slice are other numbers: PSNR differs by several dB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import skimage.metrics

from learnedrecon.errors import DataError, ShapeError, describe
from learnedrecon.metrics.image import SSIM_WINDOW

if TYPE_CHECKING:
    from numpy.typing import NDArray


class VolumeMetrics(NamedTuple):
    """Measures of one volume.

    Attributes:
        nmse: ‖u - û‖²/‖u‖².
        psnr: PSNR in dB with the range max u.
        ssim: Mean SSIM of the slices with the range max u, window 7×7; NaN for smaller slices.
    """

    nmse: float
    psnr: float
    ssim: float


def volume_metrics(*, truth: NDArray[np.floating], estimate: NDArray[np.floating]) -> VolumeMetrics:
    """The measures of a volume, in double precision.

    Args:
        truth: Reference u, real, (slice, ny, nx).
        estimate: Estimate û, of the same shape.

    Raises:
        ShapeError: The shapes differ, or have other than three axes.
        DataError: A value is not finite, or the reference has no positive value.
    """
    u, v = (np.asarray(each, dtype=np.float64) for each in (truth, estimate))
    if u.shape != v.shape or u.ndim != 3 or u.size == 0:
        raise ShapeError(
            describe(
                expected="a reference and an estimate (slice, ny, nx) of one shape",
                found=f"{u.shape} and {v.shape}",
                fix="crop both to the reconstructed matrix",
            )
        )
    largest = float(u.max())
    if not (np.isfinite(u).all() and np.isfinite(v).all() and largest > 0):
        raise DataError(
            describe(
                expected="finite volumes, and a reference with a positive value",
                found=f"a largest value of {largest:g}",
                fix="take magnitudes, and check the reconstruction",
            )
        )
    error = float(np.mean((u - v) ** 2))
    psnr = float("inf") if error == 0 else 10 * np.log10(largest**2 / error)
    ssim = float("nan")
    if min(u.shape[1:]) >= SSIM_WINDOW:
        each = skimage.metrics.structural_similarity
        ssim = float(np.mean([each(a, b, data_range=largest) for a, b in zip(u, v, strict=True)]))
    energy = float(np.sum(u**2))
    return VolumeMetrics(float(np.sum((u - v) ** 2)) / energy, float(psnr), ssim)
