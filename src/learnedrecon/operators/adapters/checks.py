"""What is asked of other libraries and of their objects before they are used."""

from __future__ import annotations

import math
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from learnedrecon.errors import (
    DtypeError,
    MissingExtraError,
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
    """Where the operator's tensors are; the CPU for one that has none."""
    return next((tensor.device for tensor in operator.buffers()), torch.device("cpu"))


def load(module: str, extra: str) -> Theirs:
    """A module of an optional library.

    Args:
        module: its full name.
        extra: of this package that brings it.

    Raises:
        MissingExtraError: it cannot be imported.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            describe(
                expected=f"{module.partition('.')[0]} to be installed",
                found=str(error),
                fix=f"run: pip install 'learnedrecon[{extra}]'",
            )
        ) from error


def require_instance(value: object, kinds: type | tuple[type, ...], what: str, fix: str) -> None:
    """Refuses what an adapter is not made for.

    Raises:
        DtypeError: ``value`` is not of the given kinds.
    """
    if not isinstance(value, kinds):
        kind = type(value)
        raise DtypeError(
            describe(expected=what, found=f"{kind.__module__}.{kind.__qualname__}", fix=fix)
        )


def require_linear(operator: object, where: str) -> LinearOperator:
    """The operator of ours that is handed to another library.

    Raises:
        DtypeError: it is not one of ours, or not linear.
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
    """Refuses a shape that does not hold ``size`` numbers.

    Raises:
        ShapeError: the product of ``shape`` is another.
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
    """Applies T and T* once to seeded noise, so that a wrong pair is found before it is used.

    With v = Tu and as much noise, so that the test sees scales as well as entries; the conformance
    kit looks closer.

    Args:
        operator: whose arithmetic is another library's.
        name: of it, for messages.
        fix: what to do about a wrong adjoint.

    Raises:
        DtypeError: there is no adjoint.
        ShapeError: values come with other shapes than declared.
        PropertyError: T* is not adjoint to T, by more than 1e-4.
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
    """‖x‖ over every axis, summed in float64."""
    return math.sqrt(float(inner(x.flatten(), x.flatten(), 1)))


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error!s:.200}".removesuffix(": ")
