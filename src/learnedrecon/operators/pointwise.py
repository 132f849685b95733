"""Pointwise multiplication, and nonlinear operators of a scaled image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.compiling import real_of
from learnedrecon.errors import DtypeError, describe
from learnedrecon.operators.base import Operator
from learnedrecon.operators.leading import Norm, per_sample
from learnedrecon.operators.linear import LinearComposition, LinearMultiple, LinearOperator

if TYPE_CHECKING:
    from typing import Self

    from learnedrecon.operators.space import Space


class Diagonal(LinearOperator):
    """Pointwise multiplication by a tensor that may carry leading axes.

    The derivative of a pointwise nonlinearity is of this kind, one diagonal per sample.

    Args:
        space: Domain and codomain.
        diagonal: Factors (..., *space.shape), or a shape that broadcasts to it; complex for a
            complex space only.

    Raises:
        DtypeError: A complex diagonal and a real space.
    """

    pointwise = True
    diagonal: Tensor

    def __init__(self, space: Space, diagonal: Tensor) -> None:
        super().__init__(space, space)
        if diagonal.is_complex() and not space.is_complex:
            raise DtypeError(
                describe(
                    expected="a real diagonal for a real space",
                    found=str(diagonal.dtype),
                    fix="take its real part, or a complex space",
                )
            )
        self.register_buffer("diagonal", diagonal, persistent=False)

    def evaluate(self, u: Tensor) -> Tensor:
        return self.diagonal * u

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.diagonal.conj() * v

    def at_rows(self, rows: tuple[int, ...], axis: int) -> Self:
        return type(self)(
            rows_of_space(self.domain, rows, axis), rows_of(self.diagonal, rows, axis)
        )

    def normal_inverse(self, b: Tensor, weight: Tensor | float) -> Tensor | None:
        """(T*T + λ)⁻¹ b = b / (|d|² + λ)."""
        b = self.domain.check(b, "an image")
        return b / ((self.diagonal.conj() * self.diagonal).real + weight)

    def compute_norm(self) -> Norm:
        """The largest |d| of the diagonal."""
        return per_sample(self.diagonal.abs(), self.domain.ndim)

    def norm_bound(self) -> Norm:
        return self.compute_norm()


class RealPairing(LinearOperator):
    """z ↦ Re(d̄·z), pointwise, from a complex space to the real one; its adjoint is v ↦ d·v.

    The derivative of a real function of complex numbers is of this kind: d = 2z for |z|².

    Args:
        space: Domain, complex.
        factor: Factors d, (..., *space.shape), complex.
    """

    pointwise = True
    factor: Tensor

    def __init__(self, space: Space, factor: Tensor) -> None:
        super().__init__(space, real_space(space))
        self.register_buffer("factor", factor, persistent=False)

    def evaluate(self, u: Tensor) -> Tensor:
        return self.factor.real * u.real + self.factor.imag * u.imag

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.factor * v

    def at_rows(self, rows: tuple[int, ...], axis: int) -> Self:
        return type(self)(rows_of_space(self.domain, rows, axis), rows_of(self.factor, rows, axis))

    def compute_norm(self) -> Norm:
        """The largest |d| of the factors."""
        return per_sample(self.factor.abs(), self.domain.ndim)

    def norm_bound(self) -> Norm:
        return self.compute_norm()


class ScaledArgument(Operator):
    """u ↦ T(c·u) for a nonlinear T: images in units of c.

    Args:
        operator: T.
        scale: c, a number or one per sample, (batch, 1, ...).
    """

    scale: Tensor | float

    def __init__(self, operator: Operator, scale: Tensor | float) -> None:
        super().__init__(operator.domain, operator.codomain)
        self.operator = operator
        self.row_axis = operator.row_axis
        self.tensor_names = operator.tensor_names
        self.folded_axes = operator.folded_axes
        if isinstance(scale, Tensor):
            self.register_buffer("scale", scale, persistent=False)
        else:
            self.scale = float(scale)

    @property
    def measured(self) -> Tensor | None:
        return self.operator.measured

    def evaluate(self, u: Tensor) -> Tensor:
        return self.operator.evaluate(self.scale * u)

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        value, derivative = self.operator.linearise(self.scale * u)
        if isinstance(self.scale, float):
            return value, LinearMultiple(derivative, self.scale)
        return value, LinearComposition(derivative, Diagonal(self.domain, self.scale))

    def restrict(self, rows: tuple[int, ...]) -> ScaledArgument:
        return ScaledArgument(self.operator.subset(rows), self.scale)

    def with_tensors(self, tensors: dict[str, Tensor]) -> ScaledArgument:
        return ScaledArgument(self.operator.with_tensors(tensors), self.scale)

    def tensors(self) -> dict[str, Tensor]:
        return self.operator.tensors()

    def own_axes(self, name: str) -> int:
        return self.operator.own_axes(name)


def real_space(space: Space) -> Space:
    """The space of real numbers of the same shape and precision.

    Args:
        space: Real or complex space.
    """
    return replace(space, dtype=real_of(space.dtype))


def rows_of_space(space: Space, rows: tuple[int, ...], axis: int) -> Space:
    """The space of some entries along an axis.

    Args:
        space: Space of all entries.
        rows: Indices of the entries.
        axis: Axis of the entries, negative.
    """
    shape = list(space.shape)
    shape[axis] = len(rows)
    return replace(space, shape=tuple(shape))


def rows_of(tensor: Tensor, rows: tuple[int, ...], axis: int) -> Tensor:
    """Some entries of a tensor along an axis; all where the axis has one entry for every row.

    Args:
        tensor: Tensor of all entries.
        rows: Indices of the entries.
        axis: Axis of the entries, negative.
    """
    if tensor.ndim < -axis or tensor.shape[axis] == 1:
        return tensor
    return tensor.index_select(axis, torch.tensor(rows, device=tensor.device))
