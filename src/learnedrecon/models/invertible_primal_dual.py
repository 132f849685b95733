"""Invertible learned primal-dual (Rudzusika, Bajić, Öktem, Schönlieb, Etmann, 2021).

    h ← h + Γ_k(T(x), y),   x ← x + Λ_k(T*h),   k = 1..20,  from zero

Neither network sees the variable that it changes, so every step is undone by two subtractions, and
the gradient needs no stored activations. Γ_k: 3×3 convolutions 2-32-32-1, Λ_k: 1-32-32-1, PReLU,
Xavier uniform: 402 600 parameters. T must be linear.

Differences from the paper: T is T/‖T‖ with y/(c‖T‖); the step is the 2D one.

``split_primal_dual`` has memory channels as well, in two halves that change in turn:

    h ← h + Γ_k(h', T(x₀ + x'₀), y),   x ← x + Λ_k(x', [∂T(x'₀)]*(h₀ + h'₀))

where x', h' are the halves that stay. It is no paper's; T may be nonlinear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from learnedrecon.models.checks import (
    require_choice,
    require_counts,
    require_positive,
    require_spec,
)
from learnedrecon.models.initial import BothPrimals, FirstPrimal, PrimalDualStart, SplitStart
from learnedrecon.networks.conv import ConvNet, ConvSpec
from learnedrecon.schemes.backward import Backprop, Backward, Checkpointed
from learnedrecon.schemes.invertible_primal_dual import (
    InvertiblePrimalDualStep,
    SplitPrimalDualStep,
)
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.reversible import Reversible
from learnedrecon.schemes.scaling import ImageScale
from learnedrecon.schemes.step import Chain

BackwardName: TypeAlias = Literal["reversible", "checkpointed", "backprop"]
_BACKWARD: dict[str, Backward] = {
    "reversible": Reversible(),
    "checkpointed": Checkpointed(),
    "backprop": Backprop(),
}


@dataclass(frozen=True)
class InvertiblePrimalDual:
    """The configuration of the paper's scheme.

    Attributes:
        iterations: the number of steps, each with its own weights.
        hidden: channels of the two hidden layers of every network.
        image_scale: c, the size of a typical image value, in its unit.
        backward: "reversible" stores the last state only, "checkpointed" every state, "backprop"
            every activation; the gradients are the same up to rounding.

    Raises:
        ConfigError: a field is out of range.
    """

    iterations: int = 20
    hidden: int = 32
    image_scale: float = 1.0
    backward: BackwardName = "reversible"

    def __post_init__(self) -> None:
        require_counts(self, {"iterations": 1, "hidden": 1})
        require_positive(self, "image_scale")
        require_choice(self, "backward", tuple(_BACKWARD))


def invertible_primal_dual(spec: InvertiblePrimalDual | None = None) -> Iterative:
    """Builds the scheme; weights are drawn from torch's default generator.

    Args:
        spec: the configuration, all of it default unless given.

    Raises:
        ConfigError: another kind of spec.
    """
    spec = require_spec(InvertiblePrimalDual() if spec is None else spec, InvertiblePrimalDual)
    steps = [
        InvertiblePrimalDualStep(_network(2, spec.hidden, 1), _network(1, spec.hidden, 1))
        for _ in range(spec.iterations)
    ]
    return Iterative(
        initial=PrimalDualStart(1, 1),
        scheme=Chain(steps, _BACKWARD[spec.backward]),
        readout=FirstPrimal(),
        scaling=ImageScale(spec.image_scale),
    )


@dataclass(frozen=True)
class SplitPrimalDualSpec:
    """The configuration of the scheme with memory.

    Attributes:
        iterations: the number of steps, each with its own weights; each changes one half.
        primal: channels of each half of x.
        dual: channels of each half of h.
        hidden: channels of the two hidden layers of every network.
        image_scale: c, the size of a typical image value, in its unit.
        backward: as in :class:`InvertiblePrimalDual`.

    Raises:
        ConfigError: a field is out of range.
    """

    iterations: int = 10
    primal: int = 5
    dual: int = 5
    hidden: int = 32
    image_scale: float = 1.0
    backward: BackwardName = "reversible"

    def __post_init__(self) -> None:
        require_counts(self, {"iterations": 1, "primal": 1, "dual": 1, "hidden": 1})
        require_positive(self, "image_scale")
        require_choice(self, "backward", tuple(_BACKWARD))


def split_primal_dual(spec: SplitPrimalDualSpec | None = None) -> Iterative:
    """Builds the scheme; weights are drawn from torch's default generator.

    Args:
        spec: the configuration, all of it default unless given.

    Raises:
        ConfigError: another kind of spec.
    """
    spec = require_spec(SplitPrimalDualSpec() if spec is None else spec, SplitPrimalDualSpec)
    steps = [
        SplitPrimalDualStep(
            _network(spec.dual + 2, spec.hidden, spec.dual),
            _network(spec.primal + 1, spec.hidden, spec.primal),
            swapped=k % 2 == 1,
        )
        for k in range(spec.iterations)
    ]
    return Iterative(
        initial=SplitStart(spec.primal, spec.dual),
        scheme=Chain(steps, _BACKWARD[spec.backward]),
        readout=BothPrimals(),
        scaling=ImageScale(spec.image_scale),
    )


def _network(channels: int, hidden: int, out: int) -> ConvNet:
    return ConvNet(ConvSpec((channels, hidden, hidden, out), activation="prelu"))
