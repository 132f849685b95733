"""Number of applications of T and T* by a scheme."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from learnedrecon.operators.linear import LinearOperator
from learnedrecon.problem import InverseProblem, Problem, Wrapper, changed

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Cost:
    """Numbers of applications of T and T*, in units of one whole sample.

    An application of m of n rows to one image counts m/n; a batch or several channels count each.

    Attributes:
        forward: Number of applications of T.
        adjoint: Number of applications of T*, or of [∂T]*.
    """

    forward: float = 0.0
    adjoint: float = 0.0

    @property
    def total(self) -> float:
        """The number of applications of T and T* together."""
        return self.forward + self.adjoint


@dataclass(eq=False)
class Counted(Wrapper):
    """A problem that counts the operator calls of a scheme, without derivatives by autograd.

    ``solve`` counts the applications by conjugate gradients; a closed form has none.

    Attributes:
        inner: Problem to which everything is delegated.
        cost: Counter, shared with all subsets and copies.
        whole: Number of entries of one sample of all data.
    """

    inner: Problem
    cost: Cost = field(default_factory=Cost)
    whole: int = 0

    def __post_init__(self) -> None:
        self.whole = self.whole or self.inner.operator.codomain.size

    def rewrap(self, inner: Problem) -> Self:
        return type(self)(inner, self.cost, self.whole)

    def forward(self, u: Tensor) -> Tensor:
        self.cost.forward += self._share(u, self.operator.domain.size)
        return self.inner.forward(u)

    def adjoint(self, v: Tensor, at: Tensor | None = None) -> Tensor:
        self.cost.adjoint += self._share(v, self.operator.codomain.size)
        return self.inner.adjoint(v, at)

    def gradient(self, u: Tensor) -> Tensor:
        share = self._share(u, self.operator.domain.size)
        self.cost.forward += share
        self.cost.adjoint += share
        return self.inner.gradient(u)

    def solve(self, b: Tensor, weight: Tensor | float) -> Tensor:
        if not isinstance(self.operator, LinearOperator):
            return self.inner.solve(b, weight)
        watched = _Watched(self.operator)

        def watch(problem: InverseProblem) -> InverseProblem:
            return replace(problem, operator=watched)

        solution = changed(self.inner, watch).solve(b, weight)
        watched.open = False
        share = self.operator.codomain.size / self.whole
        self.cost.forward += watched.forwards * share
        self.cost.adjoint += watched.adjoints * share
        return solution

    def _share(self, tensor: Tensor, size: int) -> float:
        return tensor.numel() / size * self.operator.codomain.size / self.whole


class _Watched(LinearOperator):
    """T, whose applications to one sample are counted while it is open: not in a backward pass."""

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.domain, operator.codomain)
        self.operator = operator
        self.forwards = self.adjoints = 0
        self.open = True

    def evaluate(self, u: Tensor) -> Tensor:
        self.forwards += self.open * (u.numel() // self.domain.size)
        return self.operator.evaluate(u)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        self.adjoints += self.open * (v.numel() // self.codomain.size)
        return self.operator.evaluate_adjoint(v)

    def normal_inverse(self, b: Tensor, weight: Tensor | float) -> Tensor | None:
        return self.operator.normal_inverse(b, weight)
