"""The interfaces of data terms and regularisers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NoReturn, Self, TypeAlias

from torch import Tensor, nn

from learnedrecon.compiling import real_of
from learnedrecon.errors import ConfigError, describe, shown

if TYPE_CHECKING:
    from collections.abc import Callable

StepSize: TypeAlias = float | Tensor
"""A positive number, or one per sample, (batch,)."""


class Fidelity(nn.Module, ABC):
    """Data terms D(v; y), the distance of a prediction v from data y.

    D takes two arguments, as not every data term depends on v - y. The functional of v alone, for
    given data, is :class:`learnedrecon.functionals.combined.Misfit`.
    """

    @abstractmethod
    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        """The value of every sample, (batch,), for ``v`` and ``y`` of shape (batch, ...)."""

    @abstractmethod
    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        """∂D/∂v, of the shape of ``v``."""

    def prox(self, v: Tensor, y: Tensor, step: StepSize) -> Tensor:  # noqa: ARG002 - what other classes look at
        """argmin_w t·D(w; y) + ½‖w - v‖².

        Args:
            v: Point, (batch, ...).
            y: Data, of the shape of ``v``.
            step: t > 0, one number or one per sample, (batch,).

        Raises:
            ConfigError: The data term has no proximal map in closed form.
        """
        refuse_prox(self)

    def prox_conjugate(self, p: Tensor, y: Tensor, step: StepSize) -> Tensor:
        """argmin_q t·D*(q; y) + ½‖q - p‖² = p - t·prox_{D/t}(p/t) (Moreau 1965)."""
        t = spread(step, p)
        return p - t * self.prox(p / t, y, 1 / step)

    def lipschitz(self) -> float | None:
        """A Lipschitz constant of the gradient in v, or None where there is none for all y."""
        return None

    def contains(self, v: Tensor, y: Tensor) -> Tensor:
        """True where D is finite and has a gradient at v, (batch,), bool."""
        return self(v, y).isfinite()

    def check_data(self, y: Tensor) -> None:
        """Check that the data term is defined for these data, done once per problem.

        Raises:
            DataError: Values are out of range.
            DtypeError: Data are of another kind of number.
        """

    def restrict(self, rows: Tensor, axis: int) -> Self:  # noqa: ARG002 - what other classes look at
        """The data term of the rows ``rows`` along ``axis``; itself if nothing has rows."""
        return self


class Regulariser(nn.Module, ABC):
    """Regularisers R(u), and all other functionals of one argument that solvers take."""

    @abstractmethod
    def forward(self, u: Tensor) -> Tensor:
        """The value of every sample, (batch,), for ``u`` of shape (batch, channel, *space)."""

    @abstractmethod
    def gradient(self, u: Tensor) -> Tensor:
        """∇R(u), of the shape of ``u``."""

    def prox(self, u: Tensor, step: StepSize) -> Tensor:  # noqa: ARG002 - what other classes look at
        """argmin_w t·R(w) + ½‖w - u‖².

        Args:
            u: Images, (batch, channel, *space).
            step: t > 0, one number or one per sample, (batch,).

        Raises:
            ConfigError: The functional has no proximal map in closed form.
        """
        refuse_prox(self)

    def prox_conjugate(self, p: Tensor, step: StepSize) -> Tensor:
        """argmin_q t·R*(q) + ½‖q - p‖² = p - t·prox_{R/t}(p/t) (Moreau 1965)."""
        t = spread(step, p)
        return p - t * self.prox(p / t, 1 / step)

    def contains(self, u: Tensor) -> Tensor:
        """True where R is finite and, if differentiable, has a gradient at u, (batch,), bool."""
        return self(u).isfinite()

    def lipschitz(self) -> float | None:
        """A Lipschitz constant of the gradient, or None where there is none."""
        return None


def per_sample(entries: Tensor) -> Tensor:
    """The sum over all axes but the batch axis, (batch, ...) to (batch,).

    Args:
        entries: Numbers, (batch, ...).
    """
    return entries.flatten(1).sum(1)


def spread(step: StepSize, like: Tensor) -> Tensor | float:
    """A number unchanged, or numbers (batch,) as (batch, 1, ...) in the precision of ``like``.

    Args:
        step: One number or one per sample, (batch,).
        like: Tensor that the numbers multiply, (batch, ...).
    """
    if not isinstance(step, Tensor):
        return step
    step = step.to(like.device, real_of(like.dtype))
    return step.reshape(-1, *[1] * (like.ndim - 1)) if step.ndim else step


def refuse_prox(functional: nn.Module) -> NoReturn:
    """The error of a functional without a proximal map in closed form.

    Args:
        functional: Functional that was asked for it.

    Raises:
        ConfigError: Always.
    """
    raise ConfigError(
        describe(
            expected="a functional with a proximal map in closed form",
            found=type(functional).__name__,
            fix="split it into such a functional and a linear operator for pdhg, or use its "
            "gradient",
        )
    )


def require_type(value: object, name: str, *kinds: type) -> None:
    """Check of the type of an argument of a functional.

    Args:
        value: Argument to check.
        name: Name of the argument, for the message.
        kinds: Possible types.

    Raises:
        ConfigError: The value has another type.
    """
    if not isinstance(value, kinds):
        raise ConfigError(
            describe(
                expected=f"{name} of type {' or '.join(kind.__name__ for kind in kinds)}",
                found=f"{shown(value)} of type {type(value).__name__}",
                fix="compare the order of the arguments with the documentation; a weight α belongs "
                "into FunctionalMultiple(functional, α)",
            )
        )


def positive(value: float, name: str) -> float:
    """A positive parameter as a float.

    Args:
        value: Parameter.
        name: Name of the parameter, for the message.

    Raises:
        ConfigError: The value is not a positive number.
    """
    return _number(value, name, "> 0", lambda number: number > 0)


def not_negative(value: float, name: str) -> float:
    """A non-negative parameter as a float.

    Args:
        value: Parameter.
        name: Name of the parameter, for the message.

    Raises:
        ConfigError: The value is not a number ≥ 0.
    """
    return _number(value, name, "≥ 0", lambda number: number >= 0)


def _number(value: float, name: str, bound: str, admitted: Callable[[float], bool]) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (admitted(number) and math.isfinite(number)):
        raise ConfigError(
            describe(
                expected=f"{name} {bound}",
                found=f"{name} = {value!r:.80}",
                fix=f"choose a number {bound}",
            )
        )
    return number


def space_axes(axes: int) -> int:
    """The number of space axes as an int.

    Args:
        axes: Number of space axes.

    Raises:
        ConfigError: The value is not a whole number ≥ 1, for example a weight in its place.
    """
    if isinstance(axes, int) and not isinstance(axes, bool) and axes >= 1:
        return axes
    raise ConfigError(
        describe(
            expected="a whole number of space axes, such as 2 for images and 3 for volumes",
            found=f"axes = {axes!r:.80}",
            fix="give a weight α by FunctionalMultiple(functional, α)",
        )
    )
