"""What can be proved of a fixed point scheme: contraction, iterations, stability."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from learnedrecon.operators.linear import LinearOperator
from learnedrecon.schemes.equilibrium import CertifiedStep, Contraction, Image
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.reconstructor import Iterative

if TYPE_CHECKING:
    from learnedrecon.operators.base import Operator
    from learnedrecon.problem import Problem
    from learnedrecon.schemes.step import Step


@dataclass(frozen=True)
class Certificate:
    """Bounds on the safe side, or why there are none.

    All numbers are for the operator that the scheme sees, T/‖T‖ for a :class:`Scaling` that divides
    by the norm.

    Attributes:
        norm: ‖T‖ is at most this.
        largest: L = ‖T‖², from above.
        smallest: μ ≤ λ_min(T*T), from below.
        epsilon: the Lipschitz constant of R - Id is at most this.
        eta: η.
        weight: λ.
        factor: γ; None without a certificate.
        stability: ‖u(y) - u(y')‖ ≤ stability·‖y - y'‖; None without a certificate.
        reason: why there is no certificate; empty where there is one.
    """

    norm: float | None = None
    largest: float | None = None
    smallest: float | None = None
    epsilon: float | None = None
    eta: float | None = None
    weight: float | None = None
    factor: float | None = None
    stability: float | None = None
    reason: str = ""

    @property
    def holds(self) -> bool:
        """Whether the scheme is proved to be a contraction."""
        return not self.reason

    def iterations(self, tolerance: float) -> int | None:
        """After how many Picard iterations the distance to the fixed point has fallen enough.

        Args:
            tolerance: the distance relative to that at the start.

        Returns:
            A number that holds for every y and every start; None without a certificate.
        """
        if self.factor is None:
            return None
        if self.factor <= 0:
            return 1
        return max(1, math.ceil(math.log(tolerance) / math.log(self.factor)))

    def __str__(self) -> str:
        """A table, or 'no certificate' and why."""
        rows = {
            "L, bound of ‖T‖²": self.largest,
            "μ, T*T is at least": self.smallest,
            "ε, bound for R - Id": self.epsilon,
            "η, step size": self.eta,
            "λ, weight of R": self.weight,
            "γ, contraction factor": self.factor,
            "stability constant": self.stability,
        }
        lines = [f"  {name:<24}{value:.6g}" for name, value in rows.items() if value is not None]
        if not self.holds:
            return "\n".join([f"No certificate: {self.reason}.", *lines])
        for tolerance in (1e-2, 1e-4):
            number = self.iterations(tolerance)
            lines.append(f"  iterations to {tolerance:<10g}{number}")
        return "\n".join(["A contraction, by proof:", *lines])


def certify(model: nn.Module, operator: Operator, *, smallest: float = 0.0) -> Certificate:
    """What is proved of ``model`` on ``operator``.

    Args:
        model: a scheme with a :class:`FixedPoint` of a step that knows its contraction factor.
        operator: T as the scheme sees it: divided by its norm if the model's Scaling does so.
        smallest: μ, a bound of λ_min(T*T) from below; 0 unless it is known to be larger.

    Returns:
        The certificate, or one without numbers and the reason.
    """
    step = _step_of(model)
    if isinstance(step, str):
        return Certificate(reason=step)
    for module in step.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001
            return Certificate(reason="BatchNorm has no Lipschitz bound for all images")
    if not isinstance(step, CertifiedStep):
        return Certificate(reason=f"{type(step).__name__} has no bound of its Lipschitz constant")
    if not isinstance(operator, LinearOperator):
        return Certificate(reason=f"{type(operator).__name__} is not linear")
    norm: float | None = operator.norm_bound()
    if norm is None:
        return Certificate(reason=f"{type(operator).__name__} has no upper bound of its norm")
    return _of(step.contraction(norm**2, smallest), norm, smallest)


def measured_contraction(
    step: CertifiedStep, problem: Problem, *, pairs: int = 4, ascents: int = 50, seed: int = 0
) -> float:
    """The largest ‖Λ(u) - Λ(v)‖ / ‖u - v‖ that is found; a bound of the factor from below.

    Over random pairs, and over those that gradient ascent (Adam) makes of them.

    Args:
        step: Λ.
        problem: a batch of one; its data play no part where Λ is affine in them.
        pairs: how many at once.
        ascents: steps of the ascent.
        seed: of the random pairs.
    """
    data = problem.data[:1]
    shape = (pairs, 1, *problem.operator.domain.shape)
    generator = torch.Generator().manual_seed(seed)
    start = [torch.randn(shape, generator=generator, dtype=data.dtype) for _ in range(2)]
    u, d = (tensor.to(data.device).requires_grad_() for tensor in start)
    ascent = torch.optim.Adam([u, d], lr=0.1, maximize=True)
    worst = 0.0
    for _ in range(ascents):
        with torch.enable_grad():
            gap = step(Image(u + d), problem).image - step(Image(u), problem).image
            ratios = gap.flatten(1).norm(dim=1) / d.flatten(1).norm(dim=1)
        worst = max(worst, float(ratios.detach().max()))
        u.grad, d.grad = torch.autograd.grad(ratios.sum(), (u, d))
        ascent.step()
    return worst


def certified_step(model: nn.Module) -> CertifiedStep | None:
    """The step of a scheme that knows its contraction factor, if it has one."""
    step = _step_of(model)
    return step if isinstance(step, CertifiedStep) else None


def _of(found: Contraction, norm: float, smallest: float) -> Certificate:
    proved = not found.reason
    return Certificate(
        norm=norm,
        largest=norm**2,
        smallest=smallest,
        epsilon=found.epsilon,
        eta=found.eta,
        weight=found.weight,
        factor=found.factor if proved else None,
        stability=found.sensitivity / (1 - found.factor) if proved else None,
        reason=found.reason,
    )


def _step_of(model: nn.Module) -> Step[object] | str:  # type: ignore[type-var]
    scheme = model.scheme if isinstance(model, Iterative) else model
    if isinstance(scheme, CertifiedStep):
        return scheme  # type: ignore[return-value]
    if not isinstance(scheme, FixedPoint):
        return f"{type(scheme).__name__} is no fixed point iteration"
    return scheme.step
