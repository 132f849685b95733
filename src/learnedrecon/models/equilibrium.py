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

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from learnedrecon.models.checks import (
    require_below_one,
    require_choice,
    require_counts,
    require_positive,
    require_spec,
)
from learnedrecon.models.initial import AdjointImage, ImageAlone, TheImage
from learnedrecon.networks.bounded import Bound, NearIdentity
from learnedrecon.networks.potential import Correction, PotentialNet, PotentialSpec
from learnedrecon.schemes.contraction import GradientEquilibrium
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.implicit import FixedPointBackward, Implicit, JacobianFree
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.scaling import ImageScale
from learnedrecon.solvers.anderson import Anderson

if TYPE_CHECKING:
    from learnedrecon.schemes.step import Step

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]
FixedPointBackwardName: TypeAlias = Literal["implicit", "jacobian_free"]


@dataclass(frozen=True)
class EquilibriumSpec:
    """What all equilibrium schemes are configured by.

    Attributes:
        layers: of N.
        width: channels between them.
        filters: of the W of a layer.
        threshold: τ > 0 at the start of training, in units of ``image_scale``.
        epsilon: ε in (0, 1): the smaller, the faster the iteration and the weaker R.
        bound: "layers" divides every W by a bound of its norm, "none" leaves it as it is, without a
            certificate as soon as training has made it larger.
        tolerance: the relative residual at which the iteration stops.
        backward_tolerance: the one of the linear iteration of the backward pass.
        max_iterations: evaluations of the step at most, and of the backward pass.
        backward: "implicit" differentiates the fixed point, "jacobian_free" one step from it.
        image_scale: c, the size of a typical image value, in its unit.

    Raises:
        ConfigError: a field is out of range.
    """

    layers: int = 3
    width: int = 8
    filters: int = 16
    threshold: float = 0.01
    epsilon: float = 0.999
    bound: Bound = "layers"
    tolerance: float = 1e-5
    backward_tolerance: float = 1e-2
    max_iterations: int = 300
    backward: FixedPointBackwardName = "implicit"
    image_scale: float = 1.0

    def __post_init__(self) -> None:
        require_counts(self, {"layers": 1, "width": 1, "filters": 1, "max_iterations": 1})
        require_below_one(self, "epsilon", "tolerance", "backward_tolerance")
        require_positive(self, "threshold", "image_scale")
        require_choice(self, "bound", ("layers", "none"))
        require_choice(self, "backward", ("implicit", "jacobian_free"))
        self.network_spec()

    def network_spec(self) -> PotentialSpec:
        """Of N."""
        return PotentialSpec(
            width=self.width,
            filters=self.filters,
            layers=self.layers,
            threshold=self.threshold,
            bound=self.bound,
        )

    def network(self) -> NearIdentity:
        """R as the gradient of a regulariser: near zero at first but for (1 - ε)u.

        Weights are drawn from torch's default generator.
        """
        return NearIdentity(PotentialNet(self.network_spec()), self.epsilon)

    def denoiser(self) -> NearIdentity:
        """R as a denoiser: near the identity at first, with weights drawn in the same way."""
        return NearIdentity(Correction(PotentialNet(self.network_spec())), self.epsilon)

    def fixed_point(self, step: Step[S]) -> FixedPoint[S]:
        """The fixed point of ``step``."""
        solver = Anderson(self.tolerance, self.max_iterations)
        backward: FixedPointBackward = JacobianFree()
        if self.backward == "implicit":
            backward = Implicit(solver, self.backward_tolerance)
        return FixedPoint(step, solver, backward)


@dataclass(frozen=True)
class EquilibriumGradient(EquilibriumSpec):
    """The configuration of the scheme.

    Attributes:
        weight: λ > 0 at the start of training.

    Raises:
        ConfigError: a field is out of range.
    """

    weight: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "weight")


def equilibrium_gradient(spec: EquilibriumGradient | None = None) -> Iterative:
    """Builds the scheme; weights are drawn from torch's default generator.

    Args:
        spec: the configuration, all of it default unless given.

    Raises:
        ConfigError: another kind of spec.
    """
    spec = require_spec(EquilibriumGradient() if spec is None else spec, EquilibriumGradient)
    return Iterative(
        initial=ImageAlone(AdjointImage()),
        scheme=spec.fixed_point(GradientEquilibrium(spec.network(), spec.weight)),
        readout=TheImage(),
        scaling=ImageScale(spec.image_scale),
    )
