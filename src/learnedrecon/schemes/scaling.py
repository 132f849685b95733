"""Scaling of problems: T/‖T‖, y/(c‖T‖), and images in units of c."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.errors import ConfigError, describe
from learnedrecon.operators.leading import over
from learnedrecon.operators.linear import LinearMultiple, LinearOperator
from learnedrecon.operators.pointwise import ScaledArgument
from learnedrecon.problem import changed

if TYPE_CHECKING:
    from learnedrecon.problem import InverseProblem, Problem


class Scaling(ABC):
    """Base class of scalings, Problem → (Problem, c), where c multiplies the image of the scheme.

    A linear T becomes T/‖T‖ with data y/(c‖T‖); a nonlinear one becomes u ↦ T(c·u) with unchanged
    data. A fixed R acts on the image in units of c. ‖T‖ is that of the present operator.

    Attributes:
        image_scale: Size of a typical image, in its unit, or None.
    """

    image_scale: float | None = None
    """c where it is one number that is stored with the weights, else None."""

    @abstractmethod
    def __call__(self, problem: Problem) -> tuple[Problem, Tensor | float]:
        """The scaled problem and c, a number or (batch, 1, ...)."""


@dataclass(frozen=True)
class NoScaling(Scaling):
    """No scaling: T and y unchanged, c = 1."""

    def __call__(self, problem: Problem) -> tuple[Problem, float]:
        return problem, 1.0


@dataclass(frozen=True)
class ImageScale(Scaling):
    """Scaling by a fixed c that is stored with the weights: the size of a typical image.

    Attributes:
        c: Size of a typical image in its unit; for CT the attenuation of water, 0.02 per mm.

    Raises:
        ConfigError: c is not positive and finite.
    """

    c: float = 1.0

    def __post_init__(self) -> None:
        if not (self.c > 0 and math.isfinite(self.c)):
            raise ConfigError(
                describe(
                    expected="an image scale c > 0",
                    found=str(self.c),
                    fix="give the size of a typical image value, such as 0.02 for 1/mm",
                )
            )

    @property
    def image_scale(self) -> float:  # type: ignore[override]
        return self.c

    def __call__(self, problem: Problem) -> tuple[Problem, float]:
        return rescale(problem, self.c), self.c


@dataclass(frozen=True)
class AdjointScale(Scaling):
    """Scaling by c = max |T*y| / ‖T‖² of every sample, so that data a·y give the image a·u.

    For MRI with ‖T‖ = 1 this is max |T*y|. T must be linear. A sample without signal gets c = 1.
    """

    def __call__(self, problem: Problem) -> tuple[Problem, Tensor]:
        operator = problem.operator
        if not isinstance(operator, LinearOperator):
            raise ConfigError(
                describe(
                    expected="a linear operator for a scale that is taken from the data",
                    found=type(operator).__name__,
                    fix="use ImageScale(c)",
                )
            )
        back = problem.back
        size = back.abs().flatten(-operator.domain.ndim).amax(-1)
        size = (size / over(operator.norm(), size, 0) ** 2).flatten(1).amax(1)
        c = torch.where(size > 0, size, torch.ones_like(size))
        c = c.reshape(-1, *[1] * (operator.domain.ndim + 1))
        return rescale(problem, c), c


def rescale(problem: Problem, c: Tensor | float) -> Problem:
    """The problem for the image in units of ``c``, with an operator of norm 1 if it is linear.

    ‖T‖ is one number for each sample where samples have tensors of their own, and differentiable
    where these are. An operator of norm 0 is not scaled.

    Args:
        problem: InverseProblem, or a Wrapper around one.
        c: Number, or (batch, 1, ...) with a 1 for every axis of the domain.

    Raises:
        ConfigError: The problem is of another kind.
    """
    return changed(problem, lambda standard: _rescaled(standard, c))


def _rescaled(problem: InverseProblem, c: Tensor | float) -> InverseProblem:
    operator = problem.operator
    if not isinstance(operator, LinearOperator):
        return replace(problem, operator=ScaledArgument(operator, c))
    norm = operator.norm()
    if not isinstance(norm, Tensor) and norm == 0:
        return problem
    if isinstance(norm, Tensor):
        norm = torch.where(norm > 0, norm, torch.ones_like(norm))
    size = over(norm, problem.data, operator.codomain.ndim)
    return replace(
        problem,
        operator=LinearMultiple(operator, 1 / norm),
        data=problem.data / (_on_data(c, operator) * size),
    )


def _on_data(c: Tensor | float, operator: LinearOperator) -> Tensor | float:
    """A scale of images, (batch, 1, ...) with 1 for every axis of X, with 1 for those of Y."""
    if not isinstance(c, Tensor):
        return c
    own = operator.domain.ndim
    return c.reshape(*c.shape[: c.ndim - own], *[1] * operator.codomain.ndim)


@dataclass(frozen=True)
class DataScale(Scaling):
    """Scaling of data alone, y/c, for methods that take T as it is, whatever its norm.

    Attributes:
        c: Size c of a typical image or coefficient, in its unit.
    """

    c: float = 1.0

    @property
    def image_scale(self) -> float:  # type: ignore[override]
        return self.c

    def __call__(self, problem: Problem) -> tuple[Problem, float]:
        return changed(problem, lambda inner: replace(inner, data=inner.data / self.c)), self.c
