"""Learned schemes on subsets of the data (Tang, Mukherjee, Schönlieb, 2021).

Primal-dual:  h ← h + Γ_k(h, T_i(u₁), y_i),   u ← u + Λ_k(u, [∂T_i(u₀)]* h₀)
gradient:     u ← u + Γ_k(u, ∇D_i(u))

where T_i, y_i are every m-th row of T and y (angles, lines of k-space), from row i on; i = k mod m
in cyclic order, or drawn at random by the data side before the scheme runs. The dual variable has
the size of one part and is carried from part to part. An iteration costs 1/m of T and of T*. The
networks are those of learned primal-dual and of deep gradient descent: 253 220 parameters for the
defaults of the first, 50 725 for those of the second.

Differences from the paper: no step sizes outside the networks, and the parts are not rescaled by
√m, which the networks learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_choice, require_counts, require_positive
from learnedrecon.models.deep_gradient import deep_gradient_step
from learnedrecon.models.learned_primal_dual import primal_dual_step
from learnedrecon.models.like import LikeArgument, as_like
from learnedrecon.models.start import Start, start_of
from learnedrecon.schemes.step import Chain
from learnedrecon.schemes.subsets import OnSubset, Partition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from learnedrecon.recorded import Record
    from learnedrecon.schemes.step import Step

Order: TypeAlias = Literal["cyclic", "random"]


@dataclass(frozen=True)
class Subsets:
    """The partition of the data, and the order in which steps use its parts.

    Attributes:
        parts: Number m of parts, which divides the number of angles or lines.
        order: "cyclic", or "random" for parts that the data side draws.

    Raises:
        ConfigError: A field is out of range.
    """

    parts: int = 2
    order: Order = "cyclic"

    def __post_init__(self) -> None:
        require_counts(self, {"parts": 1})
        require_choice(self, "order", ("cyclic", "random"))

    def __call__(self, steps: Sequence[Step[Any]]) -> Chain[Any]:
        """The steps, each on its part of the data."""
        partition, drawn = Partition(self.parts), self.order == "random"
        return Chain([OnSubset(step, partition, k, drawn=drawn) for k, step in enumerate(steps)])


HALVES = Subsets()


class SubsetPrimalDual(LearnedScheme):
    """Learned primal-dual on subsets of the data, starting from zero.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number of steps, each with its own weights.
        primal: Number of images in u, at least 2.
        dual: Number of data in h.
        hidden: Number of channels of the two hidden layers of every network.
        subsets: Partition of the data.
        image_scale: Size c of a typical image value, in its unit.
        like: Operator whose images and data the networks are built for; real images with two axes
            unless given.

    Raises:
        ConfigError: An argument is out of range.
        GeometryError: In a call, the rows of T cannot be divided equally.
    """

    def __init__(
        self,
        iterations: int = 10,
        primal: int = 5,
        dual: int = 5,
        hidden: int = 32,
        *,
        subsets: Subsets = HALVES,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        steps = [primal_dual_step(kind, primal, dual, hidden) for _ in range(iterations)]
        super().__init__(subsets(steps), kind, start_of("zero"), image_scale)
        self.draws = iterations if subsets.order == "random" else 0

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "primal": 2, "dual": 1, "hidden": 1})
        require_positive(spec, "image_scale")


class SubsetGradient(LearnedScheme):
    """Deep gradient descent on subsets of the data.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number of steps, each with its own weights.
        hidden: Number of channels of the two hidden layers of every Γ_k.
        subsets: Partition of the data.
        image_scale: Size c of a typical image value, in its unit.
        start: Initial image u⁰, from all the data, see :func:`learnedrecon.models.start.start_of`.
        like: Operator whose images the networks are built for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range.
        GeometryError: In a call, the rows of T cannot be divided equally.
    """

    def __init__(
        self,
        iterations: int = 5,
        hidden: int = 32,
        *,
        subsets: Subsets = HALVES,
        image_scale: float = 1.0,
        start: Start = "auto",
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        steps = [deep_gradient_step(kind, hidden) for _ in range(iterations)]
        super().__init__(subsets(steps), kind, start_of(start), image_scale)
        self.draws = iterations if subsets.order == "random" else 0

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "hidden": 1})
        require_positive(spec, "image_scale")
