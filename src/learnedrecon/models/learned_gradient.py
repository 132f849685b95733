"""The partially learned gradient scheme (Adler, Öktem, Inverse Problems 33, 2017).

    (du, s⁺) = Γ(u, ∇D(u), ∇R(u), s),  s ← relu(s⁺),  u ← u + du,   R(u) = ½‖∇u‖²

with s⁰ = 0, u⁰ the filtered back-projection (Ram-Lak), weights shared over the iterations, and T
scaled to norm 1. Γ: 3×3 convolutions 8-32-32-6, ReLU, Xavier normal, biases .01, .01, 0:
13 318 parameters.

Differences from the paper: T/‖T‖ and y/(c‖T‖) with the image in units of c (1 for phantoms); the
gradient of R takes differences that vanish across the border.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from learnedrecon.functionals.regularisers import Dirichlet
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.initial import (
    FilteredBackprojection,
    ImageStart,
    TheImage,
    WithRegulariser,
)
from learnedrecon.networks.conv import ConvNet, ConvSpec
from learnedrecon.schemes.learned_gradient import LearnedGradientStep
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.scaling import ImageScale
from learnedrecon.schemes.step import Repeat


@dataclass(frozen=True)
class LearnedGradient:
    """The configuration of the scheme; the defaults are the paper's.

    Attributes:
        iterations: how often the step is repeated.
        memory: channels of s.
        hidden: channels of the two hidden layers of Γ.
        fbp: how u⁰ is made.
        image_scale: c, the size of a typical image value, in its unit.

    Raises:
        ConfigError: a field is out of range.
    """

    iterations: int = 10
    memory: int = 5
    hidden: int = 32
    fbp: FilteredBackprojection = field(default_factory=FilteredBackprojection)
    image_scale: float = 1.0

    def __post_init__(self) -> None:
        require_counts(self, {"iterations": 1, "memory": 0, "hidden": 1})
        require_positive(self, "image_scale")


def learned_gradient(spec: LearnedGradient) -> Iterative:
    """Builds the scheme; weights are drawn from torch's default generator."""
    channels = (3 + spec.memory, spec.hidden, spec.hidden, 1 + spec.memory)
    network = ConvNet(ConvSpec(channels, init="xavier_normal", biases=(0.01, 0.01, 0.0)))
    return Iterative(
        initial=ImageStart(spec.fbp, spec.memory),
        scheme=Repeat(LearnedGradientStep(network), spec.iterations),
        readout=TheImage(),
        scaling=ImageScale(spec.image_scale),
        prepare=WithRegulariser(Dirichlet()),
    )
