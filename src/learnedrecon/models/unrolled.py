"""Unrolled gradient descent, one network for all steps (Gilton, Ongie, Willett, IEEE TCI 7, 2021).

    u ← u + η(T*(y - Tu) - λR(u)),   R(u) = u - N(u),   k = 1..10, from T*y

The map of ``equilibrium_gradient`` with ε = 1, applied a few times instead of solved for its fixed
point; N is its network without a bound, or with one. λ is trained, η = 0.95/(1 + λ) for ‖T‖ = 1.
3 553 parameters for the defaults.

Differences from the paper: λ is a weight of R (1 in the paper) and trained; a small network in
place of the 17-layer DnCNN.
"""

from __future__ import annotations

from dataclasses import dataclass

from learnedrecon.models.checks import (
    require_choice,
    require_counts,
    require_positive,
    require_spec,
)
from learnedrecon.models.initial import AdjointImage, ImageAlone, TheImage
from learnedrecon.networks.bounded import Bound, NearIdentity
from learnedrecon.networks.potential import PotentialNet, PotentialSpec
from learnedrecon.schemes.backward import backward_mode
from learnedrecon.schemes.equilibrium import GradientEquilibrium
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.scaling import ImageScale
from learnedrecon.schemes.step import Repeat


@dataclass(frozen=True)
class UnrolledGradient:
    """The configuration of the scheme.

    Attributes:
        iterations: the number of steps, with the same weights.
        layers: of N.
        width: channels between them.
        filters: of the W of a layer.
        threshold: τ > 0 at the start of training, in units of ``image_scale``.
        bound: "none" leaves every W as it is, "layers" divides it by a bound of its norm.
        weight: λ > 0 at the start of training.
        image_scale: c, the size of a typical image value, in its unit.
        checkpoint_every: None to store every activation for the gradient; k to store the state
            after every k steps and compute the rest again, with less memory and the same result.

    Raises:
        ConfigError: a field is out of range.
    """

    iterations: int = 10
    layers: int = 3
    width: int = 8
    filters: int = 16
    threshold: float = 0.01
    bound: Bound = "none"
    weight: float = 0.05
    image_scale: float = 1.0
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        require_counts(self, {"iterations": 1, "layers": 1, "width": 1, "filters": 1})
        require_counts(self, {"checkpoint_every": 1})
        require_positive(self, "threshold", "weight", "image_scale")
        require_choice(self, "bound", ("layers", "none"))
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


def unrolled_gradient(spec: UnrolledGradient | None = None) -> Iterative:
    """Builds the scheme; weights are drawn from torch's default generator.

    Args:
        spec: the configuration, all of it default unless given.

    Raises:
        ConfigError: another kind of spec.
    """
    spec = require_spec(UnrolledGradient() if spec is None else spec, UnrolledGradient)
    network = NearIdentity(PotentialNet(spec.network_spec()), epsilon=1.0)
    return Iterative(
        initial=ImageAlone(AdjointImage()),
        scheme=Repeat(
            GradientEquilibrium(network, spec.weight),
            spec.iterations,
            backward_mode(spec.checkpoint_every),
        ),
        readout=TheImage(),
        scaling=ImageScale(spec.image_scale),
    )
