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
from learnedrecon.models.checks import require_counts, require_positive, require_spec
from learnedrecon.models.initial import (
    AdjointImage,
    FilteredBackprojection,
    ImageStart,
    TheImage,
    WithRegulariser,
)
from learnedrecon.networks.conv import ConvNet, ConvSpec
from learnedrecon.schemes.backward import backward_mode
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
        fbp: how u⁰ is made; None, for operators that have no filtered back-projection, starts from
            T*y of the operator of norm 1 (from zero if T is nonlinear).
        image_scale: c, the size of a typical image value, in its unit.
        checkpoint_every: None to store every activation for the gradient; k to store the state
            after every k steps and compute the rest again, with less memory and the same result.

    Raises:
        ConfigError: a field is out of range.
    """

    iterations: int = 10
    memory: int = 5
    hidden: int = 32
    fbp: FilteredBackprojection | None = field(default_factory=FilteredBackprojection)
    image_scale: float = 1.0
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        require_counts(self, {"iterations": 1, "memory": 0, "hidden": 1, "checkpoint_every": 1})
        require_positive(self, "image_scale")


def learned_gradient(spec: LearnedGradient | None = None) -> Iterative:
    """Builds the scheme; weights are drawn from torch's default generator.

    Args:
        spec: the configuration, all of it default unless given.

    Raises:
        ConfigError: another kind of spec.
    """
    spec = require_spec(LearnedGradient() if spec is None else spec, LearnedGradient)
    channels = (3 + spec.memory, spec.hidden, spec.hidden, 1 + spec.memory)
    network = ConvNet(ConvSpec(channels, init="xavier_normal", biases=(0.01, 0.01, 0.0)))
    return Iterative(
        initial=ImageStart(spec.fbp or AdjointImage(), spec.memory),
        scheme=Repeat(
            LearnedGradientStep(network), spec.iterations, backward_mode(spec.checkpoint_every)
        ),
        readout=TheImage(),
        scaling=ImageScale(spec.image_scale),
        prepare=WithRegulariser(Dirichlet()),
    )
