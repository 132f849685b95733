"""Saturation of detectors: pointwise nonlinearities with a largest value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, Self, TypeAlias, get_args

from learnedrecon.errors import ConfigError, DtypeError, describe
from learnedrecon.operators.base import Operator
from learnedrecon.operators.pointwise import Diagonal, rows_of_space

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.linear import LinearOperator
    from learnedrecon.operators.space import Space

Response: TypeAlias = Literal["tanh", "dead time", "clip"]


class Saturation(Operator):
    """The response of a detector that saturates at s, pointwise and odd: x ↦ σ(x), |σ(x)| ≤ s.

    "tanh"       σ(x) = s tanh(x/s),      σ'(x) = 1 - (σ(x)/s)²
    "dead time"  σ(x) = x/(1 + |x|/s),    σ'(x) = (1 + |x|/s)⁻²
    "clip"       σ(x) = min(max(x, -s), s), σ'(x) = 1 where |x| ≤ s, else 0

    The second is the rate of a counter with a dead time τ = 1/s after each photon, which further
    photons do not prolong (Knoll, Radiation Detection and Measurement, section 4.VII,
    nonparalysable); its second derivative jumps at 0. The third has a derivative almost everywhere.
    In a composition such as ``Saturation(T.codomain, 0.8) @ T`` the rows are those of T.

    Args:
        space: Domain and codomain, real.
        level: Largest value s > 0, in the unit of the data.
        response: Function σ, by its name above.

    Raises:
        DtypeError: A complex space.
        ConfigError: s is not positive and finite, or an unknown response.
    """

    pointwise = True

    def __init__(self, space: Space, level: float, response: Response = "tanh") -> None:
        super().__init__(space, space)
        if space.is_complex:
            raise DtypeError(
                describe(
                    expected="a real space of data",
                    found=str(space),
                    fix="saturate magnitudes, for example Saturation(T.codomain, s) @ Magnitude(A)",
                )
            )
        self.level = float(level)
        if not (self.level > 0 and math.isfinite(self.level)):
            raise ConfigError(
                describe(
                    expected="a level > 0 at which the detector saturates",
                    found=str(level),
                    fix="give the largest value that the detector shows",
                )
            )
        if response not in get_args(Response):
            raise ConfigError(
                describe(
                    expected=f"a response: one of {', '.join(get_args(Response))}",
                    found=f"{response!r:.80}",
                    fix="choose one of these",
                )
            )
        self.response: Response = response

    def at_rows(self, rows: tuple[int, ...], axis: int) -> Self:
        return type(self)(rows_of_space(self.domain, rows, axis), self.level, self.response)

    def evaluate(self, u: Tensor) -> Tensor:
        match self.response:
            case "tanh":
                return self.level * (u / self.level).tanh()
            case "dead time":
                return u / (1 + u.abs() / self.level)
            case "clip":
                return u.clamp(-self.level, self.level)

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        value = self(u)
        return value, Diagonal(self.domain, self._slope(u, value))

    def _slope(self, u: Tensor, value: Tensor) -> Tensor:
        match self.response:
            case "tanh":
                return 1 - (value / self.level).square()
            case "dead time":
                return (1 + u.abs() / self.level) ** -2
            case "clip":
                return (u.abs() <= self.level).to(value)
