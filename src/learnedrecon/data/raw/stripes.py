"""Stripes of sinograms, which are rings in images: what a pixel adds to all of its views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from learnedrecon.errors import ConfigError, ShapeError, describe, require

if TYPE_CHECKING:
    from collections.abc import Callable

FloatArray = NDArray[np.float64]

_MEAN_WINDOW: Final = 21
_MEAN_DEGREE: Final = 3
_SORTING_SHARE: Final = 100
_SORTING_LEAST: Final = 5


def stripes_removed_by_sorting(sinogram: FloatArray, window: int | None = None) -> FloatArray:
    """Stripes removed by sorting each pixel's values, algorithm 3 of Vo et al. (2018).

    Each detector pixel's values over the views are sorted; those of neighbouring pixels are almost
    the same, but for what a pixel adds to or takes from all of them, or from some. A median filter
    along the detector removes that, and every value goes back to the view that it came from.
    Things that are no wider than half the window and stay at one pixel in most views, as on the
    rotation axis, are taken for stripes.

    N. T. Vo, R. C. Atwood, M. Drakopoulos, "Superior techniques for eliminating ring artifacts in
    X-ray micro-tomography", Optics Express 26 (2018) 28396, algorithm 3.

    Args:
        sinogram: Line integrals, (angle, detector).
        window: Width of the median filter in detector pixels, odd and wider than twice the stripes;
            by default about a hundredth of the detector, and at least 5.

    Raises:
        ShapeError: Not two axes.
        ConfigError: A window that is even or below 3.
    """
    from scipy.ndimage import median_filter

    _require_sinogram(sinogram)
    if window is None:
        window = max(_SORTING_LEAST, 2 * (sinogram.shape[1] // (2 * _SORTING_SHARE)) + 1)
    _require_window(window, 3)
    order = np.argsort(sinogram, axis=0, kind="stable")
    ranked = np.take_along_axis(sinogram, order, axis=0)
    smooth = median_filter(ranked, (1, window), mode="reflect")
    result = np.empty_like(sinogram)
    np.put_along_axis(result, order, smooth, axis=0)
    return result


def stripes_removed_by_mean(sinogram: FloatArray, window: int = _MEAN_WINDOW) -> FloatArray:
    """Stripes removed from the mean over the views, after Boin and Haibel (2006).

    The mean of a sinogram over its views is smooth along the detector, but for what each pixel adds
    to all of them. The difference of the mean and its smooth part is subtracted from every view.
    The smooth part is a local cubic by least squares (Savitzky-Golay), where the paper has a moving
    average, which would take the curvature of the mean for stripes.

    M. Boin, A. Haibel, "Compensation of ring artefacts in synchrotron tomographic images", Optics
    Express 14 (2006) 12071.

    Args:
        sinogram: Line integrals, (angle, detector).
        window: Width of the local cubic in detector pixels, odd, at least 5.

    Raises:
        ShapeError: Not two axes.
        ConfigError: A window that is even or below 5.
    """
    from scipy.signal import savgol_filter

    _require_sinogram(sinogram)
    _require_window(window, _MEAN_DEGREE + 2)
    mean = sinogram.mean(axis=0)
    if len(mean) < _MEAN_DEGREE + 2:
        return sinogram
    width = min(window, 2 * ((len(mean) - 1) // 2) + 1)
    smooth = savgol_filter(mean, width, _MEAN_DEGREE, mode="interp")
    return np.asarray(sinogram - (mean - smooth))


METHODS: Final[dict[str, Callable[[FloatArray], FloatArray]]] = {
    "sorting": stripes_removed_by_sorting,
    "mean": stripes_removed_by_mean,
}
"""How stripes can be removed, by name."""


def stripes_removed(values: FloatArray, method: str) -> FloatArray:
    """Line integrals without stripes, each detector row by itself.

    Args:
        values: Line integrals (angle, row, detector).
        method: One of ``METHODS``, or "none".

    Raises:
        ConfigError: Another method.
    """
    if method == "none":
        return values
    if method not in METHODS:
        raise ConfigError(
            describe(
                expected=f"a method against rings: {', '.join(METHODS)} or none",
                found=f"'{method}'",
                fix="choose one of these",
            )
        )
    rows = [METHODS[method](values[:, row]) for row in range(values.shape[1])]
    return np.stack(rows, axis=1)


def _require_sinogram(sinogram: FloatArray) -> None:
    require(
        sinogram.ndim == 2,
        ShapeError,
        expected="a sinogram (angle, detector)",
        found=f"shape {sinogram.shape}",
        fix="give the detector rows one by one",
    )


def _require_window(window: int, least: int) -> None:
    require(
        window >= least and window % 2 == 1,
        ConfigError,
        expected=f"an odd window of at least {least} detector pixels",
        found=str(window),
        fix="take one that is wider than twice the stripes",
    )
