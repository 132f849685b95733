"""Learned schemes on parts of the data (Tang, Mukherjee, Schönlieb, 2021).

Primal-dual:  h ← h + Γ_k(h, T_i(u₁), y_i),   u ← u + Λ_k(u, [∂T_i(u₀)]* h₀)
gradient:     u ← u + Γ_k(u, ∇D_i(u))

with T_i, y_i every m-th row of T and y (angles, lines of k-space), beginning with row i; i = k mod
m in cyclic order, or drawn at random by the data side before the scheme runs. The dual variable has
the size of one part and is carried from part to part. An iteration costs 1/m of T and of T*. The
networks are those of learned primal-dual and of deep gradient descent: 253 220 parameters for the
defaults of the first, 50 725 for those of the second.

Differences from the paper: no step sizes outside the networks, and the parts are not rescaled by
√m, which the networks learn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from learnedrecon.models.checks import (
    require_choice,
    require_counts,
    require_positive,
    require_spec,
)
from learnedrecon.models.deep_gradient import deep_gradient_step
from learnedrecon.models.initial import (
    AdjointImage,
    FilteredBackprojection,
    FirstPrimal,
    ImageAlone,
    PartDualStart,
    TheImage,
)
from learnedrecon.models.learned_primal_dual import primal_dual_step
from learnedrecon.schemes.backward import backward_mode
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.scaling import ImageScale
from learnedrecon.schemes.step import Chain
from learnedrecon.schemes.subsets import OnSubset, Partition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from learnedrecon.schemes.step import Step

Order: TypeAlias = Literal["cyclic", "random"]


@dataclass(frozen=True)
class SubsetPrimalDual:
    """The configuration of learned primal-dual on parts of the data.

    Attributes:
        iterations: the number of steps, each with its own weights.
        primal: channels of u, at least 2.
        dual: channels of h.
        hidden: channels of the two hidden layers of every network.
        parts: m, which divides the number of angles or lines.
        order: "cyclic", or "random": parts as the data side draws them.
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
    parts: int = 2
    order: Order = "cyclic"
    image_scale: float = 1.0
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        least = {"iterations": 1, "primal": 2, "dual": 1, "hidden": 1, "parts": 1}
        require_counts(self, least | {"checkpoint_every": 1})
        require_choice(self, "order", ("cyclic", "random"))
        require_positive(self, "image_scale")

    @property
    def draws(self) -> int:
        """How many random numbers a problem must bring."""
        return self.iterations if self.order == "random" else 0


@dataclass(frozen=True)
class SubsetGradient:
    """The configuration of deep gradient descent on parts of the data.

    Attributes:
        iterations: the number of steps, each with its own weights.
        hidden: channels of the two hidden layers of every Γ_k.
        parts: m, which divides the number of angles or lines.
        order: "cyclic", or "random": parts as the data side draws them.
        fbp: how u⁰ is made, from all the data; None, for operators that have no filtered
            back-projection, starts from T*y of the operator of norm 1 (from zero if T is
            nonlinear).
        image_scale: c, the size of a typical image value, in its unit.
        checkpoint_every: None to store every activation for the gradient; k to store the state
            after every k steps and compute the rest again, with less memory and the same result.

    Raises:
        ConfigError: a field is out of range.
    """

    iterations: int = 5
    hidden: int = 32
    parts: int = 2
    order: Order = "cyclic"
    fbp: FilteredBackprojection | None = field(default_factory=FilteredBackprojection)
    image_scale: float = 1.0
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        require_counts(self, {"iterations": 1, "hidden": 1, "parts": 1, "checkpoint_every": 1})
        require_choice(self, "order", ("cyclic", "random"))
        require_positive(self, "image_scale")

    @property
    def draws(self) -> int:
        """How many random numbers a problem must bring."""
        return self.iterations if self.order == "random" else 0


def subset_primal_dual(spec: SubsetPrimalDual | None = None) -> Iterative:
    """Builds learned primal-dual on parts; weights are drawn from torch's default generator.

    Args:
        spec: the configuration, all of it default unless given.

    Raises:
        ConfigError: another kind of spec.
        GeometryError: on a call, a T whose rows cannot be parted equally.
    """
    spec = require_spec(SubsetPrimalDual() if spec is None else spec, SubsetPrimalDual)
    steps = [primal_dual_step(spec.primal, spec.dual, spec.hidden) for _ in range(spec.iterations)]
    return Iterative(
        initial=PartDualStart(spec.primal, spec.dual, spec.parts),
        scheme=_on_parts(steps, spec),
        readout=FirstPrimal(),
        scaling=ImageScale(spec.image_scale),
    )


def subset_gradient(spec: SubsetGradient | None = None) -> Iterative:
    """Builds deep gradient descent on parts; weights are drawn from torch's default generator.

    Args:
        spec: the configuration, all of it default unless given.

    Raises:
        ConfigError: another kind of spec.
        GeometryError: on a call, a T whose rows cannot be parted equally.
    """
    spec = require_spec(SubsetGradient() if spec is None else spec, SubsetGradient)
    steps = [deep_gradient_step(spec.hidden) for _ in range(spec.iterations)]
    return Iterative(
        initial=ImageAlone(spec.fbp or AdjointImage()),
        scheme=_on_parts(steps, spec),
        readout=TheImage(),
        scaling=ImageScale(spec.image_scale),
    )


def _on_parts(steps: Sequence[Step[Any]], spec: SubsetPrimalDual | SubsetGradient) -> Chain[Any]:
    partition, drawn = Partition(spec.parts), spec.order == "random"
    return Chain(
        [OnSubset(step, partition, k, drawn=drawn) for k, step in enumerate(steps)],
        backward_mode(spec.checkpoint_every),
    )
