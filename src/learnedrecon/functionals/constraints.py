"""Indicator functionals of convex sets: 0 inside, infinite outside."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, NoReturn

import torch

from learnedrecon.errors import ConfigError, DtypeError, describe
from learnedrecon.functionals.base import Regulariser, require_type

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.functionals.base import StepSize


class Box(Regulariser):
    """R(u) = 0 where lower ≤ u ≤ upper in every pixel of a real u, otherwise infinite.

    Its proximal map is the projection, for every step size. It has no gradient: asking for one
    raises, because a gradient of zero would ignore the constraint.

    Args:
        lower: Smallest value allowed, or -inf.
        upper: Largest value allowed, or inf.

    Raises:
        ConfigError: A bound is not a number, or lower > upper.
    """

    def __init__(self, lower: float = 0.0, upper: float = math.inf) -> None:
        super().__init__()
        for name, bound in (("lower", lower), ("upper", upper)):
            require_type(bound, name, Real)
        self.lower, self.upper = float(lower), float(upper)
        if not self.lower <= self.upper:
            raise ConfigError(
                describe(
                    expected="lower ≤ upper",
                    found=f"lower = {lower}, upper = {upper}",
                    fix="swap them",
                )
            )

    def forward(self, u: Tensor) -> Tensor:
        self._require_real(u)
        inside = ((u >= self.lower) & (u <= self.upper)).flatten(1).all(1)
        return torch.where(inside, 0.0, math.inf).to(u.dtype)

    def gradient(self, u: Tensor) -> NoReturn:  # noqa: ARG002 - what other classes look at
        raise ConfigError(
            describe(
                expected="a functional with a gradient",
                found=f"{type(self).__name__}, which is 0 or infinite",
                fix="use its proximal map, the projection",
            )
        )

    def prox(self, u: Tensor, step: StepSize) -> Tensor:  # noqa: ARG002 - what other classes look at
        self._require_real(u)
        return u.clamp(self.lower, self.upper)

    def _require_real(self, u: Tensor) -> None:
        if u.is_complex():
            raise DtypeError(
                describe(
                    expected="a real image for a constraint on its values",
                    found=str(u.dtype),
                    fix="omit the constraint, as complex numbers have no order",
                )
            )


class NonNegative(Box):
    """R(u) = 0 where u ≥ 0 in every pixel, otherwise infinite; see :class:`Box`."""

    def __init__(self) -> None:
        super().__init__(0.0, math.inf)
