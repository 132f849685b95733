"""Learned PDHG (Adler, Öktem, IEEE Trans. Med. Imaging 37(6), 2018).

    h ← h + Γ(h + σT(ū), y),  u⁺ = u + Λ(u - τ[∂T(u)]* h),  ū = u⁺ + θ(u⁺ - u),  10 times from zero

The primal-dual hybrid gradient method (Chambolle, Pock 2011) with both proximal maps replaced by
networks, the same in all steps. Γ: 3×3 convolutions 2-32-32-1, Λ: 1-32-32-1, PReLU with one slope
per channel that starts at 0, Xavier uniform, bias 0; σ, τ, θ are trained from ½, ½, 1: 20 133
parameters. T may be linear or not.

As Γ sees h + σT(ū) and its result is added to h alone, no Γ makes the step that of PDHG with the
step size σ. PDHG for ½‖Tu - y‖² + μ/2‖u‖² with any step sizes s, t is contained nevertheless, in
the variable -h: with σ = 1, τ = 1/μ, and Γ, Λ that multiply h + σT(ū) - y by -s/(1 + s) and
u - τT*h by -tμ/(1 + tμ).

Differences from the paper: a linear T is T/‖T‖ with y/(c‖T‖); a nonlinear one is u ↦ T(c·u) with
the data as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.like import LikeArgument, as_like
from learnedrecon.models.start import Start, start_of
from learnedrecon.networks.conv import Convolutions
from learnedrecon.schemes.step import Repeat, Step

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record


class Extrapolated(NamedTuple):
    """The state of the primal-dual hybrid gradient method.

    Attributes:
        image: u, (batch, channel, *domain.shape).
        ahead: Extrapolated image ū, of the same shape.
        dual: h, (batch, channel, *codomain.shape).
    """

    image: Tensor
    ahead: Tensor
    dual: Tensor


class LearnedPDHGStep(Step[Extrapolated]):
    """The step h ← h + Γ(h + σT(ū), y); u⁺ = u + Λ(u - τ[∂T(u)]* h); ū = u⁺ + θ(u⁺ - u).

    σ, τ and θ are trained without constraints, from ½, ½ and 1.

    Args:
        dual_network: Network Γ, from 2 data to 1.
        primal_network: Network Λ, from 1 image to 1.
    """

    def __init__(self, dual_network: nn.Module, primal_network: nn.Module) -> None:
        super().__init__()
        self.dual_network = dual_network
        self.primal_network = primal_network
        self.sigma = nn.Parameter(torch.tensor(0.5))
        self.tau = nn.Parameter(torch.tensor(0.5))
        self.theta = nn.Parameter(torch.tensor(1.0))

    def begin(self, image: Tensor, problem: Problem) -> Extrapolated:
        return Extrapolated(image, image, torch.zeros_like(problem.data))

    def forward(self, state: Extrapolated, problem: Problem) -> Extrapolated:
        u, ahead, dual = state
        moved = dual + self.sigma * problem.forward(ahead)
        seen = torch.cat([moved, problem.data], dim=1)
        dual = dual + self.dual_network(seen).to(dual.dtype)
        v = u - self.tau * problem.adjoint(dual, at=u)
        image = u + self.primal_network(v).to(u.dtype)
        return Extrapolated(image, image + self.theta * (image - u), dual)


class LearnedPDHG(LearnedScheme):
    """Learned PDHG with shared weights, with the paper's defaults.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number of repetitions of the step.
        hidden: Number of channels of the two hidden layers of both networks.
        image_scale: Size c of a typical image value, in its unit.
        start: Initial image u⁰, see :func:`learnedrecon.models.start.start_of`.
        like: Operator whose images and data the networks are built for; real images with two axes
            unless given.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        iterations: int = 10,
        hidden: int = 32,
        *,
        image_scale: float = 1.0,
        start: Start = "zero",
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        build = Convolutions((hidden, hidden), activation="prelu")
        step = LearnedPDHGStep(kind.on_data(build, 2, 1), kind.on_images(build, 1, 1))
        super().__init__(Repeat(step, iterations), kind, start_of(start), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "hidden": 1})
        require_positive(spec, "image_scale")
