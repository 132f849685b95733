"""Anti-aliased downsampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.fields import count, image_shape, number, require_kind, store
from learnedrecon.operators.imaging.boundary import Boundary, matrix_of
from learnedrecon.operators.imaging.separable import Separable


@dataclass(frozen=True)
class Downsampling:
    """The configuration of :class:`Downsample`.

    Attributes:
        shape: Shape of the image.
        factor: Factor f, one for all axes or one per axis; it divides the size.
        filter: Anti-alias filter. None takes the first pixel of every block of f. The others blur,
            centred on the block, and then take one value per block: "box", the mean of the block;
            "gaussian", of standard deviation ``sigma``; "bicubic", Keys' cubic (a = -1/2) stretched
            by f.
        boundary: Extension of the image beyond its border.
        sigma: Standard deviation of the Gaussian, in pixels of the image; f/2 unless given.

    Raises:
        GeometryError: A factor does not divide the size, or σ is not positive.
    """

    shape: tuple[int, ...]
    factor: int | tuple[int, ...] = 2
    filter: Literal["none", "box", "gaussian", "bicubic"] = "none"
    boundary: Boundary = "symmetric"
    sigma: float | None = None

    def __post_init__(self) -> None:
        store(self, "shape", image_shape)
        store(self, "factor", lambda f: f if isinstance(f, int) else tuple(map(count, f)))
        if self.sigma is not None:
            store(self, "sigma", number)
        factors = self.factors
        fits = len(factors) == len(self.shape) and min(factors) >= 1
        if not fits or any(n % f for n, f in zip(self.shape, factors, strict=True)):
            raise GeometryError(
                describe(
                    expected="whole factors that divide the sizes, one or one for each axis",
                    found=f"factor = {self.factor} for shape {self.shape}",
                    fix="crop the image first: Downsample(...) @ Crop(...)",
                )
            )
        if self.sigma is not None and not self.sigma > 0:
            raise GeometryError(
                describe(
                    expected="sigma > 0",
                    found=f"{self.sigma}",
                    fix="give a positive number of pixels",
                )
            )

    @property
    def factors(self) -> tuple[int, ...]:
        """The factor of every axis."""
        same = isinstance(self.factor, int)
        return (self.factor,) * len(self.shape) if same else self.factor  # type: ignore[return-value]

    def line(self, factor: int) -> tuple[np.ndarray, int]:
        """The filter along an axis: its weights, and the position of the first one in a block."""
        if self.filter == "none" or factor == 1:
            return np.ones(1), 0
        if self.filter == "box":
            return np.full(factor, 1 / factor), 0
        sigma = factor / 2 if self.sigma is None else self.sigma
        reach = int(np.ceil(4 * sigma if self.filter == "gaussian" else 2 * factor))
        places = np.arange(-reach, factor + reach)
        distance = places - (factor - 1) / 2
        if self.filter == "gaussian":
            weights = np.exp(-0.5 * (distance / sigma) ** 2)
        else:
            weights = _keys(np.abs(distance) / factor)
        return weights / weights.sum(), -reach


class Downsample(Separable):
    """T u = (k * u) at every f-th pixel: a separable anti-alias filter k, then decimation.

    Args:
        decimation: Shape, factor, filter and boundary.
        dtype: float32 or float64, or complex, as for :class:`Separable`.

    Raises:
        GeometryError: Not a :class:`Downsampling`.

    Shapes: (..., *shape) to (..., *(shape / factor)).
    """

    spec: Downsampling

    def __init__(self, decimation: Downsampling, dtype: torch.dtype = torch.float32) -> None:
        require_kind(decimation, Downsampling, "Downsample(Downsampling(shape, factor=2))")
        pairs = zip(decimation.shape, decimation.factors, strict=True)
        matrices = [None if f == 1 else _matrix(decimation, n, f) for n, f in pairs]
        super().__init__(decimation.shape, matrices, dtype)
        self.spec = decimation

    def extra_repr(self) -> str:
        return repr(self.spec)


def _matrix(decimation: Downsampling, n: int, factor: int) -> np.ndarray:
    """(n/f, n): filter and decimation along one axis."""
    weights, first = decimation.line(factor)
    before = max(-first, 0)
    after = max(n - factor + first + len(weights) - n, 0)
    rows = np.zeros((n // factor, before + n + after))
    for i, row in enumerate(rows):
        start = before + i * factor + first
        row[start : start + len(weights)] = weights
    return rows @ matrix_of(n, before, after, decimation.boundary)


def _keys(t: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel (IEEE Trans. Acoust. Speech Signal Process. 29, 1981)."""
    near = 1.5 * t**3 - 2.5 * t**2 + 1
    far = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))
