"""The partially learned gradient scheme (Adler, Öktem, Inverse Problems 33, 2017).

    (du, s⁺) = Γ(u, ∇D(u), ∇R(u), s),  s ← relu(s⁺),  u ← u + du,   R(u) = ½‖∇u‖²

with s⁰ = 0, u⁰ the filtered back-projection (Ram-Lak), weights shared over the iterations, and T
scaled to norm 1. Γ: 3×3 convolutions 8-32-32-6, ReLU, Xavier normal, biases .01, .01, 0:
13 318 parameters.

Differences from the paper: T/‖T‖ and y/(c‖T‖) with the image in units of c (1 for phantoms); the
gradient of R takes differences that vanish across the border; T*y is the start of operators without
filtered back-projection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, describe
from learnedrecon.functionals.base import Regulariser
from learnedrecon.functionals.regularisers import Dirichlet
from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.like import LikeArgument, as_like
from learnedrecon.models.start import Start, start_of
from learnedrecon.networks.conv import Convolutions
from learnedrecon.problem import Problem, changed
from learnedrecon.schemes.step import Repeat, Step

if TYPE_CHECKING:
    from learnedrecon.recorded import Record


class ImageAndMemory(NamedTuple):
    """The state of a learned gradient scheme: the image and memory channels.

    Attributes:
        image: u, (batch, channel, *space).
        memory: s, (batch, memory channels, *space).
    """

    image: Tensor
    memory: Tensor


class LearnedGradientStep(Step[ImageAndMemory]):
    """The step (du, s⁺) = Γ(u, ∇D(u), ∇R(u), s); u ← u + du; s ← relu(s⁺) (algorithm 2).

    The problem provides D and the fixed R. For complex images relu acts on real and imaginary
    parts.

    Args:
        network: Network Γ, from 3 + m images to 1 + m.
        memory: Number m of images in s in the initial state.
    """

    def __init__(self, network: nn.Module, memory: int = 5) -> None:
        super().__init__()
        self.network = network
        self.memory = memory

    def begin(self, image: Tensor, problem: Problem) -> ImageAndMemory:  # noqa: ARG002 - what other classes look at
        channels = self.memory * image.shape[1]
        return ImageAndMemory(image, image.new_zeros(len(image), channels, *image.shape[2:]))

    def forward(self, state: ImageAndMemory, problem: Problem) -> ImageAndMemory:
        u, memory = state
        seen = torch.cat([u, problem.gradient(u), regulariser_gradient(problem, u), memory], dim=1)
        update = self.network(seen).to(u.dtype)
        c = u.shape[1]
        return ImageAndMemory(u + update[:, :c], _relu(update[:, c:]))


class LearnedGradient(LearnedScheme):
    """The partially learned gradient scheme, with the paper's defaults.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number of repetitions of the step.
        memory: Number of images in s.
        hidden: Number of channels of the two hidden layers of Γ.
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
        memory: int = 5,
        hidden: int = 32,
        *,
        image_scale: float = 1.0,
        start: Start = "auto",
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        build = Convolutions((hidden, hidden), init="xavier_normal", biases=(0.01, 0.01, 0.0))
        network = kind.on_images(build, 3 + memory, 1 + memory)
        scheme = Repeat(LearnedGradientStep(network, memory), iterations)
        prepare = WithRegulariser(Dirichlet(kind.image_axes))
        super().__init__(scheme, kind, start_of(start), image_scale, prepare)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "memory": 0, "hidden": 1})
        require_positive(spec, "image_scale")


@dataclass(frozen=True)
class WithRegulariser:
    """A function that adds a fixed R to a problem that has none, within its wrappers.

    Attributes:
        regulariser: Regulariser R.
    """

    regulariser: Regulariser

    def __call__(self, problem: Problem) -> Problem:
        if problem.regulariser is not None:
            return problem
        return changed(problem, lambda inner: replace(inner, regulariser=self.regulariser))


def regulariser_gradient(problem: Problem, u: Tensor) -> Tensor:
    """∇R(u) of the fixed regulariser of a problem, of the shape of u.

    Args:
        problem: Problem with a regulariser R.
        u: Images, (batch, channel, *domain.shape).

    Raises:
        ConfigError: The problem has no regulariser.
    """
    if problem.regulariser is None:
        raise ConfigError(
            describe(
                expected="a problem with a fixed regulariser",
                found="regulariser = None",
                fix="give it one, such as InverseProblem(..., regulariser=Dirichlet())",
            )
        )
    return problem.regulariser.gradient(u)


def _relu(memory: Tensor) -> Tensor:
    if not memory.is_complex():
        return memory.relu()
    return torch.complex(memory.real.relu(), memory.imag.relu())
