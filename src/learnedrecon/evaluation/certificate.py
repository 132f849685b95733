"""What can be proved of a fixed point scheme: contraction, iterations, stability."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, describe
from learnedrecon.models.learned_gradient import WithRegulariser
from learnedrecon.operators.leading import largest
from learnedrecon.operators.linear import LinearMultiple, LinearOperator
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.contraction import AnalysedStep, CertifiedStep, Contraction
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.reconstructor import Iterative

if TYPE_CHECKING:
    from learnedrecon.operators.base import Operator
    from learnedrecon.problem import Problem
    from learnedrecon.schemes.step import Step

_MARGIN = 1e-12


@dataclass(frozen=True)
class Certificate:
    """Bounds on the safe side, or why there are none.

    Proved of the map with the weights as they are and the data term ½‖Tu - y‖², in exact
    arithmetic. Norms and μ are of the operator that the scheme sees: T/‖T‖ for a
    :class:`Scaling` that divides by the norm.

    Attributes:
        norm: ‖T‖ is at most this.
        largest: L = ‖T‖², from above.
        smallest: μ ≤ λ_min(T*T), from below.
        epsilon: the Lipschitz constant of R - Id is at most this.
        eta: η.
        weight: λ, where R has one.
        factor: γ; None without a certificate.
        stability: ‖u(y) - u(y')‖ ≤ stability·‖y - y'‖ in the units of the image and the data, for
            one and the same image scale c; None without a certificate.
        reason: why there is no certificate; empty where there is one.
        variable: in which the step contracts.
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
    variable: str = "u"

    @property
    def holds(self) -> bool:
        """Whether the scheme is proved to be a contraction."""
        return not self.reason

    def iterations(self, tolerance: float) -> int | None:
        """After how many undamped Picard iterations the distance to the fixed point has fallen.

        Args:
            tolerance: the distance of the variable relative to that at the start, above 0.

        Returns:
            A number that holds for every y and every start; None without a certificate.

        Raises:
            ConfigError: the tolerance is not positive.
        """
        if not tolerance > 0:
            raise _refused("a tolerance > 0", tolerance, "ask for a reduction, such as 1e-3")
        if self.factor is None:
            return None
        if self.factor <= 0:
            return 1
        number = max(1, math.ceil(math.log(tolerance) / math.log(self.factor)))
        while self.factor**number > tolerance:
            number += 1
        return number

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
        return "\n".join([f"A contraction of {self.variable}, by proof:", *lines])


def certify(model: nn.Module, operator: Operator, *, smallest: float = 0.0) -> Certificate:
    """What is proved of ``model`` on ``operator``.

    Args:
        model: a scheme with a :class:`FixedPoint` of a step that knows its contraction factor, in
            the precision in which it is used.
        operator: T of the problems; a model's Scaling is applied to it here.
        smallest: μ, a bound of λ_min(T*T) from below; 0 unless it is known to be larger.

    Returns:
        The certificate, or one without numbers and the reason.

    Raises:
        ConfigError: μ is negative, not finite or larger than ‖T‖².
    """
    step = _step_of(model)
    if isinstance(step, str):
        return Certificate(reason=step)
    for module in step.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001
            return Certificate(reason="BatchNorm has no Lipschitz bound for all images")
    name = type(step).__name__
    if not isinstance(step, AnalysedStep):
        return Certificate(reason=f"{name} has no bound of its Lipschitz constant")
    if _definer(step, "forward") is not _definer(step, "contraction"):
        return Certificate(reason=f"{name} changes the step that it inherits a proof for")
    if not isinstance(operator, LinearOperator):
        return Certificate(reason=f"{type(operator).__name__} is not linear")
    bound = operator.norm_bound()
    if bound is None:
        return Certificate(reason=f"{type(operator).__name__} has no upper bound of its norm")
    norm = largest(bound)
    if not (0 <= smallest <= norm**2 and math.isfinite(norm)):
        raise _refused(f"0 ≤ μ ≤ ‖T‖² ≤ {norm**2:.4g}", smallest, "leave it out: 0 is always safe")
    scale = _scale(model, operator)
    if scale is None:
        return Certificate(reason="the model changes its problem before the scheme sees it")
    scaled = norm * scale * (1 + _MARGIN)
    below = smallest * scale**2 * (1 - _MARGIN)
    return _of(step.contraction(scaled**2, below), scaled, below, scale)


def _scale(model: nn.Module, operator: LinearOperator) -> float | None:
    """What the model's Scaling multiplies T by; None where that is not known."""
    if not isinstance(model, Iterative):
        return 1.0
    if not isinstance(model.prepare, WithRegulariser | None):
        return None
    data = operator.codomain.zeros((1, 1))
    seen = model.scaling(InverseProblem(operator, data))[0].operator
    if seen is operator:
        return 1.0
    if not (isinstance(seen, LinearMultiple) and seen.operator is operator):
        return None
    scalar = seen.scalar
    return largest(abs(scalar)) if isinstance(scalar, Tensor) else abs(scalar)


def measured_contraction(
    step: CertifiedStep[Any], problem: Problem, *, pairs: int = 4, ascents: int = 50, seed: int = 0
) -> float:
    """The largest ‖Λ(u) - Λ(v)‖ / ‖u - v‖ that is found; a bound of the factor from below.

    Over random pairs, and over those that gradient ascent (Adam) makes of them, in the variable in
    which the step contracts. Rounding is divided by ‖u - v‖ as well: use double precision.

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

    def moved(variable: Tensor) -> Tensor:
        return step.read(step(step.lift(variable), problem))

    for _ in range(ascents):
        with torch.enable_grad():
            gap = moved(u + d) - moved(u)
            ratios = gap.flatten(1).norm(dim=1) / d.flatten(1).norm(dim=1)
        worst = max(worst, float(ratios.detach().max()))
        u.grad, d.grad = torch.autograd.grad(ratios.sum(), (u, d))
        ascent.step()
    return worst


def certified_step(model: nn.Module) -> CertifiedStep[Any] | None:
    """The step of a scheme that knows its contraction factor, if it has one."""
    step = _step_of(model)
    return step if isinstance(step, CertifiedStep) else None


def _of(found: Contraction, norm: float, smallest: float, scale: float) -> Certificate:
    proved = not found.reason
    stability = found.sensitivity / (1 - found.factor) * (1 + _MARGIN) * scale if proved else None
    return Certificate(
        norm=norm,
        largest=norm**2,
        smallest=smallest,
        epsilon=found.epsilon,
        eta=found.eta,
        weight=found.weight,
        factor=found.factor if proved else None,
        stability=stability,
        reason=found.reason,
        variable=found.variable,
    )


def _definer(step: object, name: str) -> type | None:
    """The class whose method of that name ``step`` has."""
    return next((kind for kind in type(step).__mro__ if name in vars(kind)), None)


def _step_of(model: nn.Module) -> Step[Any] | str:
    scheme = model.scheme if isinstance(model, Iterative) else model
    if isinstance(scheme, AnalysedStep):
        return scheme
    if not isinstance(scheme, FixedPoint):
        return f"{type(scheme).__name__} is no fixed point iteration"
    return scheme.step


def _refused(expected: str, found: float, fix: str) -> ConfigError:
    return ConfigError(describe(expected=expected, found=str(found), fix=fix))
