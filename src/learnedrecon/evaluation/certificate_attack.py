"""Attacks on certificates: searches for least contracting pairs and most sensitive data."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from learnedrecon.errors import ConfigError, DataError, describe
from learnedrecon.evaluation.certificate import ContractionCertificate, certified_step
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.implicit import Implicit
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.solvers.anderson import Anderson

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from learnedrecon.functionals.base import Fidelity
    from learnedrecon.operators.base import Operator
    from learnedrecon.problem import Problem
    from learnedrecon.schemes.contraction import CertifiedStep

_ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-3}
_WEIGHTS = {torch.float64: 0.0, torch.float32: 2.0**-20}


@dataclass(frozen=True)
class Attack:
    """The result of a search for least contracting pairs.

    Attributes:
        found: Largest ‖Λ(u) - Λ(v)‖ / ‖u - v‖ of the search.
        factor: Lipschitz constant of the certificate that was attacked: γ, or 1 for an averaged
            step.
        allowed: Excess that rounding explains.
    """

    found: float
    factor: float
    allowed: float

    @property
    def share(self) -> float:
        """The found factor divided by the proved one; near 1 for a tight certificate."""
        return self.found / self.factor if self.factor > 0 else math.inf

    @property
    def refuted(self) -> bool:
        """True if a pair contracts less than was proved: the certificate is false."""
        return not self.found <= self.factor + self.allowed

    def __str__(self) -> str:
        """One line, or two where the certificate is refuted."""
        line = f"worst contraction found {self.found:.6g}, {self.share:.1%} of the certified one"
        if self.refuted:
            return f"{line}\nREFUTED: no contraction factor below {self.found:.6g} can be true"
        return line


def attack(
    certificate: ContractionCertificate,
    model: nn.Module,
    operator: Operator,
    *,
    fidelity: Fidelity,
    pairs: int = 4,
    ascents: int = 50,
    seed: int = 0,
) -> Attack:
    """A search for pairs that contract less than a certificate states.

    It runs on the step of the model, with its scaling and its data term, in the precision of the
    operator.

    Args:
        certificate: Certificate to attack.
        model: Scheme of the certificate; a copy of it is attacked.
        operator: T; float64 is recommended, as rounding is divided by ‖u - v‖.
        fidelity: D of the problems.
        pairs: Number of pairs.
        ascents: Number of ascent steps, see :func:`measured_contraction`.
        seed: Seed of the random pairs and of the image whose data are used.

    Returns:
        Found and proved factors.

    Raises:
        ConfigError: There is no certificate to attack, or no pairs, or no steps.
    """
    step = certified_step(model)
    proved = certificate.lipschitz
    if proved is None or step is None:
        raise _refused("a certificate that holds", certificate.reason, "certify another model")
    dtype = operator.domain.dtype.to_real()
    weights = {p.dtype for p in model.parameters() if p.is_floating_point()}
    allowed = _ROUNDING[dtype] + max((_WEIGHTS[kind] for kind in weights), default=0.0)
    twin = copy.deepcopy(model).to(dtype).requires_grad_(requires_grad=False)
    image = operator.domain.random(torch.Generator().manual_seed(seed), (1, 1))
    device = next((b.device for b in operator.buffers()), image.device)
    data = _within(fidelity, operator(image.to(device)).detach())
    problem: Problem = InverseProblem(operator, data, fidelity)
    if isinstance(twin, Iterative):
        problem = twin.scaled(problem)[0]
    own = certified_step(twin)
    assert own is not None
    found = measured_contraction(own, problem, pairs=pairs, ascents=ascents, seed=seed)
    return Attack(found, proved, allowed)


def measured_contraction(
    step: CertifiedStep[Any], problem: Problem, *, pairs: int = 4, ascents: int = 50, seed: int = 0
) -> float:
    """The largest ‖Λ(u) - Λ(v)‖ / ‖u - v‖ of a search, a lower bound of the contraction factor.

    The search is over random pairs, and over those that gradient ascent (Adam) reaches from them,
    in the variable in which the step contracts. Rounding is divided by ‖u - v‖ as well: use double
    precision.

    Args:
        step: Step Λ.
        problem: Batch with one sample; its data have no influence where Λ is affine in them.
        pairs: Number of pairs.
        ascents: Number of ascent steps.
        seed: Seed of the random pairs.

    Raises:
        ConfigError: There are no pairs, or no steps.
    """

    def moved(variable: Tensor) -> Tensor:
        return step.read(step(step.lift(variable), problem))

    return _ascended(moved, problem.operator.domain.shape, problem.data, (pairs, ascents, seed))


def measured_stability(
    step: CertifiedStep[Any],
    problem: InverseProblem,
    *,
    pairs: int = 4,
    ascents: int = 50,
    seed: int = 0,
) -> float:
    """The largest ‖u(y) - u(y')‖ / ‖y - y'‖ of a search, with the image u(y) of the fixed point.

    The search is that of :func:`measured_contraction`, over pairs of data; every step solves the
    fixed points of all pairs to 1e-12 and their linearised equations to 1e-10.

    Args:
        step: Step Λ, with frozen weights, in double precision.
        problem: Batch with one sample, whose data are replaced.
        pairs: Number of pairs.
        ascents: Number of ascent steps.
        seed: Seed of the random pairs.

    Raises:
        ConfigError: There are no pairs, or no steps.
    """
    backward = Implicit(Anderson(1e-10, 2000))
    fixed = FixedPoint(step, Anderson(1e-12, 2000), backward)
    start = problem.operator.domain.zeros((pairs, 1)).to(problem.data)

    def image(data: Tensor) -> Tensor:
        end = fixed(step.lift(start), replace(problem, data=data))
        found: Tensor = end.image
        return found

    shape = problem.operator.codomain.shape
    return _ascended(image, shape, problem.data, (pairs, ascents, seed))


def _ascended(
    moved: Callable[[Tensor], Tensor],
    shape: tuple[int, ...],
    like: Tensor,
    numbers: tuple[int, int, int],
) -> float:
    """The largest ‖f(u + d) - f(u)‖/‖d‖ that Adam finds from random u and d."""
    pairs, ascents, seed = numbers
    if min(pairs, ascents) < 1:
        raise _refused(
            "at least one pair and one step of the ascent",
            f"pairs = {pairs}, ascents = {ascents}",
            "ask for more, or do without an attack",
        )
    generator = torch.Generator().manual_seed(seed)
    size = (pairs, 1, *shape)
    start = [torch.randn(size, generator=generator, dtype=like.dtype) for _ in range(2)]
    u, d = (tensor.to(like.device).requires_grad_() for tensor in start)
    ascent = torch.optim.Adam([u, d], lr=0.1, maximize=True)
    worst = 0.0
    for _ in range(ascents):
        with torch.enable_grad():
            gap = moved(u + d) - moved(u)
            ratios = gap.flatten(1).norm(dim=1) / d.flatten(1).norm(dim=1)
        worst = max(worst, float(ratios.detach().max()))
        u.grad, d.grad = torch.autograd.grad(ratios.sum(), (u, d), allow_unused=True)
        ascent.step()
    return worst


def _refused(expected: str, found: str, fix: str) -> ConfigError:
    return ConfigError(describe(expected=expected, found=found, fix=fix))


def _within(fidelity: Fidelity, data: Tensor) -> Tensor:
    """Data that the data term is defined for: their absolute values where negative ones are not."""
    try:
        fidelity.check_data(data)
    except DataError:
        return data.abs()
    return data
