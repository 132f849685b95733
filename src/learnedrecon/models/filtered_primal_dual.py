"""Learned primal-dual with the filtered residual, made to train in minutes; no paper.

    r = y - T(u₀),   h ← h + Γ_k(h, T(u₀), y),   u ← u + Λ_k(u, T*h₀, T*r, T*Fr)

with F the ramp filter, from the filtered back-projection.

Differences from learned primal-dual (Adler, Öktem 2018): the primal network sees the residual,
back-projected with and without the ramp filter; channel 0 goes through T; it starts from the
filtered back-projection and near the identity (last layers scaled by 0.1), so that an untrained
model is close to it; leaky ReLU; fewer and narrower iterations.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from learnedrecon.models.checks import require_counts, require_positive, require_spec
from learnedrecon.models.initial import (
    AdjointImage,
    FilteredBackprojection,
    FirstPrimal,
    PrimalDualStart,
)
from learnedrecon.networks.conv import ConvNet, ConvSpec
from learnedrecon.networks.filters import RampFilter
from learnedrecon.schemes.backward import backward_mode
from learnedrecon.schemes.primal_dual import FilteredPrimalDualStep
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.scaling import ImageScale
from learnedrecon.schemes.step import Chain


@dataclass(frozen=True)
class FilteredPrimalDual:
    """The configuration of the scheme.

    Attributes:
        iterations: the number of steps, each with its own weights.
        primal: channels of u.
        dual: channels of h.
        hidden: channels of the two hidden layers of every network.
        fbp: how u⁰ is made; None, for operators that have no filtered back-projection, starts from
            T*y of the operator of norm 1 (from zero if T is nonlinear).
        image_scale: c, the size of a typical image value, in its unit.
        checkpoint_every: None to store every activation for the gradient; k to store the state
            after every k steps and compute the rest again, with less memory and the same result.

    Raises:
        ConfigError: a field is out of range.
    """

    iterations: int = 6
    primal: int = 5
    dual: int = 5
    hidden: int = 16
    fbp: FilteredBackprojection | None = field(
        default_factory=lambda: FilteredBackprojection("hann", 0.8)
    )
    image_scale: float = 1.0
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        require_counts(
            self, {"iterations": 1, "primal": 1, "dual": 1, "hidden": 1, "checkpoint_every": 1}
        )
        require_positive(self, "image_scale")


def filtered_primal_dual(spec: FilteredPrimalDual | None = None) -> Iterative:
    """Builds the scheme; weights are drawn from torch's default generator.

    Args:
        spec: the configuration, all of it default unless given.

    Raises:
        ConfigError: another kind of spec.
    """
    spec = require_spec(FilteredPrimalDual() if spec is None else spec, FilteredPrimalDual)
    return Iterative(
        initial=PrimalDualStart(spec.primal, spec.dual, spec.fbp or AdjointImage()),
        scheme=Chain(
            [_step(spec) for _ in range(spec.iterations)], backward_mode(spec.checkpoint_every)
        ),
        readout=FirstPrimal(),
        scaling=ImageScale(spec.image_scale),
    )


def _step(spec: FilteredPrimalDual) -> FilteredPrimalDualStep:
    return FilteredPrimalDualStep(
        dual_network=_network(spec.dual + 2, spec.hidden, spec.dual),
        primal_network=_network(spec.primal + 3, spec.hidden, spec.primal),
        filter_=RampFilter(),
    )


def _network(channels: int, hidden: int, out: int) -> ConvNet:
    return ConvNet(
        ConvSpec(
            (channels, hidden, hidden, out), activation="leaky_relu", slope=0.1, last_scale=0.1
        )
    )
