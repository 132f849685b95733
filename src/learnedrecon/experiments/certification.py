"""What can be proved of a trained fixed point scheme, and a search against the proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from learnedrecon.errors import ConfigError, describe
from learnedrecon.evaluation.certificate import ContractionCertificate
from learnedrecon.evaluation.certificate import certify as certificate_of
from learnedrecon.evaluation.certificate_attack import Attack
from learnedrecon.evaluation.certificate_attack import attack as attack_on
from learnedrecon.experiments.experiment import FIDELITIES
from learnedrecon.experiments.method import find_method, require_operator

if TYPE_CHECKING:
    import os

    from learnedrecon.operators.base import Operator
    from learnedrecon.schemes.reconstructor import Reconstructor

MOST_STEPS = 100_000
"""Steps of a search at most."""


@dataclass(frozen=True, eq=False)
class Certification:
    """A certificate, and what a search found against it.

    Attributes:
        certificate: What is proved, or why nothing is.
        attack: What was found by search; None where nothing was searched.
    """

    certificate: ContractionCertificate
    attack: Attack | None = None

    @property
    def holds(self) -> bool:
        """Whether there is a certificate that the search did not refute."""
        refuted = self.attack is not None and self.attack.refuted
        return self.certificate.holds and not refuted


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
    given, fidelity = given.double(), FIDELITIES[found.fidelity]()
    certificate = certificate_of(found.model, given, fidelity=fidelity, smallest=smallest)
    if not certificate.holds or not attack:
        return Certification(certificate)
    searched = attack_on(certificate, found.model, given, fidelity=fidelity, ascents=attack)
    return Certification(certificate, searched)
