"""Deep equilibrium with a certificate (after Gilton, Ongie, Willett, IEEE TCI 7, 2021).

    u = u + η(T*(y - Tu) - λR(u)),   R(u) = u - εN(u),   N 1-Lipschitz by construction

N: 3×3 convolutions 1-h-...-h-1, each divided by an upper bound of its norm, MaxMin between them.
With ‖T‖ = 1 and η = 0.95/(1 + λ) it is a contraction for every ε < 1, and 'learnedrecon certify'
prints the proof.

Differences from the paper: λ is a weight of R, trained and started at 0.1, where the paper has 1,
which over-regularises when ‖T‖ = 1; the bound of every layer holds (the paper's spectral
normalisation estimates it from below, and its BatchNorm has none); a small network in place of the
17-layer DnCNN; it starts from T*y; Anderson's regularisation is relative and its residuals are per
sample.
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
from learnedrecon.networks.lipschitz import LipschitzNet, LipschitzSpec, NearIdentity
from learnedrecon.schemes.equilibrium import GradientEquilibrium
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
        layers: convolutions of N, at least 2.
        hidden: their channels, even.
        epsilon: ε in (0, 1): the smaller, the faster the iteration and the weaker R.
        tolerance: the relative residual at which the iteration stops.
        max_iterations: evaluations of the step at most.
        backward: "implicit" differentiates the fixed point, "jacobian_free" one step from it.
        image_scale: c, the size of a typical image value, in its unit.

    Raises:
        ConfigError: a field is out of range.
    """

    layers: int = 5
    hidden: int = 32
    epsilon: float = 0.99
    tolerance: float = 1e-3
    max_iterations: int = 100
    backward: FixedPointBackwardName = "implicit"
    image_scale: float = 1.0

    def __post_init__(self) -> None:
        require_counts(self, {"layers": 2, "hidden": 2, "max_iterations": 1})
        require_below_one(self, "epsilon", "tolerance")
        require_positive(self, "image_scale")
        require_choice(self, "backward", ("implicit", "jacobian_free"))
        LipschitzSpec(self.channels)

    @property
    def channels(self) -> tuple[int, ...]:
        """Of N."""
        return (1, *[self.hidden] * (self.layers - 1), 1)

    def network(self) -> NearIdentity:
        """R, with weights drawn from torch's default generator."""
        return NearIdentity(LipschitzNet(LipschitzSpec(self.channels)), self.epsilon)

    def fixed_point(self, step: Step[S]) -> FixedPoint[S]:
        """The fixed point of ``step``."""
        solver = Anderson(self.tolerance, self.max_iterations)
        backward: FixedPointBackward = JacobianFree()
        if self.backward == "implicit":
            backward = Implicit(solver)
        return FixedPoint(step, solver, backward)


@dataclass(frozen=True)
class EquilibriumGradient(EquilibriumSpec):
    """The configuration of the scheme.

    Attributes:
        weight: λ > 0 at the start of training.

    Raises:
        ConfigError: a field is out of range.
    """

    weight: float = 0.1

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
