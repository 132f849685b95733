"""Blur kernels as plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.fields import count, length_or_lengths, number, positive, store

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Gaussian:
    """Truncated Gaussian kernel exp(-|x|²/(2σ²)) at the pixels, with sum 1.

    Attributes:
        sigma: Standard deviation σ in pixels, one number or one per axis.
        truncate: Half width of the kernel in units of σ, rounded up to whole pixels.

    Raises:
        GeometryError: A number is not positive.
    """

    sigma: float | tuple[float, ...]
    truncate: float = 4.0

    def __post_init__(self) -> None:
        store(self, "sigma", length_or_lengths)
        store(self, "truncate", number)
        _require_positive(self, self.truncate, *_tuple(self.sigma))

    def weights(self, axes: int) -> np.ndarray:
        """The kernel as an array, of an odd size along each of ``axes`` axes."""
        return _product([self._line(s) for s in _each(self.sigma, axes, "sigma")])

    def _line(self, sigma: float) -> np.ndarray:
        radius = math.ceil(self.truncate * sigma)
        line = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
        return line / line.sum()


@dataclass(frozen=True)
class Box:
    """Box kernel: the mean over a rectangle.

    Attributes:
        size: Size of the box in pixels, one number or one per axis.

    Raises:
        GeometryError: A size is below 1.
    """

    size: int | tuple[int, ...]

    def __post_init__(self) -> None:
        store(self, "size", _counts)
        _require_positive(self, *_tuple(self.size))

    def weights(self, axes: int) -> np.ndarray:
        """The kernel as an array."""
        return _product([np.full(s, 1 / s) for s in _each(self.size, axes, "size")])


Line: TypeAlias = tuple[float, ...]
Plane: TypeAlias = tuple[Line, ...]
Block: TypeAlias = tuple[Plane, ...]
Kernel: TypeAlias = Gaussian | Box | Line | Plane | Block
"""A named kernel, or its numbers row by row."""


def plain_kernel(kernel: object) -> object:
    """A kernel as plain data: arrays, tensors and lists become nested tuples of numbers.

    Args:
        kernel: Kernel spec, array, tensor or nested sequence.

    Raises:
        GeometryError: The kernel is not made of numbers, has rows of unequal lengths, or is
            complex, empty or not finite.
    """
    if isinstance(kernel, Gaussian | Box):
        return kernel
    if isinstance(kernel, torch.Tensor):
        kernel = kernel.detach().cpu().numpy()
    try:
        array = np.asarray(kernel)
        array = np.zeros(0) if np.iscomplexobj(array) else array.astype(np.float64)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if not array.size or not array.ndim or not np.isfinite(array).all():
        raise GeometryError(
            describe(
                expected="a kernel: Gaussian, Box, or real finite numbers in rows of equal length",
                found=f"{kernel!r:.80} of type {type(kernel).__name__}",
                fix="give an array such as [[0, .2, 0], [.2, .2, .2], [0, .2, 0]]; put complex"
                " ones in by with_tensors({'kernel': ...})",
            )
        )
    return _nested(array.tolist())


def weights_of(kernel: object, axes: int) -> np.ndarray:
    """The numbers of a kernel in its plain form, for images with so many axes.

    Args:
        kernel: Kernel in the form of :func:`plain_kernel`.
        axes: Number of axes of the images.
    """
    return kernel.weights(axes) if isinstance(kernel, Gaussian | Box) else np.array(kernel)


def _nested(value: object) -> object:
    return tuple(map(_nested, value)) if isinstance(value, list) else value


def _counts(size: object) -> int | tuple[int, ...]:
    given = np.asarray(size, dtype=object)
    sizes = tuple(map(count, given.reshape(-1).tolist()))
    return sizes if given.ndim else sizes[0]


def _tuple(values: float | Sequence[float]) -> tuple[float, ...]:
    return (values,) if isinstance(values, int | float) else tuple(values)


def _each(values: float | Sequence[float], axes: int, name: str) -> tuple[Any, ...]:
    found = _tuple(values) if not isinstance(values, int | float) else (values,) * axes
    if len(found) != axes:
        raise GeometryError(
            describe(
                expected=f"{name} as one number or {axes}, one for each axis of the image",
                found=f"{values!r:.80}",
                fix="give one number, or one for each axis",
            )
        )
    return found


def _product(lines: list[np.ndarray]) -> np.ndarray:
    whole = np.ones(())
    for line in lines:
        whole = whole[..., None] * line
    return whole


def _require_positive(spec: object, *values: float) -> None:
    if not positive(*values):
        raise GeometryError(
            describe(expected="positive numbers of pixels", found=repr(spec), fix="correct them")
        )
