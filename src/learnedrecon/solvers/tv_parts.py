"""Total variation reconstruction that takes the data in parts.

The stochastic primal-dual method of Chambolle, Ehrhardt, Richtárik and Schönlieb (SIAM J. Optim.
28(4), 2018, algorithm 1) for the operators T_1, ..., T_m and κ∇, where T_i has the views i, i + m,
i + 2m, ... Every step takes one of the T_i, with the probability 1/m, and κ∇:

    u   ← prox_τ(u - τ z̄),
    p_i ← prox_σ(p_i + σ T_i u),    q ← prox_s(q + s κ∇u),
    δ_p = T_i*(p_i - its predecessor),    δ_q = κ∇*(q - its predecessor),
    z   ← z + δ_p + δ_q,    z̄ ← z + m δ_p + δ_q,

so that z = T*p + κ∇*q. A pass of m steps costs one T and one T*, and moves u m times.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from learnedrecon.functionals.base import spread
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.leading import largest

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.linear import LinearOperator
    from learnedrecon.solvers.images import ImagesOperator

_PARTS, _FEWEST_VIEWS, _LEAST_WORK = 30, 120, 15e6
_CHECK_EVERY = 10
_GRADIENT_SHARE = 2.0
_SPLIT = 1.5
_FIRST, _REDUCED = 0.03, 0.3
_BALANCED_AFTER = (1, 2, 4, 8, 16)
_POWERS, _FLOOR = 3, 1e-3


def parts_of(operator: LinearOperator) -> tuple[LinearOperator, ...]:
    """The operators T_i of interleaved views, or none where parts do not pay.

    They pay where T_i costs more than the rest of a step: on 120 views and more, and 15 million
    pairs of a ray and a pixel that it meets.

    Args:
        operator: T, the same for all images.
    """
    if not operator.divisible or operator.row_axis is None:
        return ()
    views = operator.codomain.shape[operator.row_axis]
    work = operator.codomain.size * max(operator.domain.shape)
    if views < _FEWEST_VIEWS or work < _LEAST_WORK:
        return ()
    return tuple(operator.subset(slice(part, None, _PARTS)) for part in range(_PARTS))


class _Steps(NamedTuple):
    """τ, σ of every T_i, and s, of every image."""

    tau: Tensor
    sigma: Tensor
    slope: Tensor


class PartsLoop:
    """The iteration on the images that are still running.

    With v = 3/2 ‖T_i‖² and w = 3 κ²‖∇‖², the steps fulfil τσv ≤ 1/m and τsw ≤ 1, which is enough
    as ‖T_i*a + κ∇*b‖² ≤ v‖a‖² + w‖b‖²; κ²‖∇‖² = 2‖T_i‖². After 1, 2, 4, 8 and 16 passes, τ
    becomes
    0.3‖u‖/√(v m²‖p‖² + w‖q‖²) of the present iterates, the value at which both parts of the bound
    of the ergodic gap would be equal but for the factor.

    Args:
        operator: T on images with one leading axis.
        parts: The T_i.
        y: Data, (image, *codomain).
        alpha: α of each image, (image,).
        u: Initial images, (image, *domain).
        nonnegative: True for the constraint u ≥ 0.
    """

    check_every = _CHECK_EVERY

    def __init__(  # noqa: PLR0917 - one problem
        self,
        operator: ImagesOperator,
        parts: tuple[LinearOperator, ...],
        y: Tensor,
        alpha: Tensor,
        u: Tensor,
        nonnegative: bool,  # noqa: FBT001 - a condition
    ) -> None:
        axis = parts[0].row_axis
        assert axis is not None
        self.operator, self.parts, self.axis = operator, parts, axis
        self.nonnegative = nonnegative
        self.difference = FiniteDifference(operator.domain)
        self.y, self.alpha, self.u = y, alpha, u
        self.rows = [slice(part, None, len(parts)) for part in range(len(parts))]
        self.data = [self._views(y, rows).contiguous() for rows in self.rows]
        self.p = [torch.zeros_like(part) for part in self.data]
        self.q = self.difference(torch.zeros_like(u))
        self.norm = _largest_norm(parts, u)
        self.kappa = (
            math.sqrt(_GRADIENT_SHARE) * self.norm / max(largest(self.difference.norm()), 1)
        )
        self.passes = 0
        self.momentum = torch.zeros_like(u)
        self.order = torch.Generator().manual_seed(0)
        self.steps = self._first()

    def run(self) -> tuple[Tensor, Tensor, Tensor]:
        """Iterates, and returns u, p and q (of T and ∇)."""
        total = self._pull()
        ahead = total + self.momentum
        for _ in range(self.check_every):
            for part in torch.randperm(len(self.parts), generator=self.order).tolist():
                total, ahead = self._step(part, total, ahead)
            self.passes += 1
            if self.passes in _BALANCED_AFTER:
                self.steps = self._balanced()
        self.momentum = ahead - total
        return self.u, self._whole(self.p), self.kappa * self.q

    def keep(self, going: Tensor) -> None:
        """Restricts the iteration to these images."""
        self.y, self.alpha, self.u = self.y[going], self.alpha[going], self.u[going]
        self.data = [part[going] for part in self.data]
        self.p = [part[going] for part in self.p]
        self.q, self.momentum = self.q[going], self.momentum[going]
        self.steps = _Steps(*[numbers[going] for numbers in self.steps])

    def _step(self, part: int, total: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
        """One step with T_i, from z and z̄ to the next ones."""
        operator, count = self.parts[part], len(self.parts)
        sigma = spread(self.steps.sigma, self.y)
        self.u = self.u - spread(self.steps.tau, self.u) * ahead
        if self.nonnegative:
            self.u.clamp_(min=0)
        p = (operator(self.u) - self.data[part]).mul_(sigma).add_(self.p[part]).div_(1 + sigma)
        q = self._slopes()
        moved = operator.adjoint(p - self.p[part])
        turned = self.difference.adjoint(q - self.q).mul_(self.kappa)
        self.p[part], self.q = p, q
        total = total + moved + turned
        return total, (total + turned).add_(moved, alpha=count)

    def _slopes(self) -> Tensor:
        """The next q: q + sκ∇u, projected to lengths of at most α/κ."""
        axis = -self.operator.domain.ndim - 1
        q = self.difference(self.u)
        q = q.mul_(spread(self.steps.slope * self.kappa, q)).add_(self.q)
        length = q.abs().square_().sum(axis, keepdim=True).sqrt_()
        return q.div_(length.mul_(spread(self.kappa / self.alpha, length)).clamp_(min=1))

    def _pull(self) -> Tensor:
        """The z of the present p and q."""
        slopes = self.difference.adjoint(self.q).mul_(self.kappa)
        return self.operator.adjoint(self._whole(self.p)) + slopes

    def _first(self) -> _Steps:
        """Steps for a rough size of u, and the smaller one of the bound of q and the size of y."""
        square = len(self.parts) * self.norm**2
        size = _root_mean_square(self.operator.adjoint(self.y)) / square
        dual = torch.minimum(self.alpha / self.kappa, _root_mean_square(self.y))
        return self._of(_FIRST * size / dual / square**0.5)

    def _balanced(self) -> _Steps:
        """Steps for the sizes of the present iterates; the old ones where these are zero."""
        p = torch.stack([_norm(part) for part in self.p]).norm(dim=0)
        v, w = self._squares()
        dual = (v * (len(self.parts) * p).square() + w * _norm(self.q).square()).sqrt()
        tau = _REDUCED * _norm(self.u) / dual
        known = tau.isfinite() & (tau > 0)
        return self._of(torch.where(known, tau, self.steps.tau))

    def _of(self, tau: Tensor) -> _Steps:
        """The steps with this τ, or 1/(m v) where it is no positive number."""
        count, (v, w) = len(self.parts), self._squares()
        tau = torch.where(tau.isfinite() & (tau > 0), tau.double(), 1 / (count * v))
        steps = (tau, 1 / (count * v * tau), 1 / (w * tau))
        return _Steps(*[numbers.to(self.alpha.dtype) for numbers in steps])

    def _squares(self) -> tuple[float, float]:
        """The numbers v and w."""
        return _SPLIT * self.norm**2, _SPLIT / (_SPLIT - 1) * _GRADIENT_SHARE * self.norm**2

    def _views(self, data: Tensor, rows: slice) -> Tensor:
        return data.movedim(self.axis, 0)[rows].movedim(0, self.axis)

    def _whole(self, parts: list[Tensor]) -> Tensor:
        """Data of all views from those of the parts."""
        whole = torch.empty_like(self.y)
        for part, rows in zip(parts, self.rows, strict=True):
            self._views(whole, rows).copy_(part)
        return whole


def _largest_norm(parts: tuple[LinearOperator, ...], like: Tensor) -> float:
    """A bound of all ‖T_i‖, valid for T_i without negative entries.

    ‖T_i‖² ≤ max_j (T_i*T_i x)_j/x_j for every x > 0 (Collatz, Math. Z. 48, 1942); x are a constant
    and two power iterations of it.
    """
    return max(_norm_bound(part, torch.ones_like(like[:1])) for part in parts)


def _norm_bound(operator: LinearOperator, x: Tensor) -> float:
    bounds = []
    for _ in range(_POWERS):
        image = operator.adjoint(operator(x))
        bounds.append(float((image.abs() / x.abs()).amax()))
        x = image / image.abs().amax() + _FLOOR
    return math.sqrt(min(bounds))


def _root_mean_square(x: Tensor) -> Tensor:
    return x.abs().flatten(1).square().mean(1).sqrt()


def _norm(x: Tensor) -> Tensor:
    return x.abs().flatten(1).double().norm(dim=1)
