"""Steps of plug-and-play, with what is proved of them for averaged denoisers."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING

from learnedrecon.models.equilibrium_splitting import ImageAndMultiplier
from learnedrecon.networks.bounded import Averaged, half_square, refused_potential
from learnedrecon.schemes.contraction import (
    ROUNDING,
    CertifiedStep,
    Contraction,
    ImageStep,
    averaged_composition,
    require_positive_number,
)
from learnedrecon.schemes.energy import EnergyStep, data_term
from learnedrecon.schemes.state import Image
from learnedrecon.schemes.step import Step

if TYPE_CHECKING:
    from torch import Tensor, nn

    from learnedrecon.problem import Problem

_ENERGY = "it minimises a convex piecewise quadratic function that is bounded below"


class DenoiserStep(Step[Image]):
    """The step u ← D(u).

    Args:
        network: Denoiser D.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, state: Image, problem: Problem) -> Image:  # noqa: ARG002 - what other classes look at
        return Image(self.network(state.image))


def averagedness(network: nn.Module) -> float:
    """θ of a denoiser that is averaged by construction, otherwise infinity.

    Args:
        network: Denoiser D.
    """
    return network.averagedness_bound() if isinstance(network, Averaged) else math.inf


def not_averaged(network: nn.Module, theta: float, most: float = 1.0) -> str:
    """The reason why a denoiser is not known to be θ-averaged; empty where it is.

    Args:
        network: Denoiser D.
        theta: Its :func:`averagedness`.
        most: Largest θ that is sufficient.
    """
    if not isinstance(network, Averaged):
        return (
            f"the denoiser {type(network).__name__} has no bound of its Lipschitz constant, so "
            "that it need not be averaged, and the iteration may diverge"
        )
    if not math.isfinite(theta):
        return "the denoiser is (1 - θ)Id + θP with a P whose Lipschitz bound is above 1"
    return "" if theta <= most else f"the denoiser is {theta:.4g}-averaged, more than {most:.4g}"


def no_gradient(network: nn.Module) -> str:
    """The reason why D is not known to be Id - ∇g with a convex g; empty where it is.

    Args:
        network: Denoiser D.
    """
    if not isinstance(network, Averaged):
        return f"the denoiser {type(network).__name__} is not known to be a gradient"
    reason = network.no_potential()
    return f"the denoiser is no known gradient: {reason}" if reason else ""


class _ProximalEnergy(EnergyStep):
    """The energy of FBS and ADMM with D = Id - ∇g.

    D is the proximal map of φ with φ(D(v)) = g(v) - ½‖v - D(v)‖² (Moreau 1965), so that fixed
    points minimise η/2 ‖Tu - y‖² + φ(u). φ ≥ 0 is convex and piecewise quadratic, so that the sum
    has a minimiser (Frank, Wolfe 1956), and the step a fixed point.
    """

    network: nn.Module

    @abstractmethod
    def eta(self) -> float:
        """The step size η of the fixed point equation u = D(u - ηT*(Tu - y))."""

    def no_energy(self) -> str:
        return no_gradient(self.network) or not_averaged(
            self.network, averagedness(self.network), 0.5
        )

    def energy_text(self) -> str:
        return f"{self.eta():.4g}·½‖Tu - y‖² + φ(u) with D = prox_φ"

    def energy(self, image: Tensor, problem: Problem) -> Tensor:
        """The energy of D(v), v = u - ηT*(Tu - y), which for a fixed point is that of u."""
        if reason := self.no_energy():
            raise refused_potential(reason)
        assert isinstance(self.network, Averaged)
        v = image - self.eta() * problem.gradient(image)
        ahead = self.network(v)
        proximal = self.network.potential(v) - half_square(v - ahead)
        return self.eta() * data_term(ahead, problem) + proximal

    def existence(self) -> str:
        """The reason why there is a fixed point if D is firmly non-expansive; empty if unknown."""
        network = self.network
        firm = isinstance(network, Averaged) and network.theta <= 0.5
        return _ENERGY if firm and not no_gradient(network) else ""


class ForwardBackwardStep(ImageStep, _ProximalEnergy):
    """The step u ← D(u - ηT*(Tu - y)).

    A gradient step is ηL/2-averaged for η < 2/L (Baillon, Haddad 1977) and D is θ-averaged, so that
    their composition is averaged. The gradient step contracts by max(|1 - ηL|, |1 - ημ|), below 1
    where μ > 0.

    Args:
        network: Denoiser D.
        step: Step size η.

    Raises:
        ConfigError: η is not positive.
    """

    def __init__(self, network: nn.Module, step: float = 1.0) -> None:
        super().__init__()
        require_positive_number("step", step)
        self.network = network
        self.step = step

    def eta(self) -> float:
        return self.step

    def forward(self, state: Image, problem: Problem) -> Image:
        (u,) = state
        return Image(self.network(u - self.step * problem.gradient(u)))

    def contraction(self, largest: float, smallest: float) -> Contraction:
        theta, limit = averagedness(self.network), 2 / largest
        reason = not_averaged(self.network, theta)
        inner = self.step * largest / 2 * (1 + ROUNDING)
        if not inner < 1:
            reason = reason or (
                f"the step size η = {self.step:.4g} is outside (0, 2/L) = (0, {limit:.4g})"
            )
        averaged = None if reason else averaged_composition(theta, inner)
        factor = max(abs(1 - self.step * largest), abs(1 - self.step * smallest)) + ROUNDING
        return Contraction(
            2 * theta,
            self.step,
            math.inf if reason or not factor < 1 or smallest <= 0 else factor,
            self.step * math.sqrt(largest),
            reason,
            averaged=averaged,
            existence=self.existence(),
        )


class MultiplierStep(CertifiedStep[ImageAndMultiplier], _ProximalEnergy):
    """The step x = (I + αT*T)⁻¹(z - w + αT*y); z ← D(x + w); w ← w + x - z.

    With v = x + w a step is v ← ½v + ½(2P - I)(2D - I)v, where P is the data step: Douglas and
    Rachford's map. P is firmly non-expansive, and 2D - I is non-expansive for a θ-averaged D with
    θ ≤ 1/2: the step is 1/2-averaged for every α. For T*T ≥ μ > 0 the factor of 2P - I is ρ =
    max(|1 - αμ|/(1 + αμ), |1 - αL|/(1 + αL)) < 1, and that of the step (1 + ρ)/2. T is linear; the
    proof is for data steps that are solved exactly.

    Args:
        network: Denoiser D.
        penalty: α > 0.

    Raises:
        ConfigError: α is not positive.
        GeometryError: In a call, T is nonlinear.
    """

    def __init__(self, network: nn.Module, penalty: float = 1.0) -> None:
        super().__init__()
        require_positive_number("penalty", penalty)
        self.network = network
        self.penalty = penalty

    def eta(self) -> float:
        return self.penalty

    def begin(self, image: Tensor, problem: Problem) -> ImageAndMultiplier:  # noqa: ARG002 - what other classes look at
        return ImageAndMultiplier(image, 0 * image)

    def forward(self, state: ImageAndMultiplier, problem: Problem) -> ImageAndMultiplier:
        z, w = state
        both = problem.solve(problem.back + (z - w) / self.penalty, 1 / self.penalty) + w
        image = self.network(both)
        return ImageAndMultiplier(image, both - image)

    def lift(self, variable: Tensor) -> ImageAndMultiplier:
        image = self.network(variable)
        return ImageAndMultiplier(image, variable - image)

    def read(self, state: ImageAndMultiplier) -> Tensor:
        return state.image + state.multiplier

    def contraction(self, largest: float, smallest: float) -> Contraction:
        theta, alpha = averagedness(self.network), self.penalty
        reason = not_averaged(self.network, theta, 0.5)
        ends = [alpha * smallest, alpha * largest]
        factor = 0.5 + max(abs(1 - t) / (1 + t) for t in ends) / 2 + ROUNDING
        return Contraction(
            2 * theta,
            alpha,
            math.inf if reason or not factor < 1 or smallest <= 0 else factor,
            math.sqrt(alpha) / 2 * (1 + ROUNDING),
            reason,
            variable="x + w",
            averaged=None if reason else 0.5,
            existence=self.existence(),
        )


class GradientDenoiserStep(ImageStep, EnergyStep):
    """The step u ← (I + τT*T)⁻¹(u - τλ∇g(u) + τT*y) with ∇g = Id - D.

    Hurault, Leclaire, Papadakis, ICLR 2022: forward-backward splitting of F(u) = ½‖Tu - y‖² + λg(u)
    with the proximal map of the data term. ∇g is 1-Lipschitz, so that with τλ < 2 F does not
    increase: F(u⁺) ≤ F(u) - (1/τ - λ/2)‖u⁺ - u‖². g is convex, so that the step is averaged as
    well; F is piecewise quadratic and bounded below, so that it has a minimiser. T is linear; the
    proof is for data steps that are solved exactly.

    Args:
        network: Denoiser D = Id - ∇g.
        weight: λ > 0.
        product: τλ > 0.

    Raises:
        ConfigError: λ or τλ is not positive, or g is not known.
        GeometryError: In a call, T is nonlinear.
    """

    def __init__(self, network: Averaged, weight: float = 1.0, product: float = 1.0) -> None:
        super().__init__()
        require_positive_number("weight", weight)
        require_positive_number("product", product)
        if reason := no_gradient(network):
            raise refused_potential(reason)
        self.network = network
        self.weight = weight
        self.tau = product / weight

    def forward(self, state: Image, problem: Problem) -> Image:
        (u,) = state
        ahead = u - self.tau * self.weight * (u - self.network(u))
        return Image(problem.solve(problem.back + ahead / self.tau, 1 / self.tau))

    def no_energy(self) -> str:
        return no_gradient(self.network)

    def energy_text(self) -> str:
        return "½‖Tu - y‖² + λg(u) with D = Id - ∇g"

    def energy(self, image: Tensor, problem: Problem) -> Tensor:
        return data_term(image, problem) + self.weight * self.network.potential(image)

    def contraction(self, largest: float, smallest: float) -> Contraction:  # noqa: ARG002 - what other classes look at
        product, theta = self.tau * self.weight, averagedness(self.network)
        reason = not_averaged(self.network, theta, 0.5)
        if not product * (1 + ROUNDING) < 2:
            reason = reason or f"τλ = {product:.4g} is outside (0, 2)"
        averaged = None if reason else averaged_composition(0.5, product / 2 * (1 + ROUNDING))
        factor = 1 / (1 + self.tau * smallest) + ROUNDING
        return Contraction(
            2 * theta,
            self.tau,
            math.inf if reason or not factor < 1 or smallest <= 0 else factor,
            math.sqrt(self.tau) / 2 * (1 + ROUNDING),
            reason,
            self.weight,
            averaged=averaged,
            existence=_ENERGY,
        )
