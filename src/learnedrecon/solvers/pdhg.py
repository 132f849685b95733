"""PDHG: the primal-dual hybrid gradient method of Chambolle and Pock, with balanced steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from learnedrecon.compiling import uncompiled
from learnedrecon.errors import ConfigError, DataError, describe
from learnedrecon.functionals.base import positive, spread
from learnedrecon.functionals.combined import Misfit
from learnedrecon.operators.norm import upper_norm
from learnedrecon.solvers.arguments import Systems, checked_limits, checked_samples
from learnedrecon.solvers.result import PDHGResult, describe_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from learnedrecon.functionals.base import Regulariser
    from learnedrecon.operators.linear import LinearOperator

_PRODUCT = 0.99
_UNBALANCED = 2.0
_ADAPTION = 0.5
_ADAPTION_DECAY = 0.95


class Term(NamedTuple):
    """One term F(Ku) of the objective of :func:`pdhg`.

    Attributes:
        functional: Convex F with a proximal map.
        operator: Linear operator K.
    """

    functional: Regulariser
    operator: LinearOperator


@uncompiled
@torch.no_grad()
def pdhg(
    terms: Sequence[Term],
    simple: Regulariser | None,
    start: Tensor,
    *,
    tolerance: float = 1e-4,
    max_iterations: int = 5000,
    step_size: float | None = None,
) -> PDHGResult:
    """The minimiser of Σ_k F_k(K_k u) + G(u) for convex F_k and G with proximal maps.

    Chambolle and Pock, J. Math. Imaging Vis. 40(1), 2011, algorithm 1 with θ = 1:

        u⁺ = prox_{τG}(u - τ Σ K_k* p_k),   p_k⁺ = prox_{σ_k F_k*}(p_k + σ_k K_k(2u⁺ - u)).

    σ_k = 0.99/(n τ ‖K_k‖²) for n terms, with ‖K_k‖ from above, so that τ Σ σ_k‖K_k‖² = 0.99 < 1 by
    construction. τ starts at the size of u divided by that of ΣK*p, both estimated from the data of
    ``Misfit`` terms, 1/Σ‖K‖² where there are none, and is balanced for every sample while primal
    and dual residual differ by more than 2, by factors whose product converges (Goldstein, Li,
    Yuan, NeurIPS 2015, algorithm 1). Units of images, data and operators do not matter.

    Args:
        terms: The F_k with their K_k, at least one, all on the same domain.
        simple: G, or None for 0.
        start: Initial u, (batch, ..., *domain.shape); samples are independent of each other and
            stop when they have converged.
        tolerance: Relative residual at which a sample has converged, in (0, 1).
        max_iterations: Largest number of iterations.
        step_size: Initial τ; estimated unless given.

    Returns:
        u, the p_k, and residuals: the larger of ‖(u - u⁺)/τ - K*(p - p⁺)‖, which lies in
        ∂G(u⁺) + K*p⁺, and ‖(p - p⁺)/σ - K(u - u⁺)‖, in ∂F*(p⁺) - Ku⁺, each relative to the largest
        K*p and Ku so far, with every K over its norm. The residual measures the violation of the
        optimality conditions; it is not a bound of the error. The first row is infinite, as the
        start has no residual yet.

    Raises:
        ConfigError: There are no terms, the tolerance, number of iterations or step is out of
            range, or a functional has no proximal map.
        ShapeError, DtypeError, DataError: The start has no batch axis, does not fit or is not
            finite, or all operators are zero.
    """
    checked_limits(tolerance, max_iterations)
    if not terms:
        raise ConfigError(
            describe(expected="at least one term F(Ku)", found="none", fix="use prox of G alone")
        )
    u = checked_samples(terms[0].operator.domain.check(start, "the start"))
    loop = _Loop(terms, simple, u, step_size)
    history = [torch.full((len(u),), torch.inf, dtype=torch.float64, device=u.device)]
    going = torch.ones(len(u), dtype=torch.bool, device=u.device)
    iterations = torch.zeros_like(going, dtype=torch.int64)
    while len(history) <= max_iterations and bool(going.any()):
        residual = loop.step(going)
        history.append(torch.where(going, residual, history[-1]))
        iterations += going
        going = ~(history[-1] <= tolerance)
    converged = history[-1] <= tolerance
    return PDHGResult(
        solution=loop.u,
        residuals=torch.stack(history),
        iterations=iterations,
        converged=converged,
        status=describe_end(converged, history[-1], iterations, tolerance, "relative residual"),
        dual=tuple(loop.p),
    )


class _Loop:
    """The iteration; what it remembers are u, p, Ku, K*p, τ and the sizes met so far."""

    def __init__(
        self,
        terms: Sequence[Term],
        simple: Regulariser | None,
        u: Tensor,
        step_size: float | None,
    ) -> None:
        self.terms, self.simple = terms, simple
        self.squares = _squared_norms(terms)
        self.u = u
        self.images = [term.operator(u) for term in terms]
        self.p = [torch.zeros_like(image) for image in self.images]
        self.pull = torch.zeros_like(u)
        if step_size is None:
            self.tau = _first_step(terms, self.squares, u)
        else:
            first = positive(step_size, "step_size")
            self.tau = torch.full((len(u),), first, dtype=torch.float64, device=u.device)
        self.adaption = torch.full_like(self.tau, _ADAPTION)
        self.primal_size, self.dual_size = _size([self.pull]), self._dual_size(self.images)

    def step(self, going: Tensor) -> Tensor:
        """One step of the samples that are ``going``, and the residuals after it."""
        tau = spread(self.tau, self.u)
        sigmas = [_PRODUCT / (len(self.terms) * self.tau * square) for square in self.squares]
        u = self.u - tau * self.pull
        if self.simple is not None:
            u = self.simple.prox(u, self.tau)
        images = [term.operator(u) for term in self.terms]
        p = [
            term.functional.prox_conjugate(old + spread(sigma, new) * (2 * new - before), sigma)
            for term, sigma, old, new, before in zip(
                self.terms, sigmas, self.p, images, self.images, strict=True
            )
        ]
        pull = _pull(self.terms, p)
        primal = _size([(self.u - u) / tau - (self.pull - pull)])
        dual = self._dual_size(
            [
                (old - new) / spread(sigma, new) - (before - after)
                for old, new, sigma, before, after in zip(
                    self.p, p, sigmas, self.images, images, strict=True
                )
            ]
        )
        self.primal_size = torch.maximum(self.primal_size, _size([pull]))
        self.dual_size = torch.maximum(self.dual_size, self._dual_size(images))
        self._advance(going, u, pull, images, p)
        first = Systems.ratio(primal, self.primal_size)
        second = Systems.ratio(dual, self.dual_size)
        self._balance(first, second)
        return torch.maximum(first, second)

    def _advance(
        self, going: Tensor, u: Tensor, pull: Tensor, images: list[Tensor], p: list[Tensor]
    ) -> None:
        self.u, self.pull = _chosen(going, u, self.u), _chosen(going, pull, self.pull)
        self.images = [_chosen(going, a, b) for a, b in zip(images, self.images, strict=True)]
        self.p = [_chosen(going, a, b) for a, b in zip(p, self.p, strict=True)]

    def _dual_size(self, parts: Sequence[Tensor]) -> Tensor:
        """√Σ‖part‖²/‖K‖², in which terms of different units can be compared."""
        return _size([part / square**0.5 for part, square in zip(parts, self.squares, strict=True)])

    def _balance(self, primal: Tensor, dual: Tensor) -> None:
        """Longer steps in u where the primal residual is the larger one, shorter ones otherwise."""
        longer, shorter = primal > _UNBALANCED * dual, dual > _UNBALANCED * primal
        factor = torch.where(longer, 1 / (1 - self.adaption), 1.0)
        self.tau = self.tau * torch.where(shorter, 1 - self.adaption, factor)
        self.adaption = torch.where(
            longer | shorter, _ADAPTION_DECAY * self.adaption, self.adaption
        )


def _squared_norms(terms: Sequence[Term]) -> list[float]:
    squares = [upper_norm(term.operator) ** 2 for term in terms]
    if max(squares) == 0:
        raise DataError(
            describe(
                expected="operators that are not all zero",
                found="norms of 0",
                fix="check the geometry: possibly no ray meets the image",
            )
        )
    return [square or max(squares) for square in squares]


def _first_step(terms: Sequence[Term], squares: Sequence[float], u: Tensor) -> Tensor:
    """τ = ‖û‖/‖ĝ‖ with û = ΣK*y/‖K‖² and ĝ = ΣK*F'(y/2), over the terms that have data y."""
    image, force = torch.zeros_like(u), torch.zeros_like(u)
    for (functional, operator), square in zip(terms, squares, strict=True):
        if isinstance(functional, Misfit):
            image = image + operator.adjoint(functional.data) / square
            force = force + operator.adjoint(functional.gradient(functional.data / 2))
    ratio = _size([image]) / _size([force])
    known = ratio.isfinite() & (ratio > 0)
    return torch.where(known, ratio, 1 / sum(squares))


def _pull(terms: Sequence[Term], p: Sequence[Tensor]) -> Tensor:
    """Σ K_k* p_k."""
    parts = [term.operator.adjoint(part) for term, part in zip(terms, p, strict=True)]
    return sum(parts[1:], parts[0])


def _size(parts: Sequence[Tensor]) -> Tensor:
    """√Σ‖part‖² of every sample, (batch,), float64."""
    norms = [Systems(part, part.ndim - 1).norm(part) for part in parts]
    return torch.stack(norms).square().sum(0).sqrt()


def _chosen(going: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(going.view(-1, *[1] * (new.ndim - 1)), new, old)
