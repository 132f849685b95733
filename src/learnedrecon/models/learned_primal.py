"""Learned primal (Adler, Öktem, IEEE Trans. Med. Imaging 37(6), 2018).

    h = T(u₁) - y,   u ← u + Λ_k(u, [∂T(u₀)]* h),   k = 1..10,  from zero

Learned primal-dual without networks in the data space. Λ_k: 3×3 convolutions 6-32-32-5, PReLU with
one slope per channel that starts at 0, Xavier uniform, bias 0: 125 170 parameters. T may be linear
or not. A Λ_k that subtracts a multiple of its last input from u₀ and u₁ is gradient descent for
½‖T(u) - y‖².

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
from learnedrecon.schemes.step import Chain, Step

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record


class Primal(NamedTuple):
    """The state of learned primal: several images as channels.

    Attributes:
        primal: Images (batch, primal channels, *domain.shape), the first of which is the result.
    """

    primal: Tensor


class LearnedPrimalStep(Step[Primal]):
    """The step u ← u + Λ(u, [∂T(u₀)]*(T(u₁) - y)).

    As in learned primal-dual, T is applied to image 1, and image 0 is the result.

    Args:
        network: Network Λ, from p + 1 images to p, with p ≥ 2.
        images: Number p of images in the initial state.
        channels: Number of channels of one image.
    """

    def __init__(self, network: nn.Module, *, images: int = 5, channels: int = 1) -> None:
        super().__init__()
        self.network = network
        self.images = images
        self.channels = channels

    def begin(self, image: Tensor, problem: Problem) -> Primal:  # noqa: ARG002 - what other classes look at
        number = (self.images - 1) * image.shape[1]
        memory = image.new_zeros(len(image), number, *image.shape[2:])
        return Primal(torch.cat([image, memory], dim=1))

    def image(self, state: Primal) -> Tensor:
        return state.primal[:, : self.channels]

    def forward(self, state: Primal, problem: Problem) -> Primal:
        (primal,) = state
        c = self.channels
        residual = problem.forward(primal[:, c : 2 * c]) - problem.data
        back = problem.adjoint(residual, at=primal[:, :c])
        update = self.network(torch.cat([primal, back], dim=1))
        return Primal(primal + update.to(primal.dtype))


class LearnedPrimal(LearnedScheme):
    """Learned primal, with the paper's defaults.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number of steps, each with its own weights.
        primal: Number of images in u, at least 2.
        hidden: Number of channels of the two hidden layers of every network.
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
        primal: int = 5,
        hidden: int = 32,
        *,
        image_scale: float = 1.0,
        start: Start = "zero",
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        build = Convolutions((hidden, hidden), activation="prelu")
        networks = [kind.on_images(build, primal + 1, primal) for _ in range(iterations)]
        steps = [LearnedPrimalStep(n, images=primal, channels=kind.channels) for n in networks]
        super().__init__(Chain(steps), kind, start_of(start), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "primal": 2, "hidden": 1})
        require_positive(spec, "image_scale")
