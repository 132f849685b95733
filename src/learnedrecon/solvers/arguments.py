"""Checks of the arguments of iterative solvers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from learnedrecon.compiling import real_of
from learnedrecon.errors import (
    ConfigError,
    DataError,
    DtypeError,
    GeometryError,
    ShapeError,
    describe,
    shown,
)
from learnedrecon.operators.base import Operator
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.ray.beam2d import Beam2D
from learnedrecon.operators.ray.beam3d import Beam3D
from learnedrecon.operators.space import Space, inner, require_tensor

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, eq=False)
class Systems:
    """Right-hand sides of linear systems, one per entry of the leading axes.

    Attributes:
        b: Right sides, (*lead, *space).
        axes: Number of axes of ``space``.
    """

    b: Tensor
    axes: int

    @property
    def lead(self) -> tuple[int, ...]:
        return tuple(self.b.shape[: self.b.ndim - self.axes])

    def norm(self, x: Tensor) -> Tensor:
        """‖x‖ of every system, (*lead), float64."""
        return inner(x, x, self.axes).sqrt()

    def over(self, numbers: Tensor) -> Tensor:
        """Numbers (*lead) as (*lead, 1, ..., 1)."""
        return numbers.reshape(*numbers.shape, *[1] * self.axes)

    @staticmethod
    def ratio(a: Tensor, b: Tensor) -> Tensor:
        """The quotient a/b with 0/0 = 0."""
        return torch.where(a == 0, 0, a / b)


def checked_systems(
    matrix: Callable[[Tensor], Tensor], b: Tensor, axes: int | None = None
) -> Systems:
    """The systems A x = b of an operator or a function A, after checks of shape and values.

    Args:
        matrix: A.
        b: Right sides, (*lead, *space).
        axes: Number of axes of ``space``; that of the operator, or all but the first, if None.

    Raises:
        ShapeError: ``b`` has too few axes, or does not fit the operator.
    """
    if isinstance(matrix, LinearOperator):
        b = matrix.codomain.check(b, "right-hand sides")
        axes = matrix.codomain.ndim if axes is None else axes
        require_same_spaces(matrix.domain, matrix.codomain)
    require_floats(b, "right-hand sides")
    axes = b.ndim - 1 if axes is None else axes
    if not 1 <= axes <= b.ndim:
        raise ShapeError(
            describe(
                expected=f"right-hand sides of at least {max(axes, 1)} axes",
                found=f"shape {tuple(b.shape)}",
                fix="give the number of axes of one system as 'axes', at least 1",
            )
        )
    require_finite(b, "right-hand sides")
    return Systems(b, axes)


def checked_start(systems: Systems, initial: Tensor | None) -> Tensor:
    """A new tensor with the initial values, zero unless given.

    Args:
        systems: Systems to solve.
        initial: Initial values of the shape of the right sides, or None.

    Raises:
        ShapeError: The initial values have another shape.
    """
    b = systems.b
    if initial is None:
        return torch.zeros_like(b, requires_grad=False)
    require_tensor(initial, "the start")
    if initial.shape != b.shape:
        raise ShapeError(
            describe(
                expected=f"a start of shape {tuple(b.shape)}",
                found=str(tuple(initial.shape)),
                fix="give one start for each right-hand side",
            )
        )
    require_finite(initial, "the start")
    return initial.detach().to(b, copy=True)


def checked_samples(start: Tensor) -> Tensor:
    """A copy of the initial images, which need a batch axis.

    Args:
        start: Initial images, (batch, ...).

    Raises:
        ShapeError: There is no batch axis.
    """
    require_floats(start, "the start")
    if start.ndim < 2:
        raise ShapeError(
            describe(
                expected="a start with a batch axis",
                found=f"shape {tuple(start.shape)}",
                fix="add leading axes, for example start[None, None]",
            )
        )
    require_finite(start, "the start")
    return start.detach().clone()


def checked_limits(tolerance: float, max_iterations: int) -> None:
    """Check of the tolerance and the number of iterations.

    Args:
        tolerance: Tolerance in (0, 1).
        max_iterations: Number of iterations, at least 1.

    Raises:
        ConfigError: A value is out of range.
    """
    if not (0 < tolerance < 1 and math.isfinite(tolerance)):
        raise ConfigError(
            describe(
                expected="a relative tolerance in (0, 1)",
                found=str(tolerance),
                fix="write for example tolerance=1e-5",
            )
        )
    if max_iterations < 1:
        raise ConfigError(
            describe(
                expected="at least one iteration",
                found=f"max_iterations = {max_iterations}",
                fix="allow more iterations",
            )
        )


def checked_weight(weight: Tensor | float, like: Tensor, axes: int) -> Tensor:
    """λ ≥ 0 in a shape that broadcasts with ``like``.

    Args:
        weight: λ, one number or one per sample, (batch,).
        like: Tensor that λ multiplies, (batch, ..., *space).
        axes: Number of axes of ``space``.

    Raises:
        ShapeError: λ is neither one number nor one per sample.
        ConfigError: λ is negative or not finite.
    """
    real = torch.promote_types(real_of(like.dtype), torch.float32)
    batch = like.shape[: min(1, like.ndim - axes)]
    shape = tuple(weight.shape) if isinstance(weight, Tensor) else ()
    if shape not in {(), tuple(batch)} or (isinstance(weight, Tensor) and weight.is_complex()):
        raise ShapeError(
            describe(
                expected=f"one real weight, or one per sample, {tuple(batch)}",
                found=f"a tensor of shape {shape}",
                fix="give a number or a real tensor with the batch axis only",
            )
        )
    given = torch.as_tensor(weight, dtype=real, device=like.device)
    require_weights(given, weight, allow_zero=True)
    return given.reshape(*shape, *[1] * (like.ndim - 1)) if shape else given


def require_weights(converted: Tensor, weight: Tensor | float, *, allow_zero: bool) -> None:
    """Check that weights are not negative and within the precision of the data.

    Args:
        converted: Weights in the precision of the data, in which 1e39 is infinite and 1e-50 zero.
        weight: Weights as given, for the message.
        allow_zero: True if a weight may be zero; weights that become zero in the precision never
            may.

    Raises:
        ConfigError: A weight is out of range.
    """
    given = torch.as_tensor(weight, dtype=torch.float64)
    lowest = given >= 0 if allow_zero else given > 0
    vanished = (converted == 0).cpu() & (given.cpu() != 0)
    if not bool(lowest.all() and converted.isfinite().all() and not vanished.any()):
        kind = torch.finfo(converted.dtype)
        sign = "weights of at least 0" if allow_zero else "weights above 0"
        raise ConfigError(
            describe(
                expected=f"{sign}, from {kind.tiny:.2g} to {kind.max:.2g} in the precision of the"
                " data",
                found=shown(weight.tolist() if isinstance(weight, Tensor) else weight),
                fix="choose another weight, or another unit of the data",
            )
        )


Kind = TypeVar("Kind", bound=Operator)


def require_operator(operator: object, data: object, name: str, kind: type[Kind]) -> Kind:
    """Check that the first argument is an operator of a given kind and the second a tensor of data.

    Args:
        operator: Argument in the place of T.
        data: Argument in the place of y.
        name: Name of the called function.
        kind: Required class of the operator.

    Raises:
        GeometryError: The operator is of another kind or a geometry, or the two are interchanged.
        DtypeError: The data are not a tensor.
    """
    if isinstance(operator, kind):
        require_tensor(data, "data")
        return operator
    fix = f"write {name}(T, y) with T of the kind {kind.__name__}"
    found = f"{operator!r:.80} of type {type(operator).__name__}"
    if isinstance(data, Operator):
        found = f"{type(operator).__name__} first and {type(data).__name__} second"
        fix = f"swap the two: {name}(operator, data)"
    elif isinstance(operator, Beam2D | Beam3D) or isinstance(data, Beam2D | Beam3D):
        beam = operator if isinstance(operator, Beam2D | Beam3D) else data
        transform = "RayTransform" if isinstance(beam, Beam2D) else "RayTransform3D"
        found = f"the geometry {type(beam).__name__}"
        fix = f"write {name}({transform}(geometry), data)"
    elif isinstance(operator, Operator):
        found = f"the operator {type(operator).__name__}"
        fix = "linearise it: T(u), T'(u) = T.linearise(u)"
        if kind is not LinearOperator:
            fix = "call pseudo_inverse(T, y), which takes every kind that has one, or solve_normal"
    raise GeometryError(
        describe(
            expected=f"an operator of the kind {kind.__name__}, then data, in {name}(T, y)",
            found=found,
            fix=fix,
        )
    )


@torch.no_grad()
def require_linear(matrix: Callable[[Tensor], Tensor], like: Tensor) -> None:
    """Check that a map takes 0 to 0, unlike u ↦ Au + b.

    Args:
        matrix: Map to check.
        like: Tensor of the shape of its argument.

    Raises:
        ConfigError: The map does not take 0 to 0.
    """
    image = matrix(torch.zeros_like(like))
    if not bool(((image != 0) & image.isfinite()).any()):
        return
    raise ConfigError(
        describe(
            expected="a linear map A, with A(0) = 0",
            found=f"A(0) with entries up to {float(image.abs().max()):g}",
            fix="subtract A(0) from the map and from the right-hand side",
        )
    )


def require_floats(tensor: Tensor, what: str) -> None:
    """Check for a tensor of floats in single or double precision.

    Args:
        tensor: Tensor to check.
        what: Noun for the tensor in the message.

    Raises:
        DtypeError: The value is not such a tensor.
    """
    require_tensor(tensor, what)
    allowed = (torch.float32, torch.float64, torch.complex64, torch.complex128)
    if tensor.dtype not in allowed:
        raise DtypeError(
            describe(
                expected=f"{what} of float32, float64, complex64 or complex128",
                found=str(tensor.dtype),
                fix="convert them, for example with .float()",
            )
        )


def require_finite(tensor: Tensor, what: str) -> None:
    """Check for a tensor without NaN and infinity.

    Args:
        tensor: Tensor to check.
        what: Noun for the tensor in the message.

    Raises:
        DataError: A value is not finite.
    """
    if not bool(tensor.isfinite().all()):
        raise DataError(
            describe(
                expected=f"{what} without NaN or infinity",
                found=f"{int((~tensor.isfinite()).sum())} entries that are not finite",
                fix="mask or repair the measurement first",
            )
        )


def require_same_spaces(domain: Space, codomain: Space) -> None:
    """Check that a map has equal domain and codomain.

    Args:
        domain: Domain.
        codomain: Codomain.

    Raises:
        ShapeError: The spaces differ.
    """
    if domain.shape != codomain.shape or domain.is_complex != codomain.is_complex:
        raise ShapeError(
            describe(
                expected="a map from a space into itself",
                found=f"one from {domain} to {codomain}",
                fix="solve the normal equations, for example with solve_normal",
            )
        )
