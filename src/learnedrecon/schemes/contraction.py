"""What a step says of its contraction, from which certificates are made."""

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
    """What a step says of itself for a linear operator with L ≥ ‖T‖² and T*T ≥ μ.

    For the data term ½‖Tu - y‖² and in exact arithmetic, with the weights as they are.

    Attributes:
        epsilon: the bound of the Lipschitz constant of R - Id.
        eta: the step size.
        factor: γ, a bound of the Lipschitz constant of the step, as a map of ``variable``; infinite
            where none is known.
        sensitivity: ‖u(y) - u(y')‖ ≤ sensitivity/(1 - γ)·‖y - y'‖ for the images of fixed points.
        reason: why there is no contraction; empty where there is one.
        weight: λ, where R has one.
        variable: in which the step contracts.
    """

    epsilon: float
    eta: float
    factor: float
    sensitivity: float
    reason: str = ""
    weight: float | None = None
    variable: str = "u"


class AnalysedStep(Step[S]):
    """A step that can say whether it is a contraction, or why that is not known."""

    @abstractmethod
    def contraction(self, largest: float, smallest: float) -> Contraction:
        """The bound of its contraction factor.

        Args:
            largest: L ≥ ‖T‖², a bound from above.
            smallest: μ ≥ 0 with T*T ≥ μ, a bound from below.
        """


class CertifiedStep(AnalysedStep[S]):
    """A step that is a contraction of some variable, for some operators."""

    @abstractmethod
    def lift(self, variable: Tensor) -> S:
        """The state that the variable stands for."""

    @abstractmethod
    def read(self, state: S) -> Tensor:
        """The variable after a step."""


class ImageStep(CertifiedStep[Image]):
    """A certified step whose variable is the image itself."""

    def lift(self, variable: Tensor) -> Image:
        return Image(variable)

    def read(self, state: Image) -> Tensor:
        return state.image


def unbounded(epsilon: float) -> str:
    """Why there is no certificate if no bound of R is known; empty if one is."""
    return "" if math.isfinite(epsilon) else "R has a layer whose norm has no known bound"


def require_positive_number(name: str, value: float) -> None:
    """Refuses a number that is not positive and finite.

    Raises:
        ConfigError: it is not.
    """
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(
            describe(expected=f"{name} > 0", found=str(value), fix="give a positive number")
        )
