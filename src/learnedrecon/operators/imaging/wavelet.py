"""Orthogonal wavelet transforms."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.autograd import apply_kernel, apply_kernel_adjoint, needs_rule
from learnedrecon.operators.fields import count, image_shape, require_kind, store
from learnedrecon.operators.imaging.boundary import window
from learnedrecon.operators.imaging.wavelet_filters import Bank, scaling_filter
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space


@dataclass(frozen=True)
class WaveletBasis:
    """The configuration of a :class:`Wavelet`.

    Attributes:
        shape: Shape of the image, with any number of axes; every size is a multiple of 2^levels.
        wavelet: Name of an orthogonal wavelet in PyWavelets: haar, db2, sym8, coif3, ...
        levels: Number of decomposition levels.

    Raises:
        GeometryError: A size cannot be halved so often, or the wavelet is not orthogonal.
    """

    shape: tuple[int, ...]
    wavelet: str = "db4"
    levels: int = 3

    def __post_init__(self) -> None:
        store(self, "shape", image_shape)
        store(self, "levels", count)
        scaling_filter(self.wavelet)
        factor = 2 ** min(max(self.levels, 0), 63)
        if self.levels < 1 or any(n < 1 or n % factor for n in self.shape):
            raise GeometryError(
                describe(
                    expected=f"at least one level, and sizes that 2^levels = {factor} divides",
                    found=f"shape {self.shape} and levels = {self.levels}",
                    fix="use fewer levels, or compose with Pad: Wavelet(WaveletBasis(larger)) @ "
                    "Pad(Padding(shape, margins))",
                )
            )


class Wavelet(LinearOperator):
    """W u, the coefficients of a periodic orthogonal wavelet basis: W*W = WW* = I.

    The inverse is the adjoint, to rounding. The coefficients form one image of the same shape: the
    low-pass part of the coarsest level in the first corner, around it the details of that level,
    and so on; :meth:`subbands` gives views of them. They are those of PyWavelets' ``wavedecn(u,
    wavelet, mode="periodization")`` put together by ``coeffs_to_array``.

    Args:
        basis: Shape, wavelet and levels.
        dtype: float32 or float64, or complex, the dtype of elements that the spaces create. The
            operator itself works in the precision of its argument.

    Raises:
        GeometryError: Not a :class:`WaveletBasis`.

    Shapes: (..., *shape) to (..., *shape).
    """

    precise = ("analysis", "synthesis")
    spec: WaveletBasis
    analysis: Tensor
    synthesis: Tensor

    def __init__(self, basis: WaveletBasis, dtype: torch.dtype = torch.float32) -> None:
        require_kind(basis, WaveletBasis, "Wavelet(WaveletBasis(shape, 'db4', levels=3))")
        space = Space(basis.shape, dtype)
        super().__init__(space, space)
        self.spec = basis
        for name, matrix in zip(self.precise, Bank.tensors(basis.wavelet), strict=True):
            self.register_buffer(name, matrix, persistent=False)
        self._transform = _Transform(basis, self.analysis, self.synthesis)

    def refresh(self) -> None:
        self._transform = _Transform(self.spec, self.analysis, self.synthesis)

    def evaluate(self, u: Tensor) -> Tensor:
        if needs_rule(u):
            return apply_kernel(self._transform, u)
        return self._transform.forward(u)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        if needs_rule(v):
            return apply_kernel_adjoint(self._transform, v)
        return self._transform.adjoint(v)

    def normal_inverse(self, b: Tensor, weight: Tensor | float) -> Tensor:
        """(W*W + λ)⁻¹ b = b / (1 + λ)."""
        return self.domain.check(b, "an image") / (1 + weight)

    def compute_norm(self) -> float:
        """1, the norm of every isometry."""
        return 1.0

    def norm_bound(self) -> float:
        return self.compute_norm()

    def subbands(self, coefficients: Tensor) -> list[dict[str, Tensor]]:
        """Views of the subbands of coefficients (..., *shape), the coarsest first.

        Returns:
            First {"aa": the low-pass part}, then the details of every level from the coarsest to
            the finest, by names as in PyWavelets: one letter for each axis, a for low-pass and d
            for high-pass along it. Writing into them writes into ``coefficients``.
        """
        axes = len(self.spec.shape)
        parts: list[dict[str, Tensor]] = []
        for level in range(self.spec.levels, 0, -1):
            half = [n >> level for n in self.spec.shape]
            names = map("".join, product("ad", repeat=axes))
            bands = {name: window(coefficients, _band(name, half)) for name in names}
            low = bands.pop("a" * axes)
            parts += [bands] if parts else [{"a" * axes: low}, bands]
        return parts

    def extra_repr(self) -> str:
        return repr(self.spec)


@dataclass(frozen=True, eq=False)
class _Transform:
    """The pair (W, W*) on plain tensors."""

    basis: WaveletBasis
    analysis: Tensor
    synthesis: Tensor

    def forward(self, u: Tensor) -> Tensor:
        """W u."""
        if u.is_complex():
            parts = self.forward(torch.stack((u.real, u.imag)))
            return torch.complex(parts[0], parts[1])
        bank, axes = self._bank(u), len(self.basis.shape)
        whole, corner = u, u
        for level, place in enumerate(self._corners()):
            for axis in range(-axes, 0):
                corner = bank.analyse(corner, axis)
            if level == 0:
                whole = corner
            else:
                window(whole, place).copy_(corner)
            corner = window(corner, [slice(n >> (level + 1)) for n in self.basis.shape])
        return whole

    def adjoint(self, v: Tensor) -> Tensor:
        """W* v."""
        if v.is_complex():
            parts = self.adjoint(torch.stack((v.real, v.imag)))
            return torch.complex(parts[0], parts[1])
        bank, axes = self._bank(v), len(self.basis.shape)
        whole = v.clone(memory_format=torch.contiguous_format) if self.basis.levels > 1 else v
        for place in reversed(self._corners()):
            corner = window(whole, place)
            for axis in range(-axes, 0):
                corner = bank.synthesise(corner, axis)
            if corner.shape == whole.shape:
                return corner
            window(whole, place).copy_(corner)
        return whole

    def _bank(self, like: Tensor) -> Bank:
        return Bank(self.analysis.to(like), self.synthesis.to(like))

    def _corners(self) -> list[list[slice]]:
        """The slices of the image of every level, from the whole one on."""
        return [[slice(n >> k) for n in self.basis.shape] for k in range(self.basis.levels)]


def _band(name: str, half: list[int]) -> list[slice]:
    """The slices of the band of that name, next to a low-pass part of shape ``half``."""
    pairs = zip(name, half, strict=True)
    return [slice(0, n) if letter == "a" else slice(n, 2 * n) for letter, n in pairs]
