"""Deep equilibrium with a certificate (after Gilton, Ongie, Willett, IEEE TCI 7, 2021).

    u = u + η(T*(y - Tu) - λR(u)),   R(u) = u - εN(u),   N 1-Lipschitz by construction

N: layers z ← z - 2W^T σ(Wz + b) between zero channels put beside the image and the image read out,
W 3×3 from 8 to 16 channels, divided by an upper bound of its norm; σ cuts off at a trained ±τ. With
‖T‖ = 1 and η = 0.95/(1 + λ) it is a contraction for every ε < 1, and 'learnedrecon certify' prints
the proof. ``bound: none`` leaves the W undivided: nothing is proved of this twin, which shows what
the bound costs. 3 553 parameters for the defaults.

Differences from the paper: λ is a weight of R, trained and started at 0.05, where the paper has 1,
which over-regularises when ‖T‖ = 1; the bound of every layer holds (the paper's spectral
normalisation estimates it from below, and its BatchNorm has none); residual layers that do not
expand in place of the 17-layer DnCNN; it starts from T*y; Anderson's regularisation is relative and
its residuals are per sample.
"""

from __future__ import annotations

import math
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
from learnedrecon.networks.bounded import Bound, NearIdentity
from learnedrecon.networks.potential import Correction, PotentialNet, PotentialSpec
from learnedrecon.schemes.contraction import (
    ROUNDING,
    Contraction,
    ImageStep,
    require_positive_number,
    unbounded,
)
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.implicit import FixedPointBackward, Implicit, JacobianFree
from learnedrecon.schemes.state import Image
from learnedrecon.solvers.anderson import Anderson

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
        width: Channels between them, at least those of the image.
        filters: Filters of the W of a layer.
        threshold: τ > 0 at the start of training, in units of ``image_scale``.
        bound: "layers" divides every W by a bound of its norm, "none" omits that, without a
            certificate as soon as training has made it larger.

    Raises:
        ConfigError: A field is out of range.
    """

    layers: int = 3
    width: int = 8
    filters: int = 16
    threshold: float = 0.01
    bound: Bound = "layers"

    def __post_init__(self) -> None:
        require_counts(self, {"layers": 1, "width": 1, "filters": 1})
        require_positive(self, "threshold")
        require_choice(self, "bound", ("layers", "none"))

    def network(self, like: Like) -> PotentialNet:
        """N with new weights, on real and imaginary parts of all channels.

        Raises:
            ConfigError: Images with more than three space axes, or more channels than ``width``.
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
                dims=like.image_axes,
                bound=self.bound,
            )
        )


@dataclass(frozen=True)
class FixedPointSolver:
    """How the fixed point of an equilibrium model is found and differentiated.

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
        solver = Anderson(self.tolerance, self.max_iterations)
        backward: FixedPointBackward = JacobianFree()
        if self.backward == "implicit":
            backward = Implicit(solver, self.backward_tolerance)
        return FixedPoint(step, solver, backward)


LAYERS = PotentialLayers()
SOLVER = FixedPointSolver()


class GradientEquilibrium(ImageStep):
    """u ← u + η(T*(y - Tu) - λR(u)), 'DE-Grad'.

    With R = Id + N, N ε-Lipschitz, and 0 < η ≤ 1/(L + λ) its contraction factor is at most
    γ = 1 - η(μ + λ(1 - ε)). Proof: Λ(u) - Λ(v) = (I - ηT*T - ηλ)(u - v) - ηλ(N(u) - N(v)); the
    matrix is symmetric with eigenvalues between 1 - η(L + λ) ≥ 0 and 1 - η(μ + λ), and the rest
    adds at most ηλε. λ = 1 is the paper's theorem. Fixed points solve T*(Tu - y) + λR(u) = 0.

    Args:
        network: R; nothing is proved unless it is a :class:`NearIdentity`.
        weight: λ > 0, trained as log λ.
        step: η; None for 0.95/(1 + λ), which suits an operator of norm 1 (see :class:`Scaling`) and
            follows λ when that is trained.

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
    """The fixed point of a learned gradient step, 'DE-Grad', with a certificate.

    Weights are drawn from torch's default generator. R begins near (1 - ε)u.

    Args:
        weight: λ > 0 at the start of training.
        epsilon: ε in (0, 1): the smaller, the faster the iteration and the weaker R.
        network: The network N.
        solver: How the fixed point is found and differentiated.
        image_scale: c, the size of a typical image value, in its unit.
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
    """R as a denoiser: near the identity at first, with new weights."""
    return NearIdentity(Correction(layers.network(like)), epsilon)
