"""Learned primal-dual (Adler, Öktem, IEEE Trans. Med. Imaging 37(6), 2018).

    h ← h + Γ_k(h, T(u₁), y),   u ← u + Λ_k(u, [∂T(u₀)]* h₀),   k = 1..10,  from zero

Γ_k: 3×3 convolutions 7-32-32-5, Λ_k: 6-32-32-5, PReLU with one slope per channel that starts at 0,
Xavier uniform, bias 0: 253 220 parameters. T may be linear or not; with :class:`TransmissionCT`
this is the paper's nonlinear form.

Differences from the paper: a linear T is T/‖T‖ with y/(c‖T‖), where the original ran with y/19.70
and (0.1036/19.70)·T*; a nonlinear one is u ↦ T(c·u) with the data as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from learnedrecon.models.checks import require_counts, require_positive, require_spec
from learnedrecon.models.initial import FirstPrimal, PrimalDualStart
from learnedrecon.networks.conv import ConvNet, ConvSpec
from learnedrecon.schemes.backward import backward_mode
from learnedrecon.schemes.primal_dual import PrimalDualStep
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.scaling import ImageScale
from learnedrecon.schemes.step import Chain


@dataclass(frozen=True)
class LearnedPrimalDual:
    """The configuration of the scheme; the defaults are the paper's.

    Attributes:
        iterations: the number of steps, each with its own weights.
        primal: channels of u, at least 2.
        dual: channels of h.
        hidden: channels of the two hidden layers of every network.
        image_scale: c, the size of a typical image value, in its unit.
        checkpoint_every: None to store every activation for the gradient; k to store the state
            after every k steps and compute the rest again, with less memory and the same result.

    Raises:
        ConfigError: a field is out of range.
    """

    iterations: int = 10
    primal: int = 5
    dual: int = 5
    hidden: int = 32
    image_scale: float = 1.0
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        require_counts(
            self, {"iterations": 1, "primal": 2, "dual": 1, "hidden": 1, "checkpoint_every": 1}
        )
        require_positive(self, "image_scale")


def learned_primal_dual(spec: LearnedPrimalDual | None = None) -> Iterative:
    """Builds the scheme; weights are drawn from torch's default generator.

    Args:
        spec: the configuration, all of it default unless given.

    Raises:
        ConfigError: another kind of spec.
    """
    spec = require_spec(LearnedPrimalDual() if spec is None else spec, LearnedPrimalDual)
    return Iterative(
        initial=PrimalDualStart(spec.primal, spec.dual),
        scheme=Chain(
            [primal_dual_step(spec.primal, spec.dual, spec.hidden) for _ in range(spec.iterations)],
            backward_mode(spec.checkpoint_every),
        ),
        readout=FirstPrimal(),
        scaling=ImageScale(spec.image_scale),
    )


def primal_dual_step(primal: int, dual: int, hidden: int) -> PrimalDualStep:
    """One step with new weights.

    Args:
        primal: channels of u, at least 2.
        dual: channels of h.
        hidden: channels of the two hidden layers of both networks.
    """
    return PrimalDualStep(
        dual_network=_network(dual + 2, hidden, dual),
        primal_network=_network(primal + 1, hidden, primal),
    )


def _network(channels: int, hidden: int, out: int) -> ConvNet:
    return ConvNet(ConvSpec((channels, hidden, hidden, out), activation="prelu"))
