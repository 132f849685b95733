"""Inpainting masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from learnedrecon.compiling import real_of
from learnedrecon.errors import GeometryError, ShapeError, describe
from learnedrecon.operators.fields import count, image_shape, number, require_kind, store
from learnedrecon.operators.leading import Norm, per_sample, require_leading
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.pointwise import rows_of, rows_of_space
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PixelMask:
    """The configuration of :class:`Inpaint`: a random mask of pixels.

    Attributes:
        shape: Shape of the image.
        kept: Probability that a pixel is measured.
        seed: Seed of the random mask.

    Raises:
        GeometryError: The probability is not in (0, 1].
    """

    shape: tuple[int, ...]
    kept: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        store(self, "shape", image_shape)
        store(self, "kept", number)
        store(self, "seed", count)
        if not 0 < self.kept <= 1:
            raise GeometryError(
                describe(
                    expected="0 < kept <= 1",
                    found=f"kept = {self.kept}",
                    fix="give a probability in (0, 1]",
                )
            )

    def mask(self) -> Tensor:
        """The mask of ones and zeros, float32."""
        generator = torch.Generator().manual_seed(self.seed)
        return (torch.rand(self.shape, generator=generator) < self.kept).float()


class Inpaint(LinearOperator):
    """Pointwise multiplication T u = m·u by a mask m, or by any real weights.

    Args:
        mask: A :class:`PixelMask`, or m: a tensor (*shape) of booleans or real numbers, 1 where a
            pixel is measured and 0 where it is not.
        dtype: float32 or float64, or complex, the dtype of elements that the spaces create.

    Attributes:
        spec: Configuration as given, or None for a tensor.
        mask: Mask m, real, (*shape) or with the leading axes of the images.

    Raises:
        GeometryError: The mask is neither.

    Shapes: (..., *shape) to (..., *shape).
    """

    pointwise = True
    tensor_names = frozenset({"mask"})
    spec: PixelMask | None
    mask: Tensor

    def __init__(self, mask: PixelMask | Tensor, dtype: torch.dtype = torch.float32) -> None:
        spec: PixelMask | None = None
        if not isinstance(mask, torch.Tensor):
            require_kind(mask, PixelMask, "Inpaint(mask) with a tensor, or Inpaint(PixelMask(...))")
            spec, mask = mask, mask.mask()
        self._set(Space(tuple(mask.shape), dtype), mask)
        self.spec = spec

    def _set(self, space: Space, mask: Tensor) -> None:
        super().__init__(space, space)
        self.spec = None
        kept = mask if mask.is_floating_point() else mask.to(real_of(space.dtype))
        self.register_buffer("mask", kept, persistent=False)

    def with_tensors(self, tensors: dict[str, Tensor]) -> Inpaint:
        """The operator with a mask per sample.

        Args:
            tensors: "mask" (*lead, *shape), real or boolean; the leading axes are those of the
                images, or 1.

        Raises:
            GeometryError: Another name.
            ShapeError: Other last axes, or no channel axis.
        """
        if set(tensors) != {"mask"}:
            super().with_tensors({k: t for k, t in tensors.items() if k != "mask"})
            return self
        mask, shape = tensors["mask"], self.domain.shape
        if tuple(mask.shape[-len(shape) :]) != shape:
            raise ShapeError(
                describe(
                    expected=f"a mask with last axes {shape}",
                    found=f"shape {tuple(mask.shape)}",
                    fix="give it the leading axes of the images and the shape of one image",
                )
            )
        require_leading(mask, len(shape), "mask")
        return self._copy(self.domain, mask.to(self.mask.device))

    def at_rows(self, rows: tuple[int, ...], axis: int) -> Inpaint:
        return self._copy(rows_of_space(self.domain, rows, axis), rows_of(self.mask, rows, axis))

    def _copy(self, space: Space, mask: Tensor) -> Inpaint:
        twin = Inpaint.__new__(Inpaint)
        twin._set(space, mask)  # noqa: SLF001 - of this class
        return twin

    @property
    def measured(self) -> Tensor:
        return self.mask != 0

    def evaluate(self, u: Tensor) -> Tensor:
        return self.mask.to(real_of(u.dtype)) * u

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.mask.to(real_of(v.dtype)) * v

    def normal_inverse(self, b: Tensor, weight: Tensor | float) -> Tensor:
        """(T*T + λ)⁻¹ b = b / (m² + λ)."""
        b = self.domain.check(b, "an image")
        return b / (self.mask.to(real_of(b.dtype)) ** 2 + weight)

    def compute_norm(self) -> Norm:
        """The largest |m|."""
        return per_sample(self.mask.abs(), self.domain.ndim)

    def norm_bound(self) -> Norm:
        return self.compute_norm()
