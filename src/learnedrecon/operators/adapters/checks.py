"""Checks of other libraries and their objects before they are used."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from learnedrecon.errors import (
    DtypeError,
    PropertyError,
    ShapeError,
    describe,
)
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import inner

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.base import Operator

Theirs: TypeAlias = Any  # an object of another library, which has no types that we could import
_DEFECT = 1e-4
_CORRECT = "correct its adjoint with the library's own test; where images are real, say so by dtype"


def device_of(operator: Operator) -> torch.device:
    """The device of the operator's tensors; the CPU if it has none.

    Args:
        operator: Operator of this library.
    """
    return next((tensor.device for tensor in operator.buffers()), torch.device("cpu"))


def require_instance(value: object, kinds: type | tuple[type, ...], what: str, fix: str) -> None:
    """Check of the type of an object that an adapter was given.

    Args:
        value: Object to check.
        kinds: Accepted types.
        what: Noun for the object in the message.
        fix: Advice in the message.

    Raises:
        DtypeError: ``value`` is not of the given kinds.
    """
    if not isinstance(value, kinds):
        kind = type(value)
        raise DtypeError(
            describe(expected=what, found=f"{kind.__module__}.{kind.__qualname__}", fix=fix)
        )


def require_linear(operator: object, where: str) -> LinearOperator:
    """Check that an operator is a linear one of this library.

    Args:
        operator: Object to check.
        where: Name of the adapter function, for the message.

    Raises:
        DtypeError: The object is not an operator of this library, or not linear.
    """
    require_instance(
        operator,
        LinearOperator,
        f"a linear operator of learnedrecon for {where}",
        "hand over T, or T.linearise(u)[1] where T is nonlinear",
    )
    assert isinstance(operator, LinearOperator)
    return operator


def require_size(shape: tuple[int, ...], size: int, what: str) -> None:
    """Check that a shape has ``size`` entries.

    Args:
        shape: Shape to check.
        size: Required number of entries.
        what: Noun for the shape in the message.

    Raises:
        ShapeError: The shape has another number of entries.
    """
    if math.prod(shape) != size:
        raise ShapeError(
            describe(
                expected=f"a {what} of {size} entries",
                found=f"{shape}, which has {math.prod(shape)}",
                fix=f"give the shape that the {size} entries of one vector stand for",
            )
        )


@torch.no_grad()
def probe(operator: LinearOperator, name: str, fix: str = _CORRECT) -> None:
    """Adjoint test on one random pair, so that a wrong pair (T, T*) is found before it is used.

    T and T* are applied once to seeded noise, with v = Tu plus as much noise, so that the test
    detects wrong scales as well as wrong entries; the conformance kit tests more.

    Args:
        operator: Operator whose arithmetic belongs to another library.
        name: Name of the operator, for messages.
        fix: Advice for a wrong adjoint, for messages.

    Raises:
        DtypeError: There is no adjoint.
        ShapeError: Values have other shapes than declared.
        PropertyError: T* differs from the adjoint of T by more than 1e-4.
    """
    generator = torch.Generator().manual_seed(0)
    device = device_of(operator)
    u = operator.domain.random(generator).to(device)
    try:
        value = operator(u)
        noise = operator.codomain.random(generator).to(device)
        v = value + noise * (norm_of(value) / norm_of(noise))
        back = operator.adjoint(v)
    except (NotImplementedError, AttributeError, TypeError) as error:
        raise DtypeError(
            describe(
                expected=f"{name} with an adjoint",
                found=_named(error),
                fix="give it one: the product with the conjugate transposed matrix (rmatvec)",
            )
        ) from error
    except (ValueError, RuntimeError) as error:
        raise ShapeError(
            describe(
                expected=f"{name} between {operator.domain} and {operator.codomain}",
                found=_named(error),
                fix="check what it returns against the shape and dtype that it declares",
            )
        ) from error
    left, right = (float(inner(a.flatten(), b.flatten(), 1)) for a, b in ((value, v), (u, back)))
    defect = abs(left - right) / (norm_of(value) * norm_of(v) or norm_of(u) * norm_of(back) or 1.0)
    if not defect <= _DEFECT:
        raise PropertyError(
            describe(
                expected=f"{name} whose adjoint satisfies Re⟨Tu, v⟩ = Re⟨u, T*v⟩ to {_DEFECT:g}",
                found=f"a deviation of {defect:.3g} relative to ‖Tu‖‖v‖",
                fix=fix,
            )
        )


def norm_of(x: Tensor) -> float:
    """‖x‖ over every axis, summed in float64.

    Args:
        x: Tensor of any shape.
    """
    return math.sqrt(float(inner(x.flatten(), x.flatten(), 1)))


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error!s:.200}".removesuffix(": ")
