"""Operators over the real numbers: a complex number as two real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.errors import DtypeError, describe
from learnedrecon.operators.adapters.checks import device_of
from learnedrecon.operators.base import Operator
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space, inner

if TYPE_CHECKING:
    from learnedrecon.operators.leading import Norm


def parts_of(space: Space) -> Space:
    """The real space of real and imaginary parts, (2, *shape), real parts first.

    Args:
        space: Complex space.
    """
    return Space((2, *space.shape), space.dtype.to_real()) if space.is_complex else space


def split(x: Tensor, space: Space) -> Tensor:
    """Real and imaginary parts, (..., *shape) to (..., 2, *shape); a real tensor is unchanged.

    Args:
        x: Tensor (..., *shape).
        space: Space of x.
    """
    return torch.stack([x.real, x.imag], dim=-space.ndim - 1) if space.is_complex else x


def join(x: Tensor, space: Space) -> Tensor:
    """The inverse of :func:`split`.

    Args:
        x: Tensor (..., 2, *shape) where the space is complex, otherwise (..., *shape).
        space: Space of the result.
    """
    if not space.is_complex:
        return x
    real, imaginary = x.unbind(-space.ndim - 1)
    return torch.complex(real, imaginary)


class RealParts(Operator):
    """T between the real spaces of its complex ones: (..., 2, *shape), real parts first.

    Args:
        operator: T.
    """

    def __init__(self, operator: Operator) -> None:
        super().__init__(parts_of(operator.domain), parts_of(operator.codomain))
        self.operator = operator

    def evaluate(self, u: Tensor) -> Tensor:
        whole = self.operator.evaluate(join(u, self.operator.domain))
        return split(whole, self.operator.codomain)

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        value, derivative = self.operator.linearise(join(u, self.operator.domain))
        return split(value, self.operator.codomain), LinearRealParts(derivative)


class LinearRealParts(LinearOperator):
    """A linear T between the real spaces of its complex ones; a real-linear T is linear there.

    Args:
        operator: T.
    """

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(parts_of(operator.domain), parts_of(operator.codomain))
        self.operator = operator

    def evaluate(self, u: Tensor) -> Tensor:
        whole = self.operator.evaluate(join(u, self.operator.domain))
        return split(whole, self.operator.codomain)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        whole = self.operator.evaluate_adjoint(join(v, self.operator.codomain))
        return split(whole, self.operator.domain)

    def compute_norm(self) -> Norm:
        return self.operator.norm()


def is_mixed(operator: Operator) -> bool:
    """True where one space is complex and the other real.

    Args:
        operator: Operator to test.
    """
    return operator.domain.is_complex != operator.codomain.is_complex


@torch.no_grad()
def is_complex_linear(operator: LinearOperator) -> bool:
    """True where T(iu) = iT(u) for a seeded random u, to rounding, and for every real T.

    Args:
        operator: Operator to test.
    """
    if not operator.domain.is_complex:
        return not operator.codomain.is_complex
    if not operator.codomain.is_complex:
        return False
    u = operator.domain.random(torch.Generator().manual_seed(0)).to(device_of(operator))
    turned, straight = operator(1j * u), 1j * operator(u)
    axes = operator.codomain.ndim
    error = float(inner(turned - straight, turned - straight, axes)) ** 0.5
    size = float(inner(straight, straight, axes)) ** 0.5
    return error <= 1e-3 * size


def over_one_field(operator: Operator, where: str, *, stacked: bool) -> Operator:
    """T for libraries whose operators are either real or complex, never mixed.

    Args:
        operator: T.
        where: Name of the adapter function, for messages.
        stacked: True to write complex elements as two real parts where there is a choice.

    Returns:
        T itself if it is real, or linear over the complex numbers; otherwise T between real parts.

    Raises:
        DtypeError: T is a linear operator between complex spaces with T(iu) ≠ iT(u), and
            ``stacked`` is false.
    """
    if not (operator.domain.is_complex or operator.codomain.is_complex):
        return operator
    if not isinstance(operator, LinearOperator):
        return RealParts(operator)
    if stacked or is_mixed(operator):
        return LinearRealParts(operator)
    if not is_complex_linear(operator):
        raise DtypeError(
            describe(
                expected="an operator that is linear over the complex numbers",
                found=f"{type(operator).__name__} with T(iu) ≠ iT(u)",
                fix=f"use {where}(T, stacked=True), which acts on real and imaginary parts",
            )
        )
    return operator
