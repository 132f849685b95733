"""Separable operators: one small matrix along every axis."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from learnedrecon.compiling import real_of
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Sequence


class Separable(LinearOperator):
    """T u = (M_1 ⊗ ... ⊗ M_d) u, with the matrix M_a along axis a.

    Args:
        shape: Shape of the image.
        matrices: One matrix per axis, (m_a, n_a) real, or None for the identity.
        dtype: float32 or float64, or complex, the dtype of elements that the spaces create. The
            operator itself works in the precision of its argument.

    Shapes: (..., n_1, ..., n_d) to (..., m_1, ..., m_d).
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        matrices: Sequence[np.ndarray | None],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        result = [n if m is None else len(m) for n, m in zip(shape, matrices, strict=True)]
        super().__init__(Space(shape, dtype), Space(tuple(result), dtype))
        self._axes = [a - len(shape) for a, matrix in enumerate(matrices) if matrix is not None]
        self.precise = tuple(f"matrix{-axis}" for axis in self._axes)
        given = [matrix for matrix in matrices if matrix is not None]
        for name, matrix in zip(self.precise, given, strict=True):
            self.register_buffer(name, torch.as_tensor(np.ascontiguousarray(matrix)), False)  # noqa: FBT003 - by position in torch's calls

    def evaluate(self, u: Tensor) -> Tensor:
        for axis in sorted(self._axes, key=self._growth):
            u = _along(self._matrix(axis, u), u, axis)
        return u

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        for axis in sorted(self._axes, key=self._growth, reverse=True):
            v = _along(self._matrix(axis, v).mT, v, axis)
        return v

    def normal_inverse(self, b: Tensor, weight: Tensor | float) -> Tensor:
        """(T*T + λ)⁻¹ b by the singular value decompositions of the matrices.

        Args:
            b: Right side, (..., *shape).
            weight: λ > 0, a number or (batch, 1, ...).
        """
        b = self.domain.check(b, "an image")
        bases, symbol = {}, torch.ones((), dtype=torch.float64, device=b.device)
        for axis in self._axes:
            matrix = self._matrix(axis, b).to(torch.float64)
            values, bases[axis] = torch.linalg.eigh(matrix.T @ matrix)
            symbol = symbol * values.clamp(min=0).reshape(-1, *[1] * (-1 - axis))
        for axis, basis in bases.items():
            b = _along(basis.T.to(b.dtype), b, axis)
        b = b / (symbol.to(real_of(b.dtype)) + weight)
        for axis, basis in bases.items():
            b = _along(basis.to(b.dtype), b, axis)
        return b

    def compute_norm(self) -> float:
        """The product of the norms of all matrices."""
        return math.prod(
            float(torch.linalg.matrix_norm(getattr(self, name).double(), 2))
            for name in self.precise
        )

    def norm_bound(self) -> float:
        return self.compute_norm()

    def _matrix(self, axis: int, like: Tensor) -> Tensor:
        return getattr(self, f"matrix{-axis}").to(like.device, like.dtype)

    def _growth(self, axis: int) -> float:
        """The growth of an axis by its matrix; the axes that shrink come first."""
        return self.codomain.shape[axis] / self.domain.shape[axis]


def _along(matrix: Tensor, x: Tensor, axis: int) -> Tensor:
    """The product of a matrix with an axis (negative)."""
    if axis == -1:
        return x @ matrix.mT
    if axis == -2:
        return matrix @ x
    after = x.shape[axis + 1 :]
    return (matrix @ x.flatten(axis + 1)).unflatten(-1, after)
