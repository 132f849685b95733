"""Deep gradient descent (Hauptmann et al., IEEE Trans. Med. Imaging 37(6), 2018).

    u ← u + Γ_k(u, ∇D(u)),   k = 1..5, own weights each

Γ_k: 3×3 convolutions 2-32-32-1, ReLU, Xavier uniform, bias 0, last layer scaled by 0.1, so that an
untrained step is close to the identity: 10 145 parameters each, 50 725 in all. Made for greedy
training (``training.strategy: greedy``): every Γ_k is fitted to the truth alone, and ∇D(u_k) is
computed once for every sample in place of once in every optimiser step.

Differences from the paper: two dimensions; this Γ, where the paper has its own; T/‖T‖ and y/(c‖T‖)
with the image in units of c; it starts from filtered back-projection where there is one.
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
from learnedrecon.schemes.learned_gradient import DeepGradientStep
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.scaling import ImageScale
from learnedrecon.schemes.step import Chain


@dataclass(frozen=True)
class DeepGradient:
    """The configuration of the scheme.

    Attributes:
        iterations: the number of steps, each with its own weights.
        hidden: channels of the two hidden layers of every Γ_k.
        fbp: how u⁰ is made; None, for operators that have no filtered back-projection, starts from
            T*y of the operator of norm 1 (from zero if T is nonlinear).
        image_scale: c, the size of a typical image value, in its unit.
        checkpoint_every: None to store every activation for the gradient; k to store the state
            after every k steps and compute the rest again, with less memory and the same result.

    Raises:
        ConfigError: a field is out of range.
    """

    iterations: int = 5
    hidden: int = 32
    fbp: FilteredBackprojection | None = field(default_factory=FilteredBackprojection)
    image_scale: float = 1.0
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        require_counts(self, {"iterations": 1, "hidden": 1, "checkpoint_every": 1})
        require_positive(self, "image_scale")


def deep_gradient_descent(spec: DeepGradient | None = None) -> Iterative:
    """Builds the scheme; weights are drawn from torch's default generator.

    Args:
        spec: the configuration, all of it default unless given.

    Raises:
        ConfigError: another kind of spec.
    """
    spec = require_spec(DeepGradient() if spec is None else spec, DeepGradient)
    return Iterative(
        initial=ImageAlone(spec.fbp or AdjointImage()),
        scheme=Chain(
            [deep_gradient_step(spec.hidden) for _ in range(spec.iterations)],
            backward_mode(spec.checkpoint_every),
        ),
        readout=TheImage(),
        scaling=ImageScale(spec.image_scale),
    )


def deep_gradient_step(hidden: int) -> DeepGradientStep:
    """One step with new weights.

    Args:
        hidden: channels of the two hidden layers of Γ.
    """
    return DeepGradientStep(ConvNet(ConvSpec((2, hidden, hidden, 1), last_scale=0.1)))
