"""Checks and helpers of operator arithmetic: scalars, common spaces, tensors of parts."""

from __future__ import annotations

from numbers import Complex, Real
from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor

from learnedrecon.errors import DtypeError, GeometryError, ShapeError, describe

if TYPE_CHECKING:
    from learnedrecon.operators.space import Space


class TakesTensors(Protocol):
    """Protocol of operators with named per-sample tensors.

    Attributes:
        tensor_names: Names of the tensors that the operator accepts.
    """

    tensor_names: frozenset[str]


def is_scalar(value: object, space: Space) -> bool:
    """True where elements of ``space`` can be multiplied by ``value``.

    A real number, or a complex one where the space is complex; also as a tensor or an array
    without axes.

    Args:
        value: Candidate for a scalar, of any type.
        space: Space of the elements.
    """
    if isinstance(value, Tensor):
        return value.ndim == 0 and (space.is_complex or not value.is_complex())
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and (space.is_complex or np.isrealobj(value))
    return isinstance(value, Complex if space.is_complex else Real)


def plain_scalar(value: complex, space: Space) -> float | complex:
    """A scalar as a float, or as a complex number where its imaginary part is not zero.

    Args:
        value: Scalar.
        space: Space of the elements that it multiplies.

    Raises:
        DtypeError: A complex number for a real space.
    """
    number = complex(value)
    if number.imag == 0.0:
        return number.real
    if not space.is_complex:
        raise DtypeError(
            describe(
                expected="a real number, as the codomain is real",
                found=str(number),
                fix="take its real part, or an operator into a complex space",
            )
        )
    return number


def reject_tensors(value: object, sign: str) -> None:
    """Refusal of a product ``operator * image``, with the way to apply an operator.

    Args:
        value: Factor, of any type.
        sign: Sign that was used, for the message.

    Raises:
        DtypeError: ``value`` is a tensor or an array.
    """
    if isinstance(value, Tensor | np.ndarray):
        raise DtypeError(
            describe(
                expected=f"T {sign} {'an operator' if sign == '@' else 'a real number'}",
                found=f"a {type(value).__name__} of shape {tuple(value.shape)}",
                fix="use T(u) to apply the operator to a tensor",
            )
        )


def require_same(left: Space, right: Space, what: str) -> None:
    """Check that two spaces have the same shape and are both real or both complex.

    Args:
        left: Space of the left operand.
        right: Space of the right operand.
        what: Noun for both in the message, such as "domains".

    Raises:
        ShapeError: The spaces differ; the message shows both.
    """
    if left.shape != right.shape or left.is_complex != right.is_complex:
        raise ShapeError(
            describe(
                expected=f"equal {what}",
                found=f"{left} and {right}",
                fix="compose or add operators whose spaces agree",
            )
        )


def split_tensors(
    tensors: dict[str, Tensor], left: TakesTensors, right: TakesTensors
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Per-sample tensors of a composed operator, split into those of its two parts.

    Args:
        tensors: Tensors by name.
        left: Left part.
        right: Right part.

    Raises:
        GeometryError: A name that neither part has, or that both have.
    """
    shares = tuple(
        {name: tensor for name, tensor in tensors.items() if name in part.tensor_names}
        for part in (left, right)
    )
    kinds = f"{type(left).__name__} and {type(right).__name__}"
    for name in tensors:
        if name in shares[0] and name in shares[1]:
            raise GeometryError(
                describe(
                    expected=f"a tensor '{name}' that belongs to one of {kinds}",
                    found="both have one of that name",
                    fix="put the tensors into the parts, by their own with_tensors, and combine"
                    " these",
                )
            )
        if name not in shares[0] and name not in shares[1]:
            known = sorted(left.tensor_names | right.tensor_names)
            raise GeometryError(
                describe(
                    expected=f"tensors of {kinds}: {', '.join(known) or 'they have none'}",
                    found=f"'{name}'",
                    fix="remove it from the samples, or use an operator that has it",
                )
            )
    return shares[0], shares[1]
