"""Certificates from both sides: what they bound is attained, so that none could be smaller."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import torch
from torch import Tensor

from learnedrecon.evaluation.certificate import ContractionCertificate, certify
from learnedrecon.evaluation.certificate_attack import (
    attack,
    measured_contraction,
    measured_stability,
)
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.models.equilibrium import GradientEquilibrium, ProximalEquilibrium
from learnedrecon.models.equilibrium_splitting import AdmmEquilibrium
from learnedrecon.networks.bounded import BoundedNetwork, NearIdentity
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem

if TYPE_CHECKING:
    from learnedrecon.schemes.contraction import CertifiedStep

SPACE = Space((1, 3), torch.float64)
ASCENTS = 120
TIGHT = 2e-5
"""What float32 margins and rounding leave between a bound and what attains it."""


class Signs(BoundedNetwork):
    """N(u) = su with a sign s for every pixel: 1-Lipschitz, and nothing is lost in a bound."""

    def __init__(self, *signs: float) -> None:
        super().__init__()
        self.signs = torch.tensor(signs, dtype=torch.float64)

    @property
    def ends(self) -> tuple[int, int]:
        return 1, 1

    def forward(self, u: Tensor) -> Tensor:
        return self.signs * u

    def lipschitz_bound(self) -> float:
        return 1.0


class Case(NamedTuple):
    """A step on a diagonal T with a linear R, the pixels in order of the singular values."""

    step: CertifiedStep[Any]
    singular: tuple[float, float, float]
    factor: float
    stability: float | None = None


def gradient(epsilon: float, weight: float, eta: float, *signs: float) -> GradientEquilibrium:
    return GradientEquilibrium(NearIdentity(Signs(*signs), epsilon), weight, step=eta).double()


def proximal(epsilon: float, eta: float, *signs: float) -> ProximalEquilibrium:
    return ProximalEquilibrium(NearIdentity(Signs(*signs), epsilon), eta)


def admm(epsilon: float, penalty: float, *signs: float) -> AdmmEquilibrium:
    network = NearIdentity(Signs(*signs), epsilon)
    return AdmmEquilibrium(network, penalty).double()


ONE = (1.0, 1.0, 1.0)
CASES = {
    # 1 - η(μ + λ(1 - ε)) at the pixel of μ, where N does not contract R.
    "gradient, μ = 0": Case(gradient(0.5, 0.3, 0.7, *ONE), (0.0, 0.6, 1.0), 1 - 0.7 * 0.15),
    "gradient, μ > 0": Case(gradient(0.5, 0.3, 0.7, *ONE), (0.5, 0.6, 1.0), 1 - 0.7 * 0.4),
    # The image moves by η‖T‖/(1 - γ) where μ = L.
    "gradient, μ = L": Case(
        gradient(0.5, 0.3, 0.7, *ONE), (0.9, 0.9, 0.9), 1 - 0.7 * 0.96, 0.9 / 0.96
    ),
    # (1 + ε)·max(|1 - ηL|, |1 - ημ|), with N = -Id; once at μ, once at L.
    "proximal, at μ": Case(proximal(0.2, 0.9, -1, -1, -1), (0.7, 0.8, 1.0), 1.2 * (1 - 0.9 * 0.49)),
    "proximal, at L": Case(proximal(0.1, 1.8, -1, -1, -1), (0.9, 0.95, 1.0), 1.1 * 0.8),
    "proximal, μ = L": Case(
        proximal(0.13, 0.95, -1, -1, -1),
        (0.9, 0.9, 0.9),
        1.13 * (1 - 0.95 * 0.81),
        1.13 * 0.95 * 0.9 / (1 - 1.13 * (1 - 0.95 * 0.81)),
    ),
    # 1/(1 + αμ) + ε·(1 - αμ)/(1 + αμ), N with the sign of 2M - I; at L the reflection vanishes.
    "ADMM, reflection at μ": Case(
        admm(0.3, 1.0, -1, -1, -1), (0.6, 0.8, 1.0), 1 / 1.36 + 0.3 * 0.64 / 1.36
    ),
    # The reflection is largest at L, where M is small: as large as it gets if μ = L.
    "ADMM, reflection at L": Case(
        admm(0.3, 20.0, 1, 1, 1), (0.3, 0.3, 0.3), 1 / 2.8 + 0.3 * 0.8 / 2.8
    ),
    # (1 + ε)√α/2/(1 - γ) at the singular value 1/√α, where the reflection is zero.
    "ADMM, s = 1/√α": Case(admm(0.2, 4.0, -1, -1, -1), (0.5, 0.5, 0.5), 0.5, 1.2 * 1.0 / 0.5),
}


def solved(case: Case) -> tuple[InverseProblem, float, float]:
    operator = Diagonal(SPACE, torch.tensor([case.singular], dtype=torch.float64))
    step = case.step.requires_grad_(requires_grad=False)
    smallest = min(case.singular) ** 2
    certificate = certify(step, operator, fidelity=LeastSquares(), smallest=smallest)
    assert certificate.holds, certificate.reason
    assert certificate.factor is not None
    assert certificate.stability is not None
    given = InverseProblem(operator, torch.zeros(1, 1, 1, 3, dtype=torch.float64))
    return given, certificate.factor, certificate.stability


@pytest.mark.parametrize("name", CASES)
def test_the_contraction_factor_is_attained_and_never_passed(name: str) -> None:
    case = CASES[name]
    given, factor, _ = solved(case)
    assert case.factor <= factor <= case.factor * (1 + TIGHT)
    found = measured_contraction(case.step, given, pairs=2, ascents=ASCENTS)
    assert (1 - 1e-3) * factor < found <= factor


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.stability])
def test_the_stability_constant_is_attained_and_never_passed(name: str) -> None:
    case = CASES[name]
    assert case.stability is not None
    given, _, stability = solved(case)
    assert case.stability <= stability <= case.stability * (1 + 10 * TIGHT)
    found = measured_stability(case.step, given, pairs=2, ascents=5)
    assert (1 - 1e-3) * stability < found <= stability


@pytest.mark.parametrize(
    ("step", "singular", "loose"),
    [
        (admm(0.03, 20.0, -1, -1, -1), 0.3, 1.1),
        (proximal(0.13, 0.95, 1, 1, 1), 0.9, 1.6),
        (admm(0.1, 1.0, -1, -1, -1), 0.9, 1.1),
        (gradient(0.5, 0.3, 0.7, 1, 1, 1), 0.4, 1.01),
    ],
    ids=["ADMM, α = 20", "proximal, expected sign", "ADMM, α = 1", "gradient"],
)
def test_stability_away_from_the_tightest_case(
    step: CertifiedStep[Any], singular: float, loose: float
) -> None:
    """No more than a stated factor above what is found: a halved constant would be below it."""
    given, _, stability = solved(Case(step, (singular,) * 3, 0.0))
    found = measured_stability(step, given, pairs=2, ascents=5)
    assert found <= stability <= loose * found


def test_signs_in_single_pixels_mix_the_worst_of_both_ends() -> None:
    """γ of ADMM adds the largest M, at μ, to the largest reflection, at L; each pixel has one."""
    step, singular = admm(0.3, 20.0, -1, 1, 1), (0.2, 0.5, 1.0)
    given, factor, _ = solved(Case(step, singular, 0.0))
    ends = [1 / (1 + 20 * s**2) + 0.3 * abs(1 - 20 * s**2) / (1 + 20 * s**2) for s in singular]
    found = measured_contraction(step, given, pairs=2, ascents=ASCENTS)
    assert found == pytest.approx(max(ends), rel=1e-5)
    assert factor == pytest.approx(1 / 1.8 + 0.3 * 19 / 21, rel=1e-5)


@pytest.mark.parametrize("name", ["gradient, μ > 0", "proximal, at L", "ADMM, s = 1/√α"])
def test_an_attack_refutes_every_smaller_factor(name: str) -> None:
    case = CASES[name]
    given, factor, _ = solved(case)
    arguments = (case.step, given.operator)
    claim = ContractionCertificate(factor=factor)
    found = attack(claim, *arguments, fidelity=LeastSquares(), pairs=2, ascents=ASCENTS)
    claims = [replace(found, factor=share * factor) for share in (1.0, 0.995, 0.5)]
    assert [one.refuted for one in claims] == [False, True, True]
    assert ["REFUTED" in str(one) for one in claims] == [False, True, True]
    assert claims[2].share == pytest.approx(2, rel=1e-4)
