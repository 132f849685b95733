"""Statistics of scores for tables: of one method, and of two methods on the same images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from learnedrecon.errors import DataError, ShapeError, describe

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Summary(NamedTuple):
    """Mean, standard deviation (n - 1 in the denominator) and standard error std/√n of the mean.

    ``std`` and ``stderr`` are NaN for a single value.

    Attributes:
        mean: Mean of the values.
        std: Standard deviation, with n - 1 in the denominator.
        stderr: Standard error std/√n of the mean.
    """

    mean: float
    std: float
    stderr: float


class PairedDifference(NamedTuple):
    """The mean of a - b with its 95 % confidence interval.

    Attributes:
        mean: Mean of the differences.
        ci95: Confidence interval, (low, high).
    """

    mean: float
    ci95: tuple[float, float]


def summarise(values: ArrayLike) -> Summary:
    """Mean, standard deviation and standard error of one value per image.

    Args:
        values: Values (n,), n ≥ 1.

    Raises:
        ShapeError: The values do not have one axis, or are empty.
        DataError: A value is NaN or infinite (a PSNR is infinite for an exact estimate).
    """
    x = _values(values, name="values", least=1)
    mean = float(x.mean())
    if len(x) == 1:
        return Summary(mean, math.nan, math.nan)
    std = float(x.std(ddof=1))
    return Summary(mean, std, std / math.sqrt(len(x)))


def paired_difference(a: ArrayLike, b: ArrayLike) -> PairedDifference:
    """Paired comparison of two methods on the same images: the mean of a - b and its t interval.

    The interval is ``mean ± t · std/√n`` with the 0.975 quantile of Student's distribution with
    n - 1 degrees of freedom: exact if the differences are normal and independent.

    Args:
        a: Values (n,), n ≥ 2, one per image.
        b: Values (n,) of the same images in the same order.

    Raises:
        ShapeError: The values do not have one axis, are fewer than 2, or have different lengths.
        DataError: A value is NaN or infinite.
    """
    from scipy.special import stdtrit

    x, y = _values(a, name="a", least=2), _values(b, name="b", least=2)
    if len(x) != len(y):
        raise ShapeError(
            describe(
                expected="as many values in a as in b, of the same images",
                found=f"{len(x)} and {len(y)}",
                fix="compare the methods on the images that both have seen",
            )
        )
    summary = summarise(x - y)
    half = float(stdtrit(len(x) - 1, 0.975)) * summary.stderr
    return PairedDifference(summary.mean, (summary.mean - half, summary.mean + half))


def _values(values: ArrayLike, *, name: str, least: int) -> NDArray[np.float64]:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) < least:
        raise ShapeError(
            describe(
                expected=f"{name} of shape (n,), n ≥ {least}",
                found=f"shape {x.shape}",
                fix="give one value per image",
            )
        )
    if bad := np.flatnonzero(~np.isfinite(x)).tolist():
        raise DataError(
            describe(
                expected=f"finite {name}",
                found=f"NaN or infinite at index {bad}",
                fix="omit these images and report it, or find the cause of the failure",
            )
        )
    return x
