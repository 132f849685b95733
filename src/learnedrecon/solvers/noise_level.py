"""The standard deviation of white noise, from the data alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from learnedrecon.errors import DataError, ShapeError, describe
from learnedrecon.solvers.arguments import require_finite
from learnedrecon.solvers.tv_certificate import wide

if TYPE_CHECKING:
    from torch import Tensor

_NORMAL_QUARTILE = 0.6744897501960817
_SECOND_DIFFERENCE = math.sqrt(6.0)


def estimate_noise(data: Tensor) -> Tensor:
    """The standard deviation σ of white noise, by the median of second differences.

    σ = median|y_{j-1} - 2y_j + y_{j+1}|/(0.6745·√6) along the last axis, as the differences of
    white noise have the variance 6σ² and half of all normal numbers are below 0.6745 standard
    deviations (Donoho, Johnstone, Biometrika 81(3), 1994, with differences in place of wavelets).
    A few edges do not change the median; variation between neighbouring entries everywhere counts
    as noise. Entries that are exactly zero, such as k-space that was not measured, are omitted. For
    complex data σ² = E|n|², twice the variance of either part.

    Args:
        data: y, (batch, ..., n), n ≥ 3, with noise of the same size in all entries of a sample.

    Returns:
        Standard deviations (batch,), float64.

    Raises:
        ShapeError: There are fewer than three entries along the last axis, or no batch axis.
        DataError: A value is not finite, or a sample has no three measured neighbours.
    """
    require_finite(data, "data")
    if data.ndim < 2 or data.shape[-1] < 3:
        raise ShapeError(
            describe(
                expected="data (batch, ..., n) with n ≥ 3",
                found=f"shape {tuple(data.shape)}",
                fix="give sigma",
            )
        )
    sigma = _estimated(data)
    if bool(sigma.isnan().any()):
        raise DataError(
            describe(
                expected="three measured neighbours in every sample",
                found="a sample of zeros",
                fix="give sigma, or remove the sample",
            )
        )
    return sigma


def known_noise(data: Tensor) -> Tensor:
    """The noise of :func:`estimate_noise` where it can be estimated, 0 elsewhere.

    Args:
        data: y, (batch, ..., n).

    Returns:
        Standard deviations (batch,), float64.

    Raises:
        DataError: A value is NaN or infinite.
    """
    require_finite(data, "data")
    if data.ndim < 2 or data.shape[-1] < 3:
        return torch.zeros(len(data), dtype=torch.float64, device=data.device)
    return _estimated(data).nan_to_num(0.0)


def noise_size(data: Tensor, sigma: float | None = None, level: float | None = None) -> Tensor:
    """The standard deviation σ of each sample: given, relative to its data, or estimated.

    Args:
        data: y, (batch, ..., n).
        sigma: Standard deviation σ, or None.
        level: σ/mean|y| with the mean over the entries of a sample that are not exactly zero, or
            None; ``sigma`` takes precedence. With neither, σ is that of :func:`known_noise`.

    Returns:
        Standard deviations (batch,), float64.
    """
    if sigma is not None:
        return torch.full((len(data),), sigma, dtype=torch.float64, device=data.device)
    if level is None:
        return known_noise(data)
    sizes = data.detach().abs().double().flatten(1)
    return level * sizes.sum(1) / (sizes > 0).sum(1).clamp(min=1)


def _estimated(data: Tensor) -> Tensor:
    """σ of each sample; NaN for one without three measured neighbours."""
    y = wide(data.detach())
    parts = torch.view_as_real(y).movedim(-1, 1) if y.is_complex() else y.unsqueeze(1)
    measured = (y != 0).unsqueeze(1).expand(parts.shape)
    differences = parts[..., :-2] - 2 * parts[..., 1:-1] + parts[..., 2:]
    known = measured[..., :-2] & measured[..., 1:-1] & measured[..., 2:]
    each = zip(differences.flatten(1), known.flatten(1), strict=True)
    middle = torch.stack([row[mask].abs().nanmedian() for row, mask in each])
    sigma = middle / (_NORMAL_QUARTILE * _SECOND_DIFFERENCE)
    return sigma * math.sqrt(2.0) if y.is_complex() else sigma


def one_per_sample(sigma: Tensor | float, data: Tensor) -> Tensor:
    """Standard deviations (batch,), float64.

    Args:
        sigma: σ, one number or one per sample, (batch,).
        data: y, (batch, ...).

    Raises:
        ShapeError: σ is neither one number nor one per sample.
    """
    noise = torch.as_tensor(sigma, dtype=torch.float64, device=data.device)
    if noise.shape not in {(), (len(data),)}:
        raise ShapeError(
            describe(
                expected=f"one sigma, or one per sample, ({len(data)},)",
                found=f"shape {tuple(noise.shape)}",
                fix="give a number or a tensor with the batch axis only",
            )
        )
    return noise.expand(len(data)).clone()
