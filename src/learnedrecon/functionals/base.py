"""The interfaces of data terms and regularisers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NoReturn, Self, TypeAlias

from torch import Tensor, nn

from learnedrecon.compiling import real_of
from learnedrecon.errors import ConfigError, describe

if TYPE_CHECKING:
    from collections.abc import Callable

StepSize: TypeAlias = float | Tensor
"""A positive number, or one per sample, (batch,)."""


class Fidelity(nn.Module, ABC):
    """D(v; y), how far a prediction v is from data y; two arguments, as not all depend on v - y.

    As a functional of v alone, with the data put in, it is
    :class:`learnedrecon.functionals.combined.Misfit`.
    """

    @abstractmethod
    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        """The value of every sample, (batch,), for ``v`` and ``y`` of shape (batch, ...)."""

    @abstractmethod
    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        """∂D/∂v, of the shape of ``v``."""

    def prox(self, v: Tensor, y: Tensor, step: StepSize) -> Tensor:  # noqa: ARG002
        """argmin_w t·D(w; y) + ½‖w - v‖².

        Args:
            v: (batch, ...).
            y: of the shape of ``v``.
            step: t > 0, one number or one per sample, (batch,).

        Raises:
            ConfigError: this data term has none in closed form.
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
        """Whether D is finite and has a gradient at v, (batch,), bool."""
        return self(v, y).isfinite()

    def check_data(self, y: Tensor) -> None:
        """Refuses data for which there is no such data term, once, where data and term meet.

        Raises:
            DataError: values out of range.
            DtypeError: another kind of number.
        """

    def restrict(self, rows: Tensor, axis: int) -> Self:  # noqa: ARG002
        """The data term of the rows ``rows`` along ``axis`` of the data; itself if it has none."""
        return self


class Regulariser(nn.Module, ABC):
    """R(u), what is known of images before anything is measured.

    Also every other functional of one argument: solvers take these.
    """

    @abstractmethod
    def forward(self, u: Tensor) -> Tensor:
        """The value of every sample, (batch,), for ``u`` of shape (batch, channel, *space)."""

    @abstractmethod
    def gradient(self, u: Tensor) -> Tensor:
        """∇R(u), of the shape of ``u``."""

    def prox(self, u: Tensor, step: StepSize) -> Tensor:  # noqa: ARG002
        """argmin_w t·R(w) + ½‖w - u‖².

        Args:
            u: (batch, channel, *space).
            step: t > 0, one number or one per sample, (batch,).

        Raises:
            ConfigError: this functional has none in closed form.
        """
        refuse_prox(self)

    def prox_conjugate(self, p: Tensor, step: StepSize) -> Tensor:
        """argmin_q t·R*(q) + ½‖q - p‖² = p - t·prox_{R/t}(p/t) (Moreau 1965)."""
        t = spread(step, p)
        return p - t * self.prox(p / t, 1 / step)

    def contains(self, u: Tensor) -> Tensor:
        """Whether R is finite and, where it has one, has a gradient at u, (batch,), bool."""
        return self(u).isfinite()

    def lipschitz(self) -> float | None:
        """A Lipschitz constant of the gradient, or None where there is none."""
        return None


def per_sample(entries: Tensor) -> Tensor:
    """The sum over everything but the batch axis, (batch, ...) to (batch,)."""
    return entries.flatten(1).sum(1)


def spread(step: StepSize, like: Tensor) -> Tensor | float:
    """A number as it is, or (batch,) to (batch, 1, ...) in the precision of ``like``."""
    if not isinstance(step, Tensor):
        return step
    step = step.to(like.device, real_of(like.dtype))
    return step.reshape(-1, *[1] * (like.ndim - 1)) if step.ndim else step


def refuse_prox(functional: nn.Module) -> NoReturn:
    """Says that there is no proximal map.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(
        describe(
            expected="a functional with a proximal map in closed form",
            found=type(functional).__name__,
            fix="split it into such a functional and a linear operator for pdhg, or use its "
            "gradient",
        )
    )


def positive(value: float, name: str) -> float:
    """A parameter > 0 as a float.

    Raises:
        ConfigError: it is not.
    """
    return _number(value, name, "> 0", lambda number: number > 0)


def not_negative(value: float, name: str) -> float:
    """A parameter ≥ 0 as a float.

    Raises:
        ConfigError: it is not.
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
    """The number of space axes, 1, 2 or more.

    Raises:
        ConfigError: it is not a whole number ≥ 1, such as a weight in its place.
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
