"""The centred unitary Fourier transform, by phases around that of `torch.fft`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.errors import DtypeError, describe
from learnedrecon.operators.linear import LinearOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from learnedrecon.operators.space import Space


class CentredFFT(LinearOperator):
    """The unitary discrete Fourier transform with its origin at index n // 2 of every axis.

    (Fu)[k] = Π_a n_a^(-1/2) Σ_x exp(-2πi Σ_a (k_a - c_a)(x_a - c_a)/n_a) u[x] with c_a = n_a // 2,
    for odd and even n_a. That is `fftshift(fftn(ifftshift(u), norm="ortho"))`; the shifts are
    phases here, (-1)^x for even sizes, which cost one multiplication before and one after. The
    inverse is the adjoint.

    Args:
        space: Complex space with any number of axes, all of which are transformed.

    Raises:
        DtypeError: The space is real.

    Shapes: (..., *space.shape) to the same.
    """

    phases: Tensor
    phases_after: Tensor

    def __init__(self, space: Space) -> None:
        super().__init__(space, space)
        require_complex(space.dtype, "CentredFFT")
        before, after = self._phases(space.dtype, torch.device("cpu"))
        self.register_buffer("phases", before, persistent=False)
        self.register_buffer("phases_after", after, persistent=False)

    def evaluate(self, u: Tensor) -> Tensor:
        before, after = self._phases_for(u)
        return after * torch.fft.fftn(before * u, dim=self._axes, norm="ortho")

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        before, after = self._phases_for(v)
        return before.conj() * torch.fft.ifftn(after.conj() * v, dim=self._axes, norm="ortho")

    def inverse(self, v: Tensor) -> Tensor:
        """F⁻¹v = F*v; see :meth:`adjoint`."""
        return self.adjoint(v)

    def normal_inverse(self, b: Tensor, weight: Tensor | float) -> Tensor:
        return b / (1 + weight)

    def compute_norm(self) -> float:
        return 1.0

    def norm_bound(self) -> float:
        return self.compute_norm()

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(-self.domain.ndim, 0))

    def _phases_for(self, like: Tensor) -> tuple[Tensor, Tensor]:
        if like.dtype == self.phases.dtype:
            return self.phases, self.phases_after
        return self._phases(like.dtype, like.device)

    def _phases(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
        sizes = self.domain.shape
        before = product_of_axes([phases_before(n) for n in sizes], dtype, device)
        return before, product_of_axes([phases_after(n) for n in sizes], dtype, device)

    def refresh(self) -> None:
        """Recomputation of the phases in the new precision; they are not converted."""
        self.phases, self.phases_after = self._phases(self.domain.dtype, self.phases.device)


def phases_before(n: int, first: int = 0, size: int | None = None) -> Tensor:
    """Factors exp(2πi c x/n), c = n // 2, for the image before `torch.fft.fft`.

    Args:
        n: Length of the transform.
        first: First x.
        size: Number of values x; n unless given.

    Returns:
        Factors (size,), complex128.
    """
    return _unit(n // 2 * torch.arange(first, first + (n if size is None else size)), n)


def phases_after(n: int) -> Tensor:
    """Factors exp(2πi c (k - c)/n), k = 0..n-1, for the result of `torch.fft.fft`.

    Args:
        n: Length of the transform.

    Returns:
        Factors (n,), complex128.
    """
    return _unit(n // 2 * (torch.arange(n) - n // 2), n)


def product_of_axes(
    factors: Sequence[Tensor], dtype: torch.dtype, device: torch.device | str
) -> Tensor:
    """The outer product of one vector per axis.

    Args:
        factors: Vectors, one per axis.
        dtype: Dtype of the product.
        device: Device of the product.
    """
    number = len(factors)
    total = torch.ones((), dtype=torch.complex128)
    for axis, factor in enumerate(factors):
        total = total * factor.reshape(-1, *[1] * (number - 1 - axis))
    return total.to(dtype).to(device)


def require_complex(dtype: torch.dtype, what: str) -> None:
    """Check for a complex dtype.

    Args:
        dtype: Dtype to check.
        what: Noun for the tensor in the message.

    Raises:
        DtypeError: ``dtype`` is not complex64 or complex128.
    """
    if dtype not in {torch.complex64, torch.complex128}:
        raise DtypeError(
            describe(
                expected=f"complex64 or complex128 for {what}",
                found=str(dtype),
                fix=f"give {what} a complex type; real images become complex in the operator",
            )
        )


def _unit(steps: Tensor, n: int) -> Tensor:
    """exp(2πi steps/n), exact at multiples of a quarter turn."""
    angle = 2 * math.pi * (steps % n).double() / n
    parts = [torch.where(part.abs() < 1e-15, 0.0, part) for part in (angle.cos(), angle.sin())]
    return torch.complex(*parts)
