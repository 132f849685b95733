"""Steps whose fixed point is the reconstruction (Gilton, Ongie, Willett, IEEE TCI 7, 2021)."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, describe
from learnedrecon.networks.bounded import NearIdentity
from learnedrecon.schemes.step import Step

if TYPE_CHECKING:
    from learnedrecon.networks.conv import ConvNet
    from learnedrecon.problem import Problem

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]
ROUNDING = 2.0**-21
"""A margin for step sizes that are rounded to float32."""


class Image(NamedTuple):
    """The state of a scheme without memory.

    Attributes:
        image: u, (batch, channel, *domain.shape).
    """

    image: Tensor


class Contraction(NamedTuple):
    """What a step says of itself for a linear operator with L ≥ ‖T‖² and T*T ≥ μ.

    For the data term ½‖Tu - y‖² and in exact arithmetic, with the weights as they are.

    Attributes:
        epsilon: the bound of the Lipschitz constant of R - Id.
        eta: the step size.
        factor: γ, a bound of the Lipschitz constant of the step, as a map of ``variable``; infinite
            where none is known.
        sensitivity: ‖u(y) - u(y')‖ ≤ sensitivity/(1 - γ)·‖y - y'‖ for the images of fixed points.
        reason: why there is no contraction; empty where there is one.
        weight: λ, where R has one.
        variable: in which the step contracts.
    """

    epsilon: float
    eta: float
    factor: float
    sensitivity: float
    reason: str = ""
    weight: float | None = None
    variable: str = "u"


class AnalysedStep(Step[S]):
    """A step that can say whether it is a contraction, or why that is not known."""

    @abstractmethod
    def contraction(self, largest: float, smallest: float) -> Contraction:
        """The bound of its contraction factor.

        Args:
            largest: L ≥ ‖T‖², a bound from above.
            smallest: μ ≥ 0 with T*T ≥ μ, a bound from below.
        """


class CertifiedStep(AnalysedStep[S]):
    """A step that is a contraction of some variable, for some operators."""

    @abstractmethod
    def lift(self, variable: Tensor) -> S:
        """The state that the variable stands for."""

    @abstractmethod
    def read(self, state: S) -> Tensor:
        """The variable after a step."""


class ImageStep(CertifiedStep[Image]):
    """A certified step whose variable is the image itself."""

    def lift(self, variable: Tensor) -> Image:
        return Image(variable)

    def read(self, state: Image) -> Tensor:
        return state.image


class GradientEquilibrium(ImageStep):
    """u ← u + η(T*(y - Tu) - λR(u)), 'DE-Grad'.

    With R = Id + N, N ε-Lipschitz, and 0 < η ≤ 1/(L + λ) its contraction factor is at most
    γ = 1 - η(μ + λ(1 - ε)). Proof: Λ(u) - Λ(v) = (I - ηT*T - ηλ)(u - v) - ηλ(N(u) - N(v)); the
    matrix is symmetric with eigenvalues between 1 - η(L + λ) ≥ 0 and 1 - η(μ + λ), and the rest
    adds at most ηλε. λ = 1 is the paper's theorem. Fixed points solve T*(Tu - y) + λR(u) = 0.

    Args:
        network: R; of a :class:`ConvNet` nothing is proved.
        weight: λ > 0, trained as log λ.
        step: η; None for 0.95/(1 + λ), which suits an operator of norm 1 (see :class:`Scaling`) and
            follows λ when that is trained.

    Raises:
        ConfigError: λ or η is not positive.
    """

    def __init__(
        self, network: NearIdentity | ConvNet, weight: float, step: float | None = None
    ) -> None:
        super().__init__()
        require_positive("weight", weight)
        require_positive("step", 1.0 if step is None else step)
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
        epsilon = math.inf
        if isinstance(self.network, NearIdentity):
            epsilon = self.network.deviation_bound()
        weight, eta = (float(torch.as_tensor(size).detach()) for size in self.sizes())
        gain = eta * (smallest + weight * (1 - epsilon)) * (1 - ROUNDING)
        factor, limit = 1 - gain, 1 / (largest + weight)
        reason = unbounded(epsilon)
        if not 0 < eta * (1 + ROUNDING) <= limit:
            reason = reason or (
                f"the step size {eta:.4g} is outside (0, 1/(L + λ)] = (0, {limit:.4g}]"
            )
        elif not factor < 1:
            reason = (
                reason or f"ε = {epsilon:.4g} is not below 1 + μ/λ = {1 + smallest / weight:.4g}"
            )
        factor = math.inf if reason else factor
        return Contraction(epsilon, eta, factor, eta * math.sqrt(largest), reason, weight)


class ProximalEquilibrium(ImageStep):
    """u ← R(u - ηT*(Tu - y)), 'DE-Prox'.

    The contraction factor is at most (1 + ε)·max(|1 - ηL|, |1 - ημ|), as 1 + ε bounds R and the
    eigenvalues of I - ηT*T lie between 1 - ηL and 1 - ημ. It is below 1 only if μ > 0: where T has
    a null space there is no certificate. Fixed points solve u = R(u - ηT*(Tu - y)).

    Args:
        network: R, with R - Id ε-Lipschitz.
        step: η > 0.

    Raises:
        ConfigError: η is not positive.
    """

    def __init__(self, network: NearIdentity, step: float = 0.95) -> None:
        super().__init__()
        require_positive("step", step)
        self.network = network
        self.step = step

    def forward(self, state: Image, problem: Problem) -> Image:
        (u,) = state
        return Image(self.network(u - self.step * problem.gradient(u)))

    def contraction(self, largest: float, smallest: float) -> Contraction:
        epsilon = self.network.deviation_bound()
        inner = max(abs(1 - self.step * largest), abs(1 - self.step * smallest))
        factor = (1 + epsilon) * (inner + ROUNDING)
        reason = unbounded(epsilon)
        if not factor < 1:
            reason = reason or (
                f"(1 + ε)·max(|1 - ηL|, |1 - ημ|) = {factor:.4g} with μ = {smallest:.4g}; a "
                "proximal step needs T*T ≥ μ > 0"
            )
        sensitivity = (1 + epsilon) * self.step * math.sqrt(largest)
        return Contraction(epsilon, self.step, factor, sensitivity, reason)


def unbounded(epsilon: float) -> str:
    """Why there is no certificate if no bound of R is known; empty if one is."""
    return "" if math.isfinite(epsilon) else "R has a layer whose norm has no known bound"


def require_positive(name: str, value: float) -> None:
    """Refuses a number that is not positive and finite.

    Raises:
        ConfigError: it is not.
    """
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(
            describe(expected=f"{name} > 0", found=str(value), fix="give a positive number")
        )
