"""Contraction bounds of steps, from which certificates are made."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from learnedrecon.errors import ConfigError, describe
from learnedrecon.schemes.state import Image
from learnedrecon.schemes.step import Step

if TYPE_CHECKING:
    from torch import Tensor

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]
ROUNDING = 2.0**-21
"""A margin for step sizes that are rounded to float32."""


class Contraction(NamedTuple):
    """Contraction bound of a step for a linear operator with L ≥ ‖T‖² and T*T ≥ μ.

    The bound holds for the data term ½‖Tu - y‖² in exact arithmetic, with the present weights.

    Attributes:
        epsilon: Bound of the Lipschitz constant of R - Id.
        eta: Step size.
        factor: Bound γ of the Lipschitz constant of the step as a map of ``variable``; infinite
            where none is known.
        sensitivity: Constant of ‖u(y) - u(y')‖ ≤ sensitivity/(1 - γ)·‖y - y'‖ for the images of
            fixed points.
        reason: Reason why there is no contraction; empty where there is one.
        weight: λ, where R has one.
        variable: Name of the variable in which the step contracts.
        averaged: Bound of θ for a step that is θ-averaged in the same variable, so that its
            iterates converge to a fixed point if there is one; None where none is known.
        existence: Reason why there is a fixed point, for an averaged step; empty where it is
            unknown.
    """

    epsilon: float
    eta: float
    factor: float
    sensitivity: float
    reason: str = ""
    weight: float | None = None
    variable: str = "u"
    averaged: float | None = None
    existence: str = ""


class AnalysedStep(Step[S]):
    """A step with a contraction bound, or with the reason why there is none."""

    @abstractmethod
    def contraction(self, largest: float, smallest: float) -> Contraction:
        """The bound of the contraction factor.

        Args:
            largest: L ≥ ‖T‖², an upper bound.
            smallest: μ ≥ 0 with T*T ≥ μ, a lower bound.
        """


class CertifiedStep(AnalysedStep[S]):
    """A step that is a contraction of some variable, for some operators."""

    @abstractmethod
    def lift(self, variable: Tensor) -> S:
        """The state of a value of the variable."""

    @abstractmethod
    def read(self, state: S) -> Tensor:
        """The variable after a step."""


class ImageStep(CertifiedStep[Image]):
    """A certified step whose variable is the image itself."""

    def lift(self, variable: Tensor) -> Image:
        return Image(variable)

    def read(self, state: Image) -> Tensor:
        return state.image


def averaged_composition(first: float, second: float) -> float:
    """θ of the composition of two averaged maps (Combettes, Yamada, J. Math. Anal. Appl. 2015).

    Args:
        first: θ of one map, in (0, 1).
        second: θ of the other, in (0, 1).
    """
    product = first * second
    return (first + second - 2 * product) / (1 - product)


def unbounded(epsilon: float) -> str:
    """The reason why there is no certificate without a bound of R; empty if there is a bound.

    Args:
        epsilon: Bound of the Lipschitz constant of R - Id.
    """
    return "" if math.isfinite(epsilon) else "R has a layer whose norm has no known bound"


def require_positive_number(name: str, value: float) -> None:
    """Check for a positive and finite number.

    Args:
        name: Name of the number, for the message.
        value: Number to check.

    Raises:
        ConfigError: The number is not positive and finite.
    """
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(
            describe(expected=f"{name} > 0", found=str(value), fix="give a positive number")
        )
