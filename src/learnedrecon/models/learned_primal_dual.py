"""Learned primal-dual (Adler, Öktem, IEEE Trans. Med. Imaging 37(6), 2018).

    h ← h + Γ_k(h, T(u₁), y),   u ← u + Λ_k(u, [∂T(u₀)]* h₀),   k = 1..10,  from zero

Γ_k: 3×3 convolutions 7-32-32-5, Λ_k: 6-32-32-5, PReLU with one slope per channel that starts at 0,
Xavier uniform, bias 0: 253 220 parameters. T may be linear or not; with :class:`TransmissionCT`
this is the paper's nonlinear form.

Differences from the paper: a linear T is T/‖T‖ with y/(c‖T‖), where the original ran with y/19.70
and (0.1036/19.70)·T*; a nonlinear one is u ↦ T(c·u) with the data as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.like import Like, LikeArgument, as_like
from learnedrecon.models.start import Start, start_of
from learnedrecon.networks.conv import Convolutions
from learnedrecon.schemes.step import Chain, Step

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record


class PrimalDual(NamedTuple):
    """The state of a primal-dual scheme: several images and several data as channels.

    Attributes:
        primal: Images (batch, primal channels, *domain.shape), the first of which is the result.
        dual: Data (batch, dual channels, *codomain.shape).
    """

    primal: Tensor
    dual: Tensor


class PrimalDualStep(Step[PrimalDual]):
    """The step h ← h + Γ(h, T(u₁), y); u ← u + Λ(u, [∂T(u₀)]* h₀) (algorithm 3 of the paper).

    T is applied to image 1 of the primal variable, and image 0 is the result; the derivative of a
    nonlinear T is taken at image 0.

    Args:
        dual_network: Network Γ, from d + 2 data to d.
        primal_network: Network Λ, from p + 1 images to p, with p ≥ 2.
        sizes: Numbers (p, d) of images and data in the initial state.
        channels: Number of channels of one image.
    """

    def __init__(
        self,
        dual_network: nn.Module,
        primal_network: nn.Module,
        *,
        sizes: tuple[int, int] = (5, 5),
        channels: int = 1,
    ) -> None:
        super().__init__()
        self.dual_network = dual_network
        self.primal_network = primal_network
        self.sizes = sizes
        self.channels = channels

    def begin(self, image: Tensor, problem: Problem) -> PrimalDual:
        return begin_with(image, problem, *self.sizes)

    def image(self, state: PrimalDual) -> Tensor:
        return state.primal[:, : self.channels]

    def forward(self, state: PrimalDual, problem: Problem) -> PrimalDual:
        primal, dual = state
        c = self.channels
        prediction = problem.forward(primal[:, c : 2 * c])
        seen = torch.cat([dual, prediction, problem.data], dim=1)
        dual = dual + self.dual_network(seen).to(dual.dtype)
        back = problem.adjoint(dual[:, :c], at=primal[:, :c])
        primal = primal + self.primal_network(torch.cat([primal, back], dim=1)).to(primal.dtype)
        return PrimalDual(primal, dual)


class LearnedPrimalDual(LearnedScheme):
    """Learned primal-dual, with the paper's defaults.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number of steps, each with its own weights.
        primal: Number of images in u, at least 2.
        dual: Number of data in h.
        hidden: Number of channels of the two hidden layers of every network.
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
        primal: int = 5,
        dual: int = 5,
        hidden: int = 32,
        *,
        image_scale: float = 1.0,
        start: Start = "zero",
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        steps = [primal_dual_step(kind, primal, dual, hidden) for _ in range(iterations)]
        super().__init__(Chain(steps), kind, start_of(start), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "primal": 2, "dual": 1, "hidden": 1})
        require_positive(spec, "image_scale")


def begin_with(image: Tensor, problem: Problem, primal: int, dual: int) -> PrimalDual:
    """The initial state: the image before ``primal`` - 1 zero images, and ``dual`` zero data.

    Args:
        image: Initial image, (batch, channel, *domain.shape).
        problem: Problem that determines the data's shape.
        primal: Number of images.
        dual: Number of data.
    """
    data, channels = problem.data, image.shape[1]
    memory = image.new_zeros(image.shape[0], (primal - 1) * channels, *image.shape[2:])
    zeros = data.new_zeros(data.shape[0], dual * channels, *data.shape[2:])
    return PrimalDual(torch.cat([image, memory], dim=1), zeros)


def primal_dual_step(like: Like, primal: int, dual: int, hidden: int) -> PrimalDualStep:
    """A step of learned primal-dual with new weights.

    Args:
        like: Images and data that the networks are built for.
        primal: Number of images in u, at least 2.
        dual: Number of data in h.
        hidden: Number of channels of the two hidden layers of both networks.
    """
    build = Convolutions((hidden, hidden), activation="prelu")
    return PrimalDualStep(
        like.on_data(build, dual + 2, dual),
        like.on_images(build, primal + 1, primal),
        sizes=(primal, dual),
        channels=like.channels,
    )
