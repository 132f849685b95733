"""Learned primal-dual steps that can be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.schemes.invertible import CouplingStep
from learnedrecon.schemes.units import Coupling
from learnedrecon.schemes.primal_dual import PrimalDual

if TYPE_CHECKING:
    from collections.abc import Sequence

    from learnedrecon.problem import Problem


class InvertiblePrimalDualStep(CouplingStep[PrimalDual]):
    """h ← h + Γ(T(x), y); x ← x + Λ(T*h): neither network sees the variable that it changes.

    Rudzusika, Bajić, Öktem, Schönlieb, Etmann, Invertible learned primal-dual, 2021. One channel of
    each variable. A nonlinear T is refused: [∂T(x)]*h could not be computed on the way back, where
    x is what is looked for; use :class:`SplitPrimalDualStep`.

    Args:
        dual_network: Γ, from 2 channels to 1.
        primal_network: Λ, from 1 channel to 1.

    Raises:
        GeometryError: on a call, a nonlinear T.
    """

    def __init__(self, dual_network: nn.Module, primal_network: nn.Module) -> None:
        super().__init__()
        self.dual_network = dual_network
        self.primal_network = primal_network

    def couplings(self) -> Sequence[Coupling[PrimalDual]]:
        return (Coupling("dual", self._dual), Coupling("primal", self._primal))

    def _dual(self, state: PrimalDual, problem: Problem) -> Tensor:
        prediction = problem.forward(state.primal)
        return self.dual_network(torch.cat([prediction, problem.data], dim=1))

    def _primal(self, state: PrimalDual, problem: Problem) -> Tensor:
        return self.primal_network(problem.adjoint(state.dual))


class SplitPrimalDual(NamedTuple):
    """Primal and dual variables in two halves, each with memory channels.

    Attributes:
        primal: (batch, channels, *domain.shape); the image is the sum of the first channels of
            both primal halves.
        other_primal: of the same shape.
        dual: (batch, channels, *codomain.shape).
        other_dual: of the same shape.
    """

    primal: Tensor
    other_primal: Tensor
    dual: Tensor
    other_dual: Tensor


class SplitPrimalDualStep(CouplingStep[SplitPrimalDual]):
    """An invertible primal-dual step with memory: one half changes, and its network sees the other.

    h ← h + Γ(h', T(x₀ + x'₀), y); x ← x + Λ(x', [∂T(x'₀)]*(h₀ + h'₀)), where x', h' are the halves
    that stay. Steps alternate between the halves. A nonlinear T is linearised at the half that the
    step does not change, so that it can be undone.

    Args:
        dual_network: Γ, from d + 2 channels to d.
        primal_network: Λ, from p + 1 channels to p.
        swapped: whether the other halves change.
    """

    def __init__(
        self, dual_network: nn.Module, primal_network: nn.Module, *, swapped: bool = False
    ) -> None:
        super().__init__()
        self.dual_network = dual_network
        self.primal_network = primal_network
        self.swapped = swapped

    def couplings(self) -> Sequence[Coupling[SplitPrimalDual]]:
        prefix = "other_" if self.swapped else ""
        return (Coupling(f"{prefix}dual", self._dual), Coupling(f"{prefix}primal", self._primal))

    def _dual(self, state: SplitPrimalDual, problem: Problem) -> Tensor:
        kept = state.dual if self.swapped else state.other_dual
        image = state.primal[:, :1] + state.other_primal[:, :1]
        seen = torch.cat([kept, problem.forward(image), problem.data], dim=1)
        return self.dual_network(seen)

    def _primal(self, state: SplitPrimalDual, problem: Problem) -> Tensor:
        kept = state.primal if self.swapped else state.other_primal
        residual = state.dual[:, :1] + state.other_dual[:, :1]
        back = problem.adjoint(residual, at=kept[:, :1])
        return self.primal_network(torch.cat([kept, back], dim=1))
