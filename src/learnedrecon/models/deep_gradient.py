"""Deep gradient descent (Hauptmann et al., IEEE Trans. Med. Imaging 37(6), 2018).

    u ← u + Γ_k(u, ∇D(u)),   k = 1..5, own weights each

Γ_k: 3×3 convolutions 2-32-32-1, ReLU, Xavier uniform, bias 0, last layer scaled by 0.1, so that an
untrained step is close to the identity: 10 145 parameters each, 50 725 in all. It is intended for
greedy training (``training.strategy: greedy``): every Γ_k is fitted to the truth separately, and
∇D(u_k) is computed once per sample instead of once per optimiser step.

Differences from the paper: two dimensions; another Γ; T/‖T‖ and y/(c‖T‖) with the image in units of
c; the start is filtered backprojection where T has one, otherwise T*y.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.like import Like, LikeArgument, as_like
from learnedrecon.models.start import Start, start_of
from learnedrecon.networks.conv import Convolutions
from learnedrecon.schemes.state import Image
from learnedrecon.schemes.step import Chain, Step

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record


class DeepGradientStep(Step[Image]):
    """The step u ← u + Γ(u, ∇D(u)).

    The gradient is taken at the state, so that greedy training can compute ∇D(u) once per sample.

    Args:
        network: Network Γ, from 2 images to 1.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, state: Image, problem: Problem) -> Image:
        u = state.image
        return Image(u + self.network(torch.cat([u, problem.gradient(u)], dim=1)).to(u.dtype))


class DeepGradientDescent(LearnedScheme):
    """Deep gradient descent: a learned gradient scheme with own weights in every step.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number of steps, each with its own weights.
        hidden: Number of channels of the two hidden layers of every Γ_k.
        image_scale: Size c of a typical image value, in its unit.
        start: Initial image u⁰, see :func:`learnedrecon.models.start.start_of`.
        like: Operator whose images the networks are built for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        iterations: int = 5,
        hidden: int = 32,
        *,
        image_scale: float = 1.0,
        start: Start = "auto",
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        steps = [deep_gradient_step(kind, hidden) for _ in range(iterations)]
        super().__init__(Chain(steps), kind, start_of(start), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "hidden": 1})
        require_positive(spec, "image_scale")


def deep_gradient_step(like: Like, hidden: int) -> DeepGradientStep:
    """A step of deep gradient descent with new weights.

    Args:
        like: Images that the network is built for.
        hidden: Number of channels of the two hidden layers of Γ.
    """
    build = Convolutions((hidden, hidden), last_scale=0.1)
    return DeepGradientStep(like.on_images(build, 2, 1))
