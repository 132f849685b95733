"""ALISTA, analytic weights in LISTA (Liu, Chen, Wang, Yin, ICLR 2019).

    x ← S_θ^p(x - γ_k Wᵀ(T x - y)),   W = argmin ‖WᵀT‖_F  subject to  (WᵀT)_ii = 1 for all i

with x⁰ = 0, N = 16 steps, and support selection as in LISTA-CPSS. T is a matrix (m, n) and x the
sparse coefficients of y. W is computed from T, and only γ_k, initially 1, and θ_k are trained:
2N = 32 parameters. In closed form column i of W is (T⁺)ᵢᵀ/(T⁺T)ᵢᵢ with the pseudo-inverse T⁺, as
W_i minimises W_iᵀ(TTᵀ)W_i on the plane W_iᵀT_i = 1.

Differences from the paper: the closed form takes the place of projected gradients; the columns of
T may have any length; coefficients in units of c; θ = exp(·)
is positive; an optional damping where T is close to singular.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from learnedrecon.compiling import uncompiled
from learnedrecon.errors import ConfigError, GeometryError, describe
from learnedrecon.limits import refuse_bytes
from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.like import LikeArgument, as_like
from learnedrecon.models.lista import OfMatrix
from learnedrecon.models.lista_coupled import PAPER, Support, shrink_unselected
from learnedrecon.models.start import start_of
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.versions import version_of
from learnedrecon.problem import Problem, Wrapper
from learnedrecon.schemes.scaling import DataScale
from learnedrecon.schemes.state import Image
from learnedrecon.schemes.step import Chain, Step

if TYPE_CHECKING:
    from learnedrecon.recorded import Record

_SINGULAR = 1e-6


class ALISTAStep(Step[Image]):
    """The step x ← S_θ^p(x - γ g), where the gradient g of the problem is Wᵀ(T x - y).

    Args:
        threshold: Initial θ.
        share: Share of the entries that are not shrunk.
    """

    def __init__(self, threshold: float, share: float) -> None:
        super().__init__()
        self.step_size = nn.Parameter(torch.tensor(1.0))
        self.log_threshold = nn.Parameter(torch.tensor(math.log(threshold)))
        self.share = share

    def forward(self, state: Image, problem: Problem) -> Image:
        x = state.image
        moved = x - self.step_size * problem.gradient(x)
        return Image(shrink_unselected(moved, self.log_threshold.exp(), self.share))


class ALISTA(LearnedScheme):
    """ALISTA: LISTA whose matrix is computed from T, so that two numbers per step are trained.

    W does not follow gradients in the tensors of T.

    Args:
        iterations: Number N of steps.
        threshold: Initial θ in units of c.
        support: Selection of entries that are not shrunk.
        damping: Weight δ ≥ 0 relative to ‖T‖², which replaces the objective by
            ‖WᵀT‖_F² + δ‖T‖²‖W‖_F²; 0 is the paper's.
        image_scale: Size c of a typical coefficient, in its unit.
        like: Operator that the method is built for; real images with two axes unless given.

    Raises:
        ConfigError: An argument is out of range.
        GeometryError: In a call, T is not linear, complex, different for every sample, close to
            singular without damping, or does not see a coefficient.
    """

    def __init__(
        self,
        iterations: int = 16,
        *,
        threshold: float = 0.1,
        support: Support = PAPER,
        damping: float = 0.0,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        shares = [support.share(k) for k in range(1, iterations + 1)]
        chain = Chain([ALISTAStep(threshold, share) for share in shares])
        prepare = WithAnalyticWeight(damping)
        super().__init__(chain, as_like(like), start_of("zero"), image_scale, prepare)
        self.scaling = DataScale(image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1})
        require_positive(spec, "threshold", "image_scale")
        if not (spec.damping >= 0 and math.isfinite(spec.damping)):
            raise ConfigError(
                describe(
                    expected=f"'damping' of {type(spec).__name__} to be at least 0 and finite",
                    found=f"damping = {spec.damping!r}",
                    fix="correct 'damping'",
                )
            )


class Decorrelated(Wrapper):
    """A problem whose gradient is Wᵀ(T x - y) in place of T*(T x - y).

    Args:
        inner: Problem with a linear T.
        weight: Wᵀ, (n, m).
    """

    def __init__(self, inner: Problem, weight: Tensor) -> None:
        super().__init__(inner)
        self.weight = weight

    def rewrap(self, inner: Problem) -> Decorrelated:
        return Decorrelated(inner, self.weight)

    def gradient(self, u: Tensor) -> Tensor:
        residual = self.inner.forward(u) - self.inner.data
        return nn.functional.linear(residual.flatten(2), self.weight.to(residual)).view_as(u)


@dataclass(frozen=True)
class WithAnalyticWeight:
    """A function that puts the analytic weight into a problem.

    Attributes:
        damping: Weight δ of :func:`analytic_weight`.
    """

    damping: float = 0.0

    def __call__(self, problem: Problem) -> Problem:
        operator = OfMatrix()(problem).operator
        assert isinstance(operator, LinearOperator)
        return Decorrelated(problem, analytic_weight(operator, self.damping).mT)


class _Known(NamedTuple):
    """A weight, and what it was computed from."""

    weight: Tensor
    damping: float
    versions: tuple[int, ...]


_WEIGHTS: WeakKeyDictionary[LinearOperator, _Known] = WeakKeyDictionary()


@uncompiled
def analytic_weight(operator: LinearOperator, damping: float = 0.0) -> Tensor:
    """The minimiser W of ‖WᵀT‖_F² + δ‖T‖²‖W‖_F² with (WᵀT)_ii = 1 (Liu et al. for δ = 0).

    It is computed once, and again after a tensor of T was changed in place.

    Args:
        operator: T, linear and real, the same for all samples.
        damping: Weight δ ≥ 0.

    Returns:
        W, (m, n), float64, for flattened data and coefficients.

    Raises:
        GeometryError: T is different for every sample, does not see a coefficient, or is close to
            singular and δ = 0.
        ConfigError: The matrix of T is larger than the memory.
    """
    versions = tuple(version_of(each) for each in operator.buffers())
    known = _WEIGHTS.get(operator)
    device = next((each.device for each in operator.buffers()), torch.device("cpu"))
    if known is None or known[1:] != (damping, versions) or known.weight.device != device:
        with torch.no_grad(), torch.inference_mode(mode=False):
            known = _Known(_minimiser(_matrix(operator, device), damping), damping, versions)
        _WEIGHTS[operator] = known
    return known.weight


def _matrix(operator: LinearOperator, device: torch.device) -> Tensor:
    norm = operator.norm()
    if isinstance(norm, Tensor) and norm.ndim:
        raise GeometryError(
            describe(
                expected="one operator for all samples, from which W is computed",
                found=f"{type(operator).__name__} with tensors of every sample",
                fix="use LISTACP, or reconstruct the samples of each operator on their own",
            )
        )
    m, n = operator.codomain.size, operator.domain.size
    refuse_bytes(8 * (n * n + 4 * m * n), "the matrix of T", of=f"{m} x {n}")
    basis = torch.eye(n, dtype=torch.float64, device=device)
    return operator(basis.view(n, 1, *operator.domain.shape)).view(n, m).mT


def _minimiser(matrix: Tensor, damping: float) -> Tensor:
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    relative = values / values[0]
    kept = relative > max(matrix.shape) * torch.finfo(matrix.dtype).eps
    least = float(relative[kept].min()) if bool(kept.any()) else 0.0
    if damping == 0 and 0 < least < _SINGULAR:
        raise GeometryError(
            describe(
                expected=f"singular values of T of at least {_SINGULAR:g}‖T‖, or 0",
                found=f"{least:.1e}‖T‖",
                fix="give a damping, such as damping=1e-3",
            )
        )
    gain = torch.where(kept, relative / (relative.square() + damping), 0)
    weight = left @ (gain[:, None] * right)
    seen = (weight * matrix).sum(0)
    if not bool((seen > 0).all()):
        raise GeometryError(
            describe(
                expected="an operator that sees every coefficient",
                found=f"{int((~(seen > 0)).sum())} of {len(seen)} columns of zeros",
                fix="remove these coefficients from the domain of T",
            )
        )
    return weight / seen
