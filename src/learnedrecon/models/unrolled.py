"""Unrolled gradient descent, one network for all steps (Gilton, Ongie, Willett, IEEE TCI 7, 2021).

    u ← u + η(T*(y - Tu) - λR(u)),   k = 1..10

R: 3×3 convolutions 1-32-32-32-1, ReLU, Xavier uniform, bias 0, last layer scaled by 0.1, the same
for all steps; λ is trained, η = 0.95/(1 + λ) for ‖T‖ = 1. 19 106 parameters for the defaults. The
form of ``equilibrium_gradient``, applied a fixed number of times, with a network of which nothing
is proved.

Differences from the paper: λ is a weight of R (1 in the paper) and trained; a small network in
place of the 17-layer DnCNN; it starts from filtered back-projection unless ``fbp`` is None.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from learnedrecon.models.checks import require_counts, require_positive, require_spec
from learnedrecon.models.initial import (
    AdjointImage,
    FilteredBackprojection,
    ImageAlone,
    TheImage,
)
from learnedrecon.networks.conv import ConvNet, ConvSpec
from learnedrecon.schemes.backward import backward_mode
from learnedrecon.schemes.contraction import GradientEquilibrium
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.scaling import ImageScale
from learnedrecon.schemes.step import Repeat


@dataclass(frozen=True)
class UnrolledGradient:
    """The configuration of the scheme.

    Attributes:
        iterations: the number of steps, with the same weights.
        layers: convolutions of R, at least 2.
        hidden: their channels.
        fbp: how u⁰ is made; None, for operators that have no filtered back-projection, starts from
            T*y of the operator of norm 1.
        weight: λ > 0 at the start of training.
        image_scale: c, the size of a typical image value, in its unit.
        checkpoint_every: None to store every activation for the gradient; k to store the state
            after every k steps and compute the rest again, with less memory and the same result.

    Raises:
        ConfigError: a field is out of range.
    """

    iterations: int = 10
    layers: int = 4
    hidden: int = 32
    fbp: FilteredBackprojection | None = field(default_factory=FilteredBackprojection)
    weight: float = 0.5
    image_scale: float = 1.0
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        least = {"iterations": 1, "layers": 2, "hidden": 1, "checkpoint_every": 1}
        require_counts(self, least)
        require_positive(self, "weight", "image_scale")


def unrolled_gradient(spec: UnrolledGradient | None = None) -> Iterative:
    """Builds the scheme; weights are drawn from torch's default generator.

    Args:
        spec: the configuration, all of it default unless given.

    Raises:
        ConfigError: another kind of spec.
    """
    spec = require_spec(UnrolledGradient() if spec is None else spec, UnrolledGradient)
    channels = (1, *[spec.hidden] * (spec.layers - 1), 1)
    step = GradientEquilibrium(ConvNet(ConvSpec(channels, last_scale=0.1)), spec.weight)
    return Iterative(
        initial=ImageAlone(spec.fbp or AdjointImage()),
        scheme=Repeat(step, spec.iterations, backward_mode(spec.checkpoint_every)),
        readout=TheImage(),
        scaling=ImageScale(spec.image_scale),
    )
