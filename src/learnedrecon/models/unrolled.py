"""Unrolled gradient descent with one shared network (Gilton, Ongie, Willett, IEEE TCI 7, 2021).

    u ← u + η(T*(y - Tu) - λR(u)),   k = 1..10

R: 3×3 convolutions 1-32-32-32-1, ReLU, Xavier uniform, bias 0, last layer scaled by 0.1, the same
for all steps; λ is trained, η = 0.95/(1 + λ) for ‖T‖ = 1. The defaults have 19 106 parameters. The
step is that of ``equilibrium_gradient``, applied a fixed number of times, with a network that has
no Lipschitz bound.

Differences from the paper: λ is a weight of R (1 in the paper) and trained; a small network in
place of the 17-layer DnCNN; the start is filtered backprojection where T has one, otherwise T*y.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.equilibrium import GradientEquilibrium
from learnedrecon.models.like import LikeArgument, as_like
from learnedrecon.models.start import Start, start_of
from learnedrecon.networks.conv import Convolutions
from learnedrecon.schemes.step import Repeat

if TYPE_CHECKING:
    from learnedrecon.recorded import Record


class UnrolledGradient(LearnedScheme):
    """Unrolled gradient descent with one network for all steps.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number of steps, with shared weights.
        layers: Number of convolutions of R, at least 2.
        hidden: Number of channels of the hidden layers of R.
        weight: Initial λ > 0.
        image_scale: Size c of a typical image value, in its unit.
        start: Initial image u⁰, see :func:`learnedrecon.models.start.start_of`.
        like: Operator whose images the network is built for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        iterations: int = 10,
        layers: int = 4,
        hidden: int = 32,
        *,
        weight: float = 0.5,
        image_scale: float = 1.0,
        start: Start = "auto",
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        build = Convolutions((hidden,) * (layers - 1), last_scale=0.1)
        step = GradientEquilibrium(kind.on_images(build, 1, 1), weight)
        super().__init__(Repeat(step, iterations), kind, start_of(start), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "layers": 2, "hidden": 1})
        require_positive(spec, "weight", "image_scale")
