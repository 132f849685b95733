"""Random ellipse phantoms with the three different distributions of the literature.

An image is ``u = Σ_j v_j 1_{E_j}``, a sum of indicator functions of ellipses, in the coordinates of
the square [-1, 1]²: x grows with the column, y with the row, and pixel ``(iy, ix)`` of an
``ny × nx`` image has its centre at ``((2 ix + 1)/nx - 1, (2 iy + 1)/ny - 1)``. The square is the
union of the pixels, as everywhere in this library. In ODL, which the papers used, the centres of
the outermost pixels are on the border of the square instead, so that its ellipses have ``(n -
1)/n`` times the size in pixels (0.8 % less at 128).

An ellipse is a row ``(value, a, b, x, y, rotation)``: semi-axis ``a`` points along
``(cos rotation, sin rotation)``, semi-axis ``b`` is perpendicular to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from learnedrecon.data.seeds import Split, seed_sequence
from learnedrecon.errors import ConfigError, DataError, ShapeError, describe
from learnedrecon.limits import in_counts, refuse_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class EllipsePreset:
    """The distribution of an ellipse phantom; semi-axes are .2 Exp(1), the rotation U(0, 2π).

    Attributes:
        mean_number: Mean of the Poisson distribution of the number of ellipses.
        max_number: Largest number of ellipses, to which larger ones are clipped, or None.
        value_low: Lower end of the uniform distribution of values.
        value_high: Upper end of the uniform distribution of values.
        value_scale: Mean of an independent exponential factor of each value, or None for no factor.
        centre: Half width of the uniform distribution of centres, U(-``centre``, ``centre``)².
        normalised: True if the finished image is mapped to [0, 1], see :func:`normalise`.
        noise_level: Standard deviation of the noise in the source's data, relative to the mean of
            ``|y|``. Phantoms do not use it; simulations do.
    """

    mean_number: float
    max_number: int | None
    value_low: float
    value_high: float
    value_scale: float | None
    centre: float
    normalised: bool
    noise_level: float


ELLIPSE_PRESETS: Final[Mapping[str, EllipsePreset]] = MappingProxyType(
    {
        "adler2017": EllipsePreset(
            100, None, -0.3, 0.7, 0.3, 0.5, normalised=False, noise_level=0.05
        ),
        "adler2018": EllipsePreset(
            50, None, -0.5, 0.5, 0.4, 1.0, normalised=False, noise_level=0.05
        ),
        "dival": EllipsePreset(40, 70, -0.4, 1.0, None, 0.9, normalised=True, noise_level=0.025),
    }
)
"""The laws by name.

``adler2017``: Adler and Öktem, Inverse Problems 33 (2017). ``adler2018``: Adler and Öktem, IEEE TMI
37 (2018). ``dival``: the ellipse data set of DIVal (Leuschner et al. 2019).
"""


def ellipse_preset(name: str) -> EllipsePreset:
    """The distribution called ``name`` in :data:`ELLIPSE_PRESETS`.

    Args:
        name: Name of the distribution.

    Raises:
        ConfigError: There is no such distribution.
    """
    if name not in ELLIPSE_PRESETS:
        raise ConfigError(
            describe(
                expected=f"an ellipse preset out of {', '.join(ELLIPSE_PRESETS)}",
                found=repr(name),
                fix="choose one of these, or build an EllipsePreset of your own",
            )
        )
    return ELLIPSE_PRESETS[name]


def sample_ellipses(preset: EllipsePreset, rng: np.random.Generator) -> FloatArray:
    """The random ellipses of one phantom, (number, 6), float64.

    Args:
        preset: Distribution of the ellipses.
        rng: Random generator.
    """
    number = int(rng.poisson(preset.mean_number))
    if preset.max_number is not None:
        number = min(number, preset.max_number)
    values = rng.uniform(preset.value_low, preset.value_high, number)
    if preset.value_scale is not None:
        values = values * rng.exponential(preset.value_scale, number)
    semi_axes = 0.2 * rng.exponential(1.0, (number, 2))
    centres = rng.uniform(-preset.centre, preset.centre, (number, 2))
    rotations = rng.uniform(0.0, 2.0 * np.pi, number)
    return np.column_stack((values, semi_axes, centres, rotations))


def ellipse_image(ellipses: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """The image ``Σ_j v_j 1_{E_j}`` at the pixel centres; the border belongs to the ellipse.

    For every ellipse only the pixels of its bounding box are computed, of half widths ``√(a² cos² +
    b² sin²)`` and ``√(a² sin² + b² cos²)``.

    Args:
        ellipses: Ellipses (number, 6); the module describes the columns.
        shape: Shape of the image, ``(ny, nx)``.

    Returns:
        Image ``(ny, nx)``, float64.

    Raises:
        ShapeError: ``ellipses`` is not (number, 6), or the image has no pixels.
        DataError: A value is NaN or infinite, or a semi-axis is not positive.
    """
    _check_ellipses(ellipses)
    _check_shape(shape)
    y, x = (pixel_centres(size) for size in shape)
    image = np.zeros(shape)
    a, b, cosine, sine = ellipses[:, 1], ellipses[:, 2], *_direction(ellipses[:, 5])
    columns = _boxes(ellipses[:, 3], np.hypot(a * cosine, b * sine), shape[1])
    rows = _boxes(ellipses[:, 4], np.hypot(a * sine, b * cosine), shape[0])
    # Row j maps (dx, dy) to the coordinates in which ellipse j is the unit disk.
    to_disk = np.stack((cosine / a, sine / a, -sine / b, cosine / b), axis=1)
    for (value, _, _, x0, y0, _), (xu, yu, xv, yv), (left, right), (top, bottom) in zip(
        ellipses.tolist(), to_disk.tolist(), columns.tolist(), rows.tolist(), strict=True
    ):
        dx, dy = x[left:right] - x0, (y[top:bottom] - y0)[:, None]
        along, across = xu * dx + yu * dy, xv * dx + yv * dy
        image[top:bottom, left:right] += value * (along * along + across * across <= 1.0)
    return image


def normalise(image: FloatArray) -> FloatArray:
    """An image in [0, 1] as in DIVal: ``min u`` subtracted where ``u ≠ 0``, over the maximum.

    The minimum is over all pixels, the background included, so it is at most 0 unless ellipses
    cover every pixel. The background stays 0, and so do pixels at the minimum. An image that is
    constant, or constant where it is not 0 and negative there, becomes 0.

    Args:
        image: Image of any shape.
    """
    shifted = np.where(image != 0.0, image - image.min(), 0.0)
    maximum = shifted.max()
    return shifted / maximum if maximum > 0.0 else shifted


def ellipse_phantom(
    preset: EllipsePreset,
    index: int,
    size: int | tuple[int, int] = 128,
    *,
    seed: int,
    split: Split,
) -> NDArray[np.float32]:
    """Phantom number ``index`` of an unlimited data set that is never stored.

    The ellipses depend only on ``(seed, split, index)`` and ``preset``, not on order, batch size,
    number of workers or ``size``.

    Args:
        preset: Distribution of the ellipses.
        index: Index of the phantom in its split.
        size: Number of pixels along each side, or ``(ny, nx)``.
        seed: Seed of the data set.
        split: "train", "validation" or "test".

    Returns:
        Image ``(ny, nx)``, float32.

    Raises:
        ConfigError: The split is unknown, or the seed or index is negative.
        ShapeError: The image has no pixels.
    """
    rng = np.random.default_rng(seed_sequence(seed, split, index, purpose="phantom"))
    shape = (size, size) if isinstance(size, int) else size
    image = ellipse_image(sample_ellipses(preset, rng), shape)
    return (normalise(image) if preset.normalised else image).astype(np.float32)


def pixel_centres(size: int) -> FloatArray:
    """The centres ``(2 i + 1)/size - 1`` of ``size`` equal pixels that fill [-1, 1].

    Args:
        size: Number of pixels.
    """
    return (2.0 * np.arange(size) + 1.0) / size - 1.0


def _direction(rotation: FloatArray) -> tuple[FloatArray, FloatArray]:
    return np.cos(rotation), np.sin(rotation)


def _boxes(centre: FloatArray, half_width: FloatArray, size: int) -> NDArray[np.int64]:
    """Half-open index ranges (number, 2) that hold the interval, with a pixel to spare."""
    ends = np.stack((centre - half_width, centre + half_width), axis=1)
    indices = (ends + 1.0) * (size / 2.0) - 0.5
    padded = np.floor(indices) + np.array([-1.0, 3.0])
    return np.clip(padded, 0, size).astype(np.int64)


def _check_ellipses(ellipses: FloatArray) -> None:
    if ellipses.ndim != 2 or ellipses.shape[1] != 6:
        raise ShapeError(
            describe(
                expected="ellipses of shape (number, 6)",
                found=f"shape {ellipses.shape}",
                fix="give one row (value, a, b, x, y, rotation) for each ellipse",
            )
        )
    wrong = ~np.isfinite(ellipses).all(axis=1) | (ellipses[:, 1:3] <= 0.0).any(axis=1)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise DataError(
            describe(
                expected="finite ellipses with positive semi-axes",
                found=f"{int(wrong.sum())} that are not, the first being row {first}: "
                f"{ellipses[first].tolist()}",
                fix="remove or correct these rows",
            )
        )


def _check_shape(shape: tuple[int, int]) -> None:
    if len(shape) != 2 or min(shape) < 1:
        raise ShapeError(
            describe(
                expected="an image shape (ny, nx) of two positive numbers",
                found=str(shape),
                fix="ask for at least one pixel in each direction",
            )
        )
    refuse_bytes(8 * math.prod(shape), "a phantom", of=in_counts(shape), kind=ShapeError)
