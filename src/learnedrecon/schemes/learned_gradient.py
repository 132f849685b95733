"""Learned gradient steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, describe
from learnedrecon.schemes.state import Image
from learnedrecon.schemes.step import Step

if TYPE_CHECKING:
    from learnedrecon.problem import Problem


class ImageAndMemory(NamedTuple):
    """The state of a learned gradient scheme.

    Attributes:
        image: u, (batch, 1, *space).
        memory: s, (batch, memory channels, *space).
    """

    image: Tensor
    memory: Tensor


class LearnedGradientStep(Step[ImageAndMemory]):
    """(du, s⁺) = Γ(u, ∇D(u), ∇R(u), s); u ← u + du; s ← relu(s⁺).

    Adler, Öktem, Solving ill-posed inverse problems using iterative deep neural networks, Inverse
    Problems 33, 2017, algorithm 2. The problem brings D and the fixed R. For complex images Γ is
    complex, such as `networks.AsReal`, and relu acts on real and imaginary parts.

    Args:
        network: Γ, from 3 + m channels to 1 + m.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, state: ImageAndMemory, problem: Problem) -> ImageAndMemory:
        u, memory = state
        if problem.regulariser is None:
            raise ConfigError(
                describe(
                    expected="a problem with a fixed regulariser",
                    found="regulariser = None",
                    fix="give the problem one, such as InverseProblem(..., regulariser=Dirichlet())",
                )
            )
        seen = torch.cat([u, problem.gradient(u), problem.regulariser.gradient(u), memory], dim=1)
        update = self.network(seen).to(u.dtype)
        return ImageAndMemory(u + update[:, :1], _relu(update[:, 1:]))


class DeepGradientStep(Step[Image]):
    """u ← u + Γ(u, ∇D(u)).

    Hauptmann et al., Model-based learning for accelerated, limited-view 3-D photoacoustic
    tomography, IEEE Trans. Med. Imaging 37(6), 2018. The argument of its only operator call is the
    state, so that greedy training can compute ∇D(u) once for every sample.

    Args:
        network: Γ, from 2 channels to 1.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, state: Image, problem: Problem) -> Image:
        u = state.image
        return Image(u + self.network(torch.cat([u, problem.gradient(u)], dim=1)).to(u.dtype))


def _relu(memory: Tensor) -> Tensor:
    if not memory.is_complex():
        return memory.relu()
    return torch.complex(memory.real.relu(), memory.imag.relu())
