"""Learned proximal descent: proximal gradient descent with a network as the proximal map.

    u ← Γ_k(u - η_k ∇D(u)),   k = 1..10

The proximal gradient method (Combettes, Wajs, Multiscale Model. Simul. 4(4), 2005) with prox_{ηR}
replaced by a network Γ_k, and the step sizes η_k > 0 learned; an unrolled relative is that of
Mardani et al., NeurIPS 2018. Γ(v) = v + N(v), N: 3×3 convolutions 1-32-32-1, ReLU, Xavier uniform,
bias 0, last layer scaled by 0.1: 9 857 parameters and η_k in each step, 98 580 in all; 9 858 where
all steps share Γ and η. Weights of zero make it gradient descent; N(v) = prox(v) - v with the
soft thresholding of ℓ1 or the projection onto u ≥ 0 is contained exactly, for which 4 hidden
channels suffice.

Differences from the paper: there is no single one; T/‖T‖ and y/(c‖T‖) with the image in units of c,
so that gradient descent is stable for η < 2 if T is linear; the start is filtered backprojection
where T has one, otherwise T*y.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.like import Like, LikeArgument, as_like
from learnedrecon.models.start import Start, start_of
from learnedrecon.networks.conv import Convolutions
from learnedrecon.schemes.contraction import require_positive_number
from learnedrecon.schemes.state import Image
from learnedrecon.schemes.step import Chain, Repeat, Step

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record


class LearnedProximalStep(Step[Image]):
    """The step v = u - η∇D(u); u ← v + N(v), η > 0.

    Args:
        network: Network N, from 1 image to 1.
        step: Initial step size η > 0, trained as log η.

    Raises:
        ConfigError: η is not positive.
    """

    def __init__(self, network: nn.Module, step: float = 1.0) -> None:
        super().__init__()
        require_positive_number("step", step)
        self.network = network
        self.log_step = nn.Parameter(torch.tensor(math.log(step)))

    def forward(self, state: Image, problem: Problem) -> Image:
        (u,) = state
        v = u - self.log_step.exp() * problem.gradient(u)
        return Image(v + self.network(v).to(v.dtype))


class LearnedProximal(LearnedScheme):
    """Learned proximal descent, with own weights in every step or with shared ones.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number of steps.
        hidden: Number of channels of the two hidden layers of Γ.
        shared: True if all steps have the same Γ and the same η.
        step: Initial step size η > 0, for an operator of norm 1.
        image_scale: Size c of a typical image value, in its unit.
        start: Initial image u⁰, see :func:`learnedrecon.models.start.start_of`.
        like: Operator whose images the networks are built for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        iterations: int = 10,
        hidden: int = 32,
        *,
        shared: bool = False,
        step: float = 1.0,
        image_scale: float = 1.0,
        start: Start = "auto",
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        steps = [_step(kind, hidden, step) for _ in range(1 if shared else iterations)]
        scheme = Repeat(steps[0], iterations) if shared else Chain(steps)
        super().__init__(scheme, kind, start_of(start), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "hidden": 1})
        require_positive(spec, "step", "image_scale")


def _step(like: Like, hidden: int, step: float) -> LearnedProximalStep:
    build = Convolutions((hidden, hidden), last_scale=0.1)
    return LearnedProximalStep(like.on_images(build, 1, 1), step)
