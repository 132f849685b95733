"""Deep equilibrium with a convergence certificate (after Gilton, Ongie, Willett, IEEE TCI 7, 2021).

    u = u + η(T*(y - Tu) - λR(u)),   R(u) = u - εN(u),   N 1-Lipschitz by construction

N: the image is extended by zero channels, passes layers z ← z - 2W^T σ(Wz + b), and is read out; W
is 3×3 from 8 to 16 channels, divided by an upper bound of its norm; σ clips at a trained ±τ. With
‖T‖ = 1 and η = 0.95/(1 + λ) the step is a contraction for every ε < 1, and 'learnedrecon certify'
prints the proof. ``bound: none`` does not divide W: this variant has no certificate and shows the
cost of the bound. The defaults have 3 553 parameters.

Differences from the paper: λ is a weight of R, trained and started at 0.05, where the paper has 1,
which over-regularises when ‖T‖ = 1; the norm of every layer has a proven bound (the paper's
spectral normalisation estimates it from below, and its BatchNorm has none); non-expansive residual
layers in place of the 17-layer DnCNN; the start is T*y; Anderson's regularisation is relative and
its residuals are per sample.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

import torch
from torch import nn

from learnedrecon.errors import ConfigError, describe
from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import (
    require_below_one,
    require_choice,
    require_counts,
    require_positive,
)
from learnedrecon.models.like import Like, LikeArgument, as_like
from learnedrecon.models.start import AdjointImage
from learnedrecon.networks.bounded import Bound, NearIdentity, refused_potential
from learnedrecon.networks.potential import Correction, PotentialNet, PotentialSpec
from learnedrecon.schemes.contraction import (
    ROUNDING,
    Contraction,
    ImageStep,
    require_positive_number,
    unbounded,
)
from learnedrecon.schemes.energy import EnergyStep, data_term
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.implicit import FixedPointBackward, Implicit, JacobianFree
from learnedrecon.schemes.state import Image
from learnedrecon.solvers.anderson import Anderson
from learnedrecon.solvers.fixed_point import Picard

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record
    from learnedrecon.schemes.step import Step

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]
FixedPointBackwardName: TypeAlias = Literal["implicit", "jacobian_free"]


@dataclass(frozen=True)
class PotentialLayers:
    """The 1-Lipschitz network N of an equilibrium model.

    Attributes:
        layers: Number of layers.
        width: Number of channels between the layers, at least that of the image.
        filters: Number of filters of W in each layer.
        threshold: Initial τ > 0, in units of ``image_scale``.
        bound: "layers" divides every W by a bound of its norm; "none" does not, so that there is no
            certificate once training has increased the norm.
        kernel: Odd width of W.

    Raises:
        ConfigError: A field is out of range.
    """

    layers: int = 3
    width: int = 8
    filters: int = 16
    threshold: float = 0.01
    bound: Bound = "layers"
    kernel: int = 3

    def __post_init__(self) -> None:
        require_counts(self, {"layers": 1, "width": 1, "filters": 1, "kernel": 1})
        require_positive(self, "threshold")
        require_choice(self, "bound", ("layers", "none"))

    def network(self, like: Like) -> PotentialNet:
        """The network N with new weights, on real and imaginary parts of all channels.

        Raises:
            ConfigError: Images have more than three space axes, or more channels than ``width``.
        """
        if like.image_folded:
            raise ConfigError(
                describe(
                    expected="images of at most three axes for a network with a known bound",
                    found=f"{like.image_axes + like.image_folded}",
                    fix="use a model with plain convolutions",
                )
            )
        return PotentialNet(
            PotentialSpec(
                channels=like.image_numbers,
                width=self.width,
                filters=self.filters,
                layers=self.layers,
                threshold=self.threshold,
                kernel=self.kernel,
                dims=like.image_axes,
                bound=self.bound,
            )
        )


@dataclass(frozen=True)
class FixedPointSolver:
    """Tolerances of the fixed point of an equilibrium model and of its derivative.

    Attributes:
        tolerance: Relative residual at which the iteration stops.
        max_iterations: Largest number of evaluations of the step, and of the backward pass.
        backward: "implicit" differentiates the fixed point, "jacobian_free" one step from it.
        backward_tolerance: Relative residual of the linear iteration of the backward pass.

    Raises:
        ConfigError: A field is out of range.
    """

    tolerance: float = 1e-5
    max_iterations: int = 300
    backward: FixedPointBackwardName = "implicit"
    backward_tolerance: float = 1e-2

    def __post_init__(self) -> None:
        require_counts(self, {"max_iterations": 1})
        require_below_one(self, "tolerance", "backward_tolerance")
        require_choice(self, "backward", ("implicit", "jacobian_free"))

    def __call__(self, step: Step[S]) -> FixedPoint[S]:
        """The fixed point of ``step``."""
        return FixedPoint(step, Anderson(self.tolerance, self.max_iterations), self._derivative())

    def picard(self, step: Step[S]) -> FixedPoint[S]:
        """The fixed point of ``step`` by plain iteration, which converges for averaged steps."""
        return FixedPoint(step, Picard(self.tolerance, self.max_iterations), self._derivative())

    def _derivative(self) -> FixedPointBackward:
        if self.backward == "jacobian_free":
            return JacobianFree()
        solver = Anderson(self.tolerance, self.max_iterations)
        return Implicit(solver, self.backward_tolerance)


LAYERS = PotentialLayers()
SOLVER = FixedPointSolver()


class _RegulariserEnergy(EnergyStep):
    """The energy ½‖Tu - y‖² + λρ(u) of a step along -(T*(Tu - y) + λR(u)) with R = ∇ρ."""

    network: nn.Module

    @abstractmethod
    def sizes(self) -> tuple[Tensor, Tensor | float]:
        """The present values of λ and η."""

    def no_energy(self) -> str:
        if not isinstance(self.network, NearIdentity):
            return f"R is a {type(self.network).__name__}, which is not known to be a gradient"
        reason = self.network.no_potential()
        strong = self.network.epsilon < 1
        return reason or ("" if strong else "R may be the gradient of a function without minimum")

    def energy_text(self) -> str:
        return "½‖Tu - y‖² + λρ(u) with ∇ρ = R"

    def energy(self, image: Tensor, problem: Problem) -> Tensor:
        if reason := self.no_energy():
            raise refused_potential(reason)
        assert isinstance(self.network, NearIdentity)
        return data_term(image, problem) + self.sizes()[0] * self.network.potential(image)


class GradientEquilibrium(ImageStep, _RegulariserEnergy):
    """The step u ← u + η(T*(y - Tu) - λR(u)), 'DE-Grad'.

    With R = Id + N, N ε-Lipschitz, and 0 < η ≤ 1/(L + λ), its contraction factor is at most γ = 1 -
    η(μ + λ(1 - ε)). Proof: Λ(u) - Λ(v) = (I - ηT*T - ηλ)(u - v) - ηλ(N(u) - N(v)); the matrix is
    symmetric with eigenvalues between 1 - η(L + λ) ≥ 0 and 1 - η(μ + λ), and the rest adds at most
    ηλε. λ = 1 is the paper's theorem. Fixed points solve T*(Tu - y) + λR(u) = 0. Where R = ∇ρ, as
    for a network N of one potential layer, this is the gradient of the strongly convex energy
    ½‖Tu - y‖² + λρ(u), and the fixed point its minimiser.

    Args:
        network: Network R; there is a certificate only if it is a :class:`NearIdentity`.
        weight: λ > 0, trained as log λ.
        step: Step size η; None for 0.95/(1 + λ), which is suitable for operators of norm 1 (see
            :class:`Scaling`) and changes with λ during training.

    Raises:
        ConfigError: λ or η is not positive.
    """

    def __init__(self, network: nn.Module, weight: float, step: float | None = None) -> None:
        super().__init__()
        require_positive_number("weight", weight)
        require_positive_number("step", 1.0 if step is None else step)
        self.network = network
        self.log_weight = nn.Parameter(torch.tensor(math.log(weight)))
        self.step = step

    def sizes(self) -> tuple[Tensor, Tensor | float]:
        """The present values of λ and η."""
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
    """The step u ← R(u - ηT*(Tu - y)), 'DE-Prox'.

    The contraction factor is at most (1 + ε)·max(|1 - ηL|, |1 - ημ|), as 1 + ε bounds R and the
    eigenvalues of I - ηT*T lie between 1 - ηL and 1 - ημ. It is below 1 only if μ > 0: there is no
    certificate where T has a null space. Fixed points solve u = R(u - ηT*(Tu - y)).

    Args:
        network: Network R, with R - Id ε-Lipschitz.
        step: Step size η > 0.

    Raises:
        ConfigError: η is not positive.
    """

    def __init__(self, network: NearIdentity, step: float = 0.95) -> None:
        super().__init__()
        require_positive_number("step", step)
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


class EquilibriumGradient(LearnedScheme):
    """The fixed point of a learned gradient step, 'DE-Grad', with a convergence certificate.

    Weights are drawn from torch's default generator. R is initially near (1 - ε)u.

    Args:
        weight: Initial λ > 0.
        epsilon: ε in (0, 1): with a smaller ε the iteration is faster and R weaker.
        network: Architecture of the network N.
        solver: Tolerances of the fixed point and of its derivative.
        image_scale: Size c of a typical image value, in its unit.
        like: Operator whose images the network is built for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        weight: float = 0.05,
        epsilon: float = 0.999,
        *,
        network: PotentialLayers = LAYERS,
        solver: FixedPointSolver = SOLVER,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        regulariser = NearIdentity(network.network(kind), epsilon)
        step = GradientEquilibrium(regulariser, weight)
        super().__init__(solver(step), kind, AdjointImage(), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_positive(spec, "weight", "image_scale")
        require_below_one(spec, "epsilon")


def denoiser(layers: PotentialLayers, epsilon: float, like: Like) -> NearIdentity:
    """A denoiser R with new weights, initially near the identity.

    Args:
        layers: Architecture of the network N.
        epsilon: ε in (0, 1).
        like: Images that the network is built for.
    """
    return NearIdentity(Correction(layers.network(like)), epsilon)
