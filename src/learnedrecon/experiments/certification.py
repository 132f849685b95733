"""Certification of a trained fixed point scheme, with a search for counterexamples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from learnedrecon.allocation import kept_memory
from learnedrecon.errors import ConfigError, describe
from learnedrecon.evaluation.certificate import ContractionCertificate
from learnedrecon.evaluation.certificate import certify as certificate_of
from learnedrecon.evaluation.certificate_attack import Attack
from learnedrecon.evaluation.certificate_attack import attack as attack_on
from learnedrecon.experiments.energy import Minimiser, minimiser
from learnedrecon.experiments.experiment import FIDELITIES
from learnedrecon.experiments.method import find_method, require_operator
from learnedrecon.functionals.fidelities import LeastSquares

if TYPE_CHECKING:
    import os

    from learnedrecon.operators.base import Operator
    from learnedrecon.schemes.reconstructor import Reconstructor

MOST_STEPS = 100_000
"""Steps of a search at most."""


@dataclass(frozen=True, eq=False)
class Certification:
    """A certificate with the result of a search for counterexamples.

    Attributes:
        certificate: Proven bounds, or the reason why there are none.
        attack: Result of the search; None without a search.
        minimiser: Energy that the fixed point minimises, or the reason why none is known; None for
            schemes without a fixed point, and for other data terms than least squares.
    """

    certificate: ContractionCertificate
    attack: Attack | None = None
    minimiser: Minimiser | None = None

    @property
    def holds(self) -> bool:
        """True if there is a certificate that the search did not refute."""
        refuted = self.attack is not None and self.attack.refuted
        return self.certificate.holds and not refuted


@kept_memory()
def certify(
    method: str | os.PathLike[str] | Reconstructor,
    *,
    operator: Operator | None = None,
    smallest: float = 0.0,
    attack: int = 50,
) -> Certification:
    """The certificate of a fixed point scheme, with a search for pairs that refute it.

    Args:
        method: Run folder, weights file, or model.
        operator: T; that of the training unless given.
        smallest: Lower bound μ of the smallest eigenvalue of T*T.
        attack: Number of steps of the search; 0 for none.

    Raises:
        ConfigError: μ or ``attack`` is out of range, or there is no operator.
        FileFormatError: There is no such run or file, or weights are broken.
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
    least = minimiser(found.model, given) if type(fidelity) is LeastSquares else None
    if not certificate.holds or not attack:
        return Certification(certificate, minimiser=least)
    searched = attack_on(certificate, found.model, given, fidelity=fidelity, ascents=attack)
    return Certification(certificate, searched, least)
