"""What can be proved of a trained fixed point scheme, and a search against the proof."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from learnedrecon.errors import ConfigError, describe
from learnedrecon.evaluation.certificate import Certificate, certified_step, measured_contraction
from learnedrecon.evaluation.certificate import certify as certificate_of
from learnedrecon.experiments.method import find_method, require_operator
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.reconstructor import Iterative, Reconstructor

if TYPE_CHECKING:
    import os

    from learnedrecon.operators.base import Operator

MOST_STEPS = 100_000
"""Steps of a search at most."""

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Certification:
    """A certificate, and what a search found against it.

    Attributes:
        certificate: What is proved, or why nothing is.
        worst: Largest contraction that was found by search; None where nothing was searched.
    """

    certificate: Certificate
    worst: float | None = None

    @property
    def refuted(self) -> bool:
        """Whether the search passed the bound, which then is none."""
        factor = self.certificate.factor
        return (
            self.worst is not None
            and factor is not None
            and not (self.worst <= factor * (1 + _ROUNDING))
        )

    @property
    def holds(self) -> bool:
        """Whether there is a certificate that the search did not refute."""
        return self.certificate.holds and not self.refuted


def certify(
    method: str | os.PathLike[str] | Reconstructor,
    *,
    operator: Operator | None = None,
    smallest: float = 0.0,
    attack: int = 50,
) -> Certification:
    """Certifies the contraction of a fixed point scheme, and searches for pairs that refute it.

    Args:
        method: A run folder, a weights file, or a model.
        operator: T; that of the training unless given.
        smallest: μ, a lower bound of the smallest eigenvalue of T*T.
        attack: Steps of the search; 0 for none.

    Raises:
        ConfigError: μ or ``attack`` out of range, or no operator.
        FileFormatError: No such run or file, or broken weights.
    """
    if not 0 <= attack <= MOST_STEPS:
        raise ConfigError(
            describe(
                expected=f"0 to {MOST_STEPS} steps of the search",
                found=f"{attack}",
                fix="correct --attack",
            )
        )
    found = find_method(method)
    given = require_operator(found, method) if operator is None else operator
    certificate = certificate_of(found.model, given.double(), smallest=smallest)
    step = certified_step(found.model)
    if certificate.factor is None or step is None or not attack:
        return Certification(certificate)
    model = copy.deepcopy(found.model).double()
    step = certified_step(model)
    assert step is not None
    channels = found.channels
    problem = InverseProblem(given.double(), given.codomain.zeros((1, channels)).double())
    scaled = model.scaling(problem)[0] if isinstance(model, Iterative) else problem
    step.requires_grad_(requires_grad=False)
    return Certification(certificate, measured_contraction(step, scaled, ascents=attack))
