"""Certificates of fixed point schemes: contraction, iterations, stability."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from torch import Tensor, nn

from learnedrecon.errors import ConfigError, describe
from learnedrecon.evaluation.certificate_operator import Evidence, examine
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.models.equilibrium_splitting import WithSolver
from learnedrecon.models.learned_gradient import WithRegulariser
from learnedrecon.operators.leading import largest
from learnedrecon.operators.linear import LinearMultiple, LinearOperator
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.contraction import AnalysedStep, CertifiedStep, Contraction
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.reconstructor import Iterative

if TYPE_CHECKING:
    from learnedrecon.functionals.base import Fidelity
    from learnedrecon.operators.base import Operator
    from learnedrecon.schemes.step import Step

Basis: TypeAlias = Literal["proved", "checked", "given"]
_MARGIN = 1e-12
_STATEMENTS = (
    "contraction",
    "deviation_bound",
    "averagedness_bound",
    "lipschitz_bound",
    "norm_bound",
)


class Ground(NamedTuple):
    """One assumption of a certificate.

    Attributes:
        part: Name of the part, such as "data term".
        statement: Statement that is assumed to hold.
        basis: "proved" by a theorem, "checked" by numbers that did not contradict it, or "given" by
            the caller.
    """

    part: str
    statement: str
    basis: Basis


@dataclass(frozen=True)
class ContractionCertificate:
    """Proven bounds of a scheme with their assumptions, or the reason why there are none.

    The bounds are proved for the map with the present weights and the data term ½‖Tu - y‖², in
    exact arithmetic. Norms and μ are those of the operator that the scheme sees: T/‖T‖ for a
    :class:`Scaling` that divides by the norm.

    Attributes:
        norm: Upper bound of ‖T‖.
        largest: Upper bound L = ‖T‖².
        smallest: Lower bound μ ≤ λ_min(T*T).
        epsilon: Bound of the Lipschitz constant of R - Id.
        eta: Step size η.
        weight: λ, where R has one.
        factor: Contraction factor γ; None without a proof that the step contracts.
        averaged: θ of a step that is θ-averaged, so that its iterates converge to a fixed point if
            there is one; None where it is unknown.
        stability: Constant of ‖u(y) - u(y')‖ ≤ stability·‖y - y'‖ in the units of the image and the
            data, for one and the same image scale c; None without a contraction.
        reason: Reason why there is no certificate; empty where there is one.
        variable: Name of the variable in which the step contracts.
        grounds: Assumptions of the proof; empty without a certificate.
    """

    norm: float | None = None
    largest: float | None = None
    smallest: float | None = None
    epsilon: float | None = None
    eta: float | None = None
    weight: float | None = None
    factor: float | None = None
    averaged: float | None = None
    stability: float | None = None
    reason: str = ""
    variable: str = "u"
    grounds: tuple[Ground, ...] = ()

    @property
    def holds(self) -> bool:
        """True if the scheme is proved to be a contraction, or at least averaged."""
        return not self.reason

    @property
    def lipschitz(self) -> float | None:
        """The proved Lipschitz constant of the step: γ, or 1 if it is only averaged."""
        if self.factor is None and self.averaged is not None:
            return 1.0
        return self.factor

    def iterations(self, tolerance: float) -> int | None:
        """The number of undamped Picard iterations that reduce the distance to the fixed point.

        Args:
            tolerance: Distance of the variable relative to that at the start, above 0.

        Returns:
            Number that is sufficient for every y and every start; None without a contraction.

        Raises:
            ConfigError: The tolerance is not positive.
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
        """A table and what it rests on, or 'no certificate' and why."""
        rows = {
            "L, bound of ‖T‖²": self.largest,
            "μ, T*T is at least": self.smallest,
            "ε, bound for R - Id": self.epsilon,
            "η, step size": self.eta,
            "λ, weight of R": self.weight,
            "γ, contraction factor": self.factor,
            "θ, step averaged": self.averaged,
            "stability constant": self.stability,
        }
        lines = [f"  {name:<24}{value:.6g}" for name, value in rows.items() if value is not None]
        if not self.holds:
            return "\n".join([f"No certificate: {self.reason}.", *lines])
        rests = [f"  {part:<16}{text} ({basis})" for part, text, basis in self.grounds]
        return "\n".join([*self._proved(lines), "It rests on:", *rests])

    def _proved(self, lines: list[str]) -> list[str]:
        """The statement that is proved, with its numbers."""
        if self.factor is not None:
            for tolerance in (1e-2, 1e-4):
                number = self.iterations(tolerance)
                lines.append(f"  iterations to {tolerance:<10g}{number}")
            return [f"A contraction of {self.variable}, by proof:", *lines]
        assert self.averaged is not None
        rate = math.sqrt(self.averaged / (1 - self.averaged))
        name = self.variable
        lines.append(f"  ‖Λᵏ⁺¹ - Λᵏ‖ at most    {rate:.6g}/√(k + 1)·‖start - fixed point‖")
        return [f"An averaged map of {name}, by proof: iterates converge, no rate of γᵏ:", *lines]


def certify(
    model: nn.Module, operator: Operator, *, fidelity: Fidelity, smallest: float = 0.0
) -> ContractionCertificate:
    """The proven bounds of ``model`` on ``operator``, with their assumptions.

    T and T* are applied some 100 times, to detect an operator that contradicts its adjoint, its
    bound or μ.

    Args:
        model: Scheme with a :class:`FixedPoint` of a step with a contraction bound, in the
            precision in which it is used.
        operator: T of the problems; the model's Scaling is applied to it here.
        fidelity: D of the problems. Proofs exist for :class:`LeastSquares`.
        smallest: Lower bound μ of λ_min(T*T); 0 unless it is known to be larger.

    Returns:
        Certificate, or one without numbers and with the reason.

    Raises:
        ConfigError: μ is negative, not finite, larger than ‖T‖², or larger than ‖Tu‖²/‖u‖² for
            some u.
    """
    step = fixed_point_step(model)
    reason = step if isinstance(step, str) else _unproved(step, fidelity)
    if isinstance(step, str) or reason:
        return ContractionCertificate(reason=reason)
    assert isinstance(step, AnalysedStep)
    if not isinstance(operator, LinearOperator):
        return ContractionCertificate(reason=f"{type(operator).__name__} is not linear")
    bound = operator.norm_bound()
    if bound is None:
        name = type(operator).__name__
        return ContractionCertificate(reason=f"{name} has no upper bound of its norm")
    norm = largest(bound)
    if not (0 <= smallest <= norm**2 and math.isfinite(norm)):
        raise _refused(f"0 ≤ μ ≤ ‖T‖² ≤ {norm**2:.4g}", smallest, "omit it: 0 is always safe")
    evidence = examine(operator)
    if reason := _contradiction(operator, norm, evidence):
        return ContractionCertificate(reason=reason)
    if smallest > evidence.smallest * (1 + evidence.tolerance):
        limit = f"μ ≤ {evidence.smallest:.4g}, which is ‖Tu‖²/‖u‖² for some u"
        raise _refused(limit, smallest, "omit it: 0 is always safe")
    scale = _scale(model, operator)
    if scale is None:
        return ContractionCertificate(
            reason="the model changes its problem before the scheme sees it"
        )
    scaled = norm * scale * (1 + _MARGIN)
    below = smallest * scale**2 * (1 - _MARGIN)
    grounds = _grounds(step, operator, (norm, smallest), evidence)
    found = step.contraction(scaled**2, below)
    return _of(found, scaled, below, scale, (*grounds, *_existence(found)))


def certified_step(model: nn.Module) -> CertifiedStep[Any] | None:
    """The step of a scheme with a contraction bound, or None.

    Args:
        model: Scheme.
    """
    step = fixed_point_step(model)
    return step if isinstance(step, CertifiedStep) else None


def _unproved(step: Step[Any], fidelity: Fidelity) -> str:
    """The reason why nothing is proved of a step and a data term, or empty."""
    if type(fidelity) is not LeastSquares:
        return f"proofs are for the data term LeastSquares, not for {type(fidelity).__name__}"
    for module in step.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - torch has no public name
            return "BatchNorm has no Lipschitz bound for all images"
    if not isinstance(step, AnalysedStep):
        return f"{type(step).__name__} has no bound of its Lipschitz constant"
    return next((reason for module in step.modules() if (reason := _borrowed(module))), "")


def _borrowed(module: nn.Module) -> str:
    """The reason why the stated bound of a module is that of another map, or empty."""
    kind = type(module)
    for statement in _STATEMENTS:
        if not hasattr(kind, statement):
            continue
        if statement not in vars(kind):
            return f"{kind.__name__} inherits a proof, and may change the map that it is for"
        if module._forward_hooks or module._forward_pre_hooks:  # noqa: SLF001 - torch has no public name
            return f"hooks of {kind.__name__} may change its map"
        changed = [name for name in vars(module) if callable(getattr(kind, name, None))]
        if changed:
            return f"{', '.join(changed)} of a {kind.__name__} was replaced"
    return ""


def _contradiction(operator: LinearOperator, norm: float, evidence: Evidence) -> str:
    """The contradiction between T and its adjoint or its bound, or empty."""
    name = type(operator).__name__
    if not evidence.defect <= evidence.tolerance:
        return (
            f"the adjoint of {name} is wrong: ⟨Tu, v⟩ and ⟨u, T*v⟩ differ by "
            f"{evidence.defect:.1e} of ‖Tu‖‖v‖"
        )
    if not evidence.norm <= norm * (1 + evidence.tolerance):
        return f"the bound {norm:.6g} of ‖T‖ is wrong: {name} has ‖Tu‖ = {evidence.norm:.6g}·‖u‖"
    return ""


def _grounds(
    step: Step[Any], operator: LinearOperator, bounds: tuple[float, float], evidence: Evidence
) -> tuple[Ground, ...]:
    """The assumptions of a proof, except for the numbers of the step itself."""
    norm, smallest = bounds
    name = type(operator).__name__
    kinds = [type(m).__name__ for m in step.modules() if _states_a_bound(m) and m is not step]
    gap = norm / evidence.norm - 1 if evidence.norm > 0 else 0.0
    sharp = "exact" if gap <= evidence.tolerance else f"at most {gap:.1e} above ‖T‖"
    least = f"{evidence.smallest:.6g}"
    given = f"T*T ≥ {smallest:.6g}; ‖Tu‖²/‖u‖² = {least} was found"
    return (
        Ground("data term", "½‖Tu - y‖², LeastSquares", "proved"),
        Ground("adjoint", f"of {name}, exact up to {evidence.defect:.0e}", "checked"),
        Ground("norm", f"‖T‖ ≤ {norm:.6g} by {name}.norm_bound, {sharp}", "proved"),
        Ground("μ", given, "given") if smallest else Ground("μ", "T*T ≥ 0", "proved"),
        Ground("network", f"R - Id, by the bounds of {', '.join(dict.fromkeys(kinds))}", "proved"),
        Ground("step size", f"allowed by {type(step).__name__} for this L", "proved"),
        Ground("solver", "undamped Picard iterations in exact arithmetic", "given"),
    )


def _existence(found: Contraction) -> tuple[Ground, ...]:
    """The assumption that an averaged step has a fixed point; a contraction has one by Banach."""
    if found.averaged is None or math.isfinite(found.factor):
        return ()
    if found.existence:
        return (Ground("fixed point", f"there is one: {found.existence}", "proved"),)
    return (Ground("fixed point", "there is one; otherwise iterates grow beyond bounds", "given"),)


def _states_a_bound(module: nn.Module) -> bool:
    return any(hasattr(type(module), statement) for statement in _STATEMENTS)


def _scale(model: nn.Module, operator: LinearOperator) -> float | None:
    """The factor of T in the model's Scaling; None where it is not known."""
    if not isinstance(model, Iterative):
        return 1.0
    if not isinstance(model.prepare, WithRegulariser | WithSolver | None):
        return None
    data = operator.codomain.zeros((1, 1))
    seen = model.scaling(InverseProblem(operator, data))[0].operator
    if seen is operator:
        return 1.0
    if not (isinstance(seen, LinearMultiple) and seen.operator is operator):
        return None
    scalar = seen.scalar
    return largest(scalar.abs()) if isinstance(scalar, Tensor) else abs(scalar)


def _of(
    found: Contraction, norm: float, smallest: float, scale: float, grounds: tuple[Ground, ...]
) -> ContractionCertificate:
    proved = not found.reason
    contracts = proved and found.factor < 1
    stability = found.sensitivity / (1 - found.factor) * (1 + _MARGIN) * scale
    return ContractionCertificate(
        norm=norm,
        largest=norm**2,
        smallest=smallest,
        epsilon=found.epsilon,
        eta=found.eta,
        weight=found.weight,
        factor=found.factor if contracts else None,
        averaged=found.averaged if proved else None,
        stability=stability if contracts else None,
        reason=found.reason,
        variable=found.variable,
        grounds=grounds if proved else (),
    )


def fixed_point_step(model: nn.Module) -> Step[Any] | str:
    """The step of a fixed point scheme, or the reason why there is none.

    Args:
        model: Scheme, or its step.
    """
    scheme = model.scheme if isinstance(model, Iterative) else model
    if isinstance(scheme, AnalysedStep):
        return scheme
    if not isinstance(scheme, FixedPoint):
        return f"{type(scheme).__name__} is no fixed point iteration"
    return scheme.step


def _refused(expected: str, found: float, fix: str) -> ConfigError:
    return ConfigError(describe(expected=expected, found=str(found), fix=fix))
