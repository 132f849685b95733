"""Functionals built from others: with given data, multiplied, or composed with an operator."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.errors import ConfigError, describe
from learnedrecon.functionals.base import Fidelity, Regulariser, require_type, spread
from learnedrecon.operators.base import Operator
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.norm import upper_norm

if TYPE_CHECKING:
    from learnedrecon.functionals.base import StepSize


class Misfit(Regulariser):
    """v ↦ D(v; y), a data term with its data y.

    Args:
        fidelity: D.
        data: y, (batch, ...).

    Raises:
        DataError: The data term is not defined for these data, see :meth:`Fidelity.check_data`.
    """

    data: Tensor

    def __init__(self, fidelity: Fidelity, data: Tensor) -> None:
        super().__init__()
        require_type(fidelity, "fidelity", Fidelity)
        require_type(data, "data", Tensor)
        fidelity.check_data(data)
        self.fidelity = fidelity
        self.register_buffer("data", data, persistent=False)

    def forward(self, u: Tensor) -> Tensor:
        return self.fidelity(u, self.data)

    def gradient(self, u: Tensor) -> Tensor:
        return self.fidelity.gradient(u, self.data)

    def prox(self, u: Tensor, step: StepSize) -> Tensor:
        return self.fidelity.prox(u, self.data, step)

    def prox_conjugate(self, p: Tensor, step: StepSize) -> Tensor:
        return self.fidelity.prox_conjugate(p, self.data, step)

    def contains(self, u: Tensor) -> Tensor:
        return self.fidelity.contains(u, self.data)

    def lipschitz(self) -> float | None:
        return self.fidelity.lipschitz()


class FunctionalMultiple(Regulariser):
    """u ↦ α R(u); its proximal map is that of R with the step tα.

    Args:
        functional: R.
        weight: α > 0, one number or one per sample, (batch,).

    Raises:
        ConfigError: α is not positive.
    """

    weight: Tensor | float

    def __init__(self, functional: Regulariser, weight: StepSize) -> None:
        super().__init__()
        require_type(functional, "functional", Regulariser)
        require_type(weight, "weight", Tensor, Real)
        self.functional = functional
        if isinstance(weight, Tensor):
            self.register_buffer("weight", weight, persistent=False)
        else:
            self.weight = float(weight)
        value = torch.as_tensor(weight)
        if value.ndim > 1 or not bool((value.isfinite() & (value > 0)).all()):
            raise ConfigError(
                describe(
                    expected="a weight > 0, one number or one per sample, (batch,)",
                    found=f"{weight!r:.80}",
                    fix="omit the functional if its weight is 0",
                )
            )

    def forward(self, u: Tensor) -> Tensor:
        return self.weight * self.functional(u)

    def gradient(self, u: Tensor) -> Tensor:
        return spread(self.weight, u) * self.functional.gradient(u)

    def prox(self, u: Tensor, step: StepSize) -> Tensor:
        return self.functional.prox(u, step * self.weight)

    def contains(self, u: Tensor) -> Tensor:
        return self.functional.contains(u)

    def lipschitz(self) -> float | None:
        constant = self.functional.lipschitz()
        largest = float(torch.as_tensor(self.weight).max())
        return None if constant is None else largest * constant


class FunctionalOf(Regulariser):
    """u ↦ F(T(u)), with the gradient [∂T(u)]* ∇F(T(u)) by the chain rule.

    ``FunctionalOf(Misfit(LeastSquares(), y), T)`` is what a :class:`Problem` minimises.

    Args:
        functional: F.
        operator: T, linear or not.
    """

    def __init__(self, functional: Regulariser, operator: Operator) -> None:
        super().__init__()
        require_type(functional, "functional", Regulariser)
        require_type(operator, "operator", Operator)
        self.functional = functional
        self.operator = operator

    def forward(self, u: Tensor) -> Tensor:
        return self.functional(self.operator(u))

    def gradient(self, u: Tensor) -> Tensor:
        value, derivative = self.operator.linearise(u)
        return derivative.adjoint(self.functional.gradient(value))

    def contains(self, u: Tensor) -> Tensor:
        return self.functional.contains(self.operator(u))

    def lipschitz(self) -> float | None:
        """The Lipschitz constant of F times an upper bound of ‖T‖²; None for a nonlinear T."""
        constant = self.functional.lipschitz()
        if constant is None or not isinstance(self.operator, LinearOperator):
            return None
        return constant * upper_norm(self.operator) ** 2
