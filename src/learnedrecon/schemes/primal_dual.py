"""Learned primal-dual steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.schemes.step import Step

if TYPE_CHECKING:
    from learnedrecon.problem import Problem


class PrimalDual(NamedTuple):
    """The state of a primal-dual scheme, each variable with memory channels.

    Attributes:
        primal: (batch, primal channels, *domain.shape); channel 0 is the image.
        dual: (batch, dual channels, *codomain.shape).
    """

    primal: Tensor
    dual: Tensor


class PrimalDualStep(Step[PrimalDual]):
    """h ← h + Γ(h, T(u₁), y); u ← u + Λ(u, [∂T(u₀)]* h₀).

    Adler, Öktem, Learned primal-dual reconstruction, IEEE Trans. Med. Imaging 37(6), 2018,
    algorithm 3. Channel 1 of the primal variable goes through T and channel 0 is the result; where
    T is nonlinear its derivative is taken at channel 0.

    Args:
        dual_network: Γ, from d + 2 channels to d.
        primal_network: Λ, from p + 1 channels to p, with p ≥ 2.
    """

    def __init__(self, dual_network: nn.Module, primal_network: nn.Module) -> None:
        super().__init__()
        self.dual_network = dual_network
        self.primal_network = primal_network

    def forward(self, state: PrimalDual, problem: Problem) -> PrimalDual:
        primal, dual = state
        prediction = problem.forward(primal[:, 1:2])
        seen = torch.cat([dual, prediction, problem.data], dim=1)
        dual = dual + self.dual_network(seen).to(dual.dtype)
        back = problem.adjoint(dual[:, :1], at=primal[:, :1])
        primal = primal + self.primal_network(torch.cat([primal, back], dim=1)).to(primal.dtype)
        return PrimalDual(primal, dual)


class FilteredPrimalDualStep(Step[PrimalDual]):
    """h ← h + Γ(h, T(u₀), y); u ← u + Λ(u, T*h₀, T*r, T*Fr) with the residual r = y - T(u₀).

    The primal network sees, beside the dual variable, the gradient of ½‖T(u) - y‖² and its filtered
    version: F is the ramp filter, so that T*F is close to a multiple of T⁻¹ for dense angles and
    the network need not learn to undo the blur of T*T. All three back projections are one call.

    F is in frequencies per detector pixel. For a T of norm one whose n detector pixels just cover
    the diagonal of the image, T*FT ≈ 1/(2n) in the pass band (T*T has the symbol ~ 1/|ξ| with its
    top at the lowest frequency ~ 1/n), so the filtered residual is multiplied by 2n to be of the
    size of an image error. A detector that is wider than the image by some factor makes it larger
    by that factor; the network learns what is left.

    Args:
        dual_network: Γ, from d + 2 channels to d.
        primal_network: Λ, from p + 3 channels to p.
        filter_: F, along the detector axis of (batch, 1, angle, detector).
    """

    def __init__(
        self, dual_network: nn.Module, primal_network: nn.Module, filter_: nn.Module
    ) -> None:
        super().__init__()
        self.dual_network = dual_network
        self.primal_network = primal_network
        self.filter = filter_

    def forward(self, state: PrimalDual, problem: Problem) -> PrimalDual:
        primal, dual = state
        u = primal[:, :1]
        prediction = problem.forward(u)
        seen = torch.cat([dual, prediction, problem.data], dim=1)
        dual = dual + self.dual_network(seen).to(dual.dtype)
        residual = problem.data - prediction
        filtered = 2 * residual.shape[-1] * self.filter(residual)
        back = problem.adjoint(torch.cat([dual[:, :1], residual, filtered], dim=1), at=u)
        primal = primal + self.primal_network(torch.cat([primal, back], dim=1)).to(primal.dtype)
        return PrimalDual(primal, dual)
