"""Steps whose fixed point is the reconstruction (Gilton, Ongie, Willett, IEEE TCI 7, 2021)."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, describe
from learnedrecon.schemes.step import Step

if TYPE_CHECKING:
    from learnedrecon.networks.lipschitz import NearIdentity
    from learnedrecon.problem import Problem


class Image(NamedTuple):
    """The state of a scheme without memory.

    Attributes:
        image: u, (batch, channel, *domain.shape).
    """

    image: Tensor


class Contraction(NamedTuple):
    """What a step says of itself for an operator with L = ‖T‖² and T*T ≥ μ.

    Attributes:
        epsilon: the bound of the Lipschitz constant of R - Id; None where there is no bound.
        eta: the step size.
        weight: λ.
        factor: γ, a bound of the Lipschitz constant of u ↦ Λ(u; y); at least 1 where it is none.
        sensitivity: a bound of the Lipschitz constant of y ↦ Λ(u; y).
        reason: why there is no contraction; empty where there is one.
    """

    epsilon: float | None
    eta: float
    weight: float
    factor: float
    sensitivity: float
    reason: str = ""


class CertifiedStep(Step[Image]):
    """A step that can say whether it is a contraction."""

    @abstractmethod
    def contraction(self, largest: float, smallest: float) -> Contraction:
        """The bound of its contraction factor.

        Args:
            largest: L ≥ ‖T‖², a bound from above.
            smallest: μ ≥ 0 with T*T ≥ μ, a bound from below.
        """


class GradientEquilibrium(CertifiedStep):
    """u ← u + η(T*(y - Tu) - λR(u)), 'DE-Grad'.

    With R - Id ε-Lipschitz and 0 < η ≤ 1/(L + λ) its contraction factor is at most
    γ = 1 - η(μ + λ(1 - ε)): I - ηT*T - ηλ has the norm 1 - η(μ + λ) as it is symmetric and not
    negative, and the rest adds ηλε. λ = 1 is the paper's theorem. Fixed points solve
    T*(Tu - y) + λR(u) = 0.

    Args:
        network: R.
        weight: λ > 0, trained as log λ.
        step: η; None for 0.95/(1 + λ), which suits an operator of norm 1 (see :class:`Scaling`) and
            follows λ when that is trained.

    Raises:
        ConfigError: λ or η is not positive.
    """

    def __init__(self, network: NearIdentity, weight: float, step: float | None = None) -> None:
        super().__init__()
        _require_positive("weight", weight)
        _require_positive("step", 1.0 if step is None else step)
        self.network = network
        self.log_weight = nn.Parameter(torch.tensor(math.log(weight)))
        self.step = step

    def sizes(self) -> tuple[Tensor, Tensor | float]:
        """λ and η."""
        weight = self.log_weight.exp()
        return weight, 0.95 / (1 + weight) if self.step is None else self.step

    def forward(self, state: Image, problem: Problem) -> Image:
        (u,) = state
        weight, eta = self.sizes()
        return Image(u - eta * (problem.gradient(u) + weight * self.network(u)))

    def contraction(self, largest: float, smallest: float) -> Contraction:
        epsilon = self.network.deviation_bound()
        weight, eta = (float(torch.as_tensor(size).detach()) for size in self.sizes())
        factor = 1 - eta * (smallest + weight * (1 - epsilon))
        reason = ""
        if not 0 < eta <= 1 / (largest + weight):
            factor = math.inf
            limit = 1 / (largest + weight)
            reason = f"the step size {eta:.4g} is outside (0, 1/(L + λ)] = (0, {limit:.4g}]"
        elif not factor < 1:
            reason = f"ε = {epsilon:.4g} is not below 1 + μ/λ = {1 + smallest / weight:.4g}"
        return Contraction(epsilon, eta, weight, factor, eta * math.sqrt(largest), reason)


class ProximalEquilibrium(CertifiedStep):
    """u ← R(u - ηT*(Tu - y)), 'DE-Prox'.

    The contraction factor is at most (1 + ε)·max(|1 - ηL|, |1 - ημ|), which is below 1 only if
    μ > 0: where T has a null space there is no certificate.

    Args:
        network: R, with R - Id ε-Lipschitz.
        step: η > 0.

    Raises:
        ConfigError: η is not positive.
    """

    def __init__(self, network: NearIdentity, step: float = 0.95) -> None:
        super().__init__()
        _require_positive("step", step)
        self.network = network
        self.step = step

    def forward(self, state: Image, problem: Problem) -> Image:
        (u,) = state
        return Image(self.network(u - self.step * problem.gradient(u)))

    def contraction(self, largest: float, smallest: float) -> Contraction:
        epsilon = self.network.deviation_bound()
        inner = max(abs(1 - self.step * largest), abs(1 - self.step * smallest))
        factor = (1 + epsilon) * inner
        reason = ""
        if not factor < 1:
            reason = (
                f"(1 + ε)·max(|1 - ηL|, |1 - ημ|) = {factor:.4g} with μ = {smallest:.4g}; a "
                "proximal step needs T*T ≥ μ > 0"
            )
        sensitivity = (1 + epsilon) * self.step * math.sqrt(largest)
        return Contraction(epsilon, self.step, 1.0, factor, sensitivity, reason)


def _require_positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(
            describe(expected=f"{name} > 0", found=str(value), fix="give a positive number")
        )
