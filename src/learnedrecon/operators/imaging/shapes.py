"""Operators that move entries without changing them: identity, crop, pad, real to complex."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from learnedrecon.compiling import real_of
from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.fields import count, image_shape, require_kind, store
from learnedrecon.operators.imaging.boundary import Boundary, extend, fold, multiplicity, window
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class _Isometry(LinearOperator):
    """T with T*T = I."""

    def normal_inverse(self, b: Tensor, weight: Tensor | float) -> Tensor:
        """(1 + λ)⁻¹ b."""
        return self.domain.check(b, "an image") / (1 + weight)

    def normal_multiplier(self, like: Tensor) -> Tensor:
        """1 for every frequency."""
        return like.new_ones(self.domain.shape, dtype=real_of(like.dtype))

    def compute_norm(self) -> float:
        return 1.0

    def norm_bound(self) -> float:
        return self.compute_norm()


class Identity(_Isometry):
    """The identity T u = u, for denoising.

    Args:
        space: Domain and codomain.
    """

    def __init__(self, space: Space) -> None:
        super().__init__(space, space)

    def evaluate(self, u: Tensor) -> Tensor:
        return u

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return v


class RealToComplex(_Isometry):
    """The embedding of real images into complex ones; its adjoint for Re⟨a, b⟩ is the real part.

    Args:
        domain: Space of real images.

    Raises:
        GeometryError: The space is complex.
    """

    def __init__(self, domain: Space) -> None:
        if domain.is_complex:
            raise GeometryError(
                describe(
                    expected="a space of real images",
                    found=str(domain),
                    fix="use RealToComplex(...).H for the real part of complex ones",
                )
            )
        super().__init__(domain, replace(domain, dtype=domain.dtype.to_complex()))

    def evaluate(self, u: Tensor) -> Tensor:
        return torch.complex(u, torch.zeros_like(u))

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return v.real.contiguous()


class Crop(LinearOperator):
    """A rectangle of the image; the adjoint pads with zeros.

    Args:
        domain: Space of the image.
        shape: Shape of the rectangle.
        start: First pixel of the rectangle; in the middle unless given, (n - m) // 2 along every
            axis, which maps the pixel n // 2 (the centre of a Fourier transform) to m // 2 where n
            and m are both even or both odd.

    Raises:
        GeometryError: The rectangle is not within the image.

    Shapes: (..., *domain.shape) to (..., *shape).
    """

    def __init__(
        self, domain: Space, shape: Sequence[int], start: Sequence[int] | None = None
    ) -> None:
        result = Space(tuple(shape), domain.dtype)
        sizes = list(zip(domain.shape, result.shape, strict=False))
        first = tuple((n - m) // 2 for n, m in sizes) if start is None else tuple(start)
        fits = len(first) == domain.ndim == result.ndim
        if not fits or any(not 0 <= s <= n - m for s, (n, m) in zip(first, sizes, strict=True)):
            raise GeometryError(
                describe(
                    expected=f"a rectangle within the image {domain.shape}",
                    found=f"shape {tuple(shape)} from {first} on",
                    fix="choose a smaller one, or Pad",
                )
            )
        super().__init__(domain, result)
        self.start = first
        self._margins = [(s, n - m - s) for s, (n, m) in zip(first, sizes, strict=True)]

    def evaluate(self, u: Tensor) -> Tensor:
        sizes = zip(self.start, self.codomain.shape, strict=True)
        return window(u, (slice(s, s + m) for s, m in sizes)).contiguous()

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return extend(v, self._margins, "zero")

    def compute_norm(self) -> float:
        return 1.0

    def norm_bound(self) -> float:
        return self.compute_norm()


@dataclass(frozen=True)
class Padding:
    """The configuration of :class:`Pad`.

    Attributes:
        shape: Shape of the image.
        margins: Numbers of pixels (before, after), one pair per axis.
        boundary: Rule for the pixels of the margins.

    Raises:
        GeometryError: There is not one pair per axis, or a number is negative.
    """

    shape: tuple[int, ...]
    margins: tuple[tuple[int, int], ...]
    boundary: Boundary = "zero"

    def __post_init__(self) -> None:
        store(self, "shape", image_shape)
        pairs = tuple(tuple(map(count, pair)) for pair in self.margins)
        fits = len(pairs) == len(self.shape) and all(len(pair) == 2 for pair in pairs)
        if not fits or any(size < 0 for pair in pairs for size in pair):
            raise GeometryError(
                describe(
                    expected=f"{len(self.shape)} pairs (before, after) of numbers from 0 on",
                    found=f"{self.margins!r:.80}",
                    fix="give one pair for each axis of the image",
                )
            )
        object.__setattr__(self, "margins", pairs)


class Pad(LinearOperator):
    """The image extended by margins; the adjoint adds every pixel of a margin to the one it copies.

    Args:
        padding: Shape, margins and boundary.
        dtype: float32 or float64, or complex, the dtype of elements that the spaces create.

    Raises:
        GeometryError: Not a :class:`Padding`.

    Shapes: (..., *shape) to (..., *(before + shape + after)).
    """

    spec: Padding

    def __init__(self, padding: Padding, dtype: torch.dtype = torch.float32) -> None:
        require_kind(padding, Padding, "Pad(Padding(shape, ((1, 1), (2, 2))))")
        sizes = zip(padding.shape, padding.margins, strict=True)
        result = tuple(before + n + after for n, (before, after) in sizes)
        super().__init__(Space(padding.shape, dtype), Space(result, dtype))
        self.spec = padding

    def evaluate(self, u: Tensor) -> Tensor:
        return extend(u, self.spec.margins, self.spec.boundary)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return fold(v, self.spec.margins, self.spec.boundary)

    def compute_norm(self) -> float:
        """The square root of the largest number of copies of a pixel in the result."""
        sizes = zip(self.spec.shape, self.spec.margins, strict=True)
        return math.sqrt(math.prod(multiplicity(n, *pair, self.spec.boundary) for n, pair in sizes))

    def norm_bound(self) -> float:
        return self.compute_norm()

    def extra_repr(self) -> str:
        return repr(self.spec)
