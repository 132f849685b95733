"""Finite-dimensional spaces of images and data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import index

import numpy as np
import torch
from torch import Tensor

from learnedrecon.errors import DtypeError, ShapeError, describe

_REDUCED = (torch.float16, torch.bfloat16)
_REAL = (torch.float32, torch.float64)
_COMPLEX = (torch.complex64, torch.complex128)


@dataclass(frozen=True)
class Space:
    """A finite-dimensional space of images or data: the shape and dtype of one sample.

    A space never contains a batch axis.

    Attributes:
        shape: Last axes of every tensor of this space.
        dtype: float32, float64, complex64 or complex128. Real or complex is a property of the
            space; the precision is that of the elements that the space creates itself.

    Raises:
        ShapeError: A shape that is not a sequence of at least one size, each at least 1.
        DtypeError: Another type of number.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _sizes(self.shape))
        if self.dtype not in _REAL + _COMPLEX:
            raise DtypeError(
                describe(
                    expected="a space of float32, float64, complex64 or complex128",
                    found=str(self.dtype),
                    fix="choose one of these",
                )
            )

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of entries of one element."""
        return math.prod(self.shape)

    @property
    def is_complex(self) -> bool:
        return self.dtype in _COMPLEX

    def random(
        self,
        generator: torch.Generator | None = None,
        leading: tuple[int, ...] = (),
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """A standard normal element with the given leading axes."""
        return torch.randn(
            leading + self.shape, generator=generator, dtype=self.dtype, device=device
        )

    def zeros(self, leading: tuple[int, ...] = (), device: torch.device | str = "cpu") -> Tensor:
        """The zero element with the given leading axes."""
        return torch.zeros(leading + self.shape, dtype=self.dtype, device=device)

    def check(self, tensor: Tensor, what: str) -> Tensor:
        """``tensor`` itself if it belongs to the space, with any leading axes.

        Half precision is converted to float32, because operators run in float32 or better.

        Raises:
            ShapeError: The last axes differ from ``shape``.
            DtypeError: Not a tensor; integers or booleans; complex numbers where real ones are
                expected; two real channels where complex numbers are expected, which may be real
                and imaginary parts; sparse or nested tensors.
        """
        require_tensor(tensor, what)
        if tensor.layout != torch.strided or tensor.is_nested:
            raise DtypeError(
                describe(
                    expected=f"{what} as a dense tensor",
                    found=f"layout {'nested' if tensor.is_nested else tensor.layout}",
                    fix="convert it, for example with .to_dense()",
                )
            )
        if tuple(tensor.shape[-self.ndim :]) != self.shape or tensor.ndim < self.ndim:
            raise ShapeError(
                describe(
                    expected=f"{what} with last axes {self.shape}",
                    found=f"shape {tuple(tensor.shape)}",
                    fix="check the geometry against the data, or move the axes",
                )
            )
        if tensor.dtype in _REDUCED:
            tensor = tensor.float()
        if self.is_complex and tensor.dtype in _REAL:
            if tensor.ndim >= self.ndim + 2 and tensor.shape[-self.ndim - 1] == 2:
                raise DtypeError(
                    describe(
                        expected=f"{what} of complex floats",
                        found=f"real ones with two channels, shape {tuple(tensor.shape)}, which"
                        " may be real and imaginary parts",
                        fix="write torch.complex(x[:, :1], x[:, 1:]) for such parts, or"
                        " x.to(torch.complex64) for two real images",
                    )
                )
            return tensor.to(torch.promote_types(tensor.dtype, torch.complex64))
        if tensor.dtype not in (_COMPLEX if self.is_complex else _REAL):
            raise DtypeError(
                describe(
                    expected=f"{what} of {'complex' if self.is_complex else 'real'} floats",
                    found=str(tensor.dtype),
                    fix=f"convert it, for example with .to({self.dtype})",
                )
            )
        return tensor


def require_tensor(value: object, what: str) -> None:
    """Check that a value is a tensor, not for example a NumPy array.

    Args:
        value: Value to check.
        what: Noun for the value in the message.

    Raises:
        DtypeError: The value is not a tensor.
    """
    if isinstance(value, Tensor):
        return
    kind = type(value)
    convert = "from_numpy" if isinstance(value, np.ndarray) else "as_tensor"
    raise DtypeError(
        describe(
            expected=f"{what} as a torch tensor",
            found=f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."),
            fix=f"use torch.{convert}(...), in float32 or float64",
        )
    )


def _sizes(shape: object) -> tuple[int, ...]:
    try:
        sizes = tuple(index(size) for size in shape)  # type: ignore[attr-defined]
    except TypeError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        number = shape if isinstance(shape, int) and shape > 0 else 128
        raise ShapeError(
            describe(
                expected="a shape of at least one size, each at least 1",
                found=f"{shape!r:.80}",
                fix=f"write Space(({number},)) for vectors or Space((ny, nx)) for images",
            )
        )
    return sizes


def inner(a: Tensor, b: Tensor, axes: int) -> Tensor:
    """The unweighted real inner product Re⟨a, b⟩ over the last ``axes`` axes, summed in float64.

    Args:
        a: First tensor.
        b: Second tensor, of the same shape.
        axes: Number of last axes over which is summed.
    """
    wide = torch.complex128 if a.is_complex() or b.is_complex() else torch.float64
    product = (a.to(wide).conj() * b.to(wide)).flatten(-axes).sum(-1)
    return product.real if product.is_complex() else product
