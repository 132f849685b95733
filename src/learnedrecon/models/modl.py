"""MoDL (Aggarwal, Mani, Jacob, IEEE Trans. Med. Imaging 38(2), 2019).

    z = u - N(u),   u ← (T*T + λI)⁻¹(T*y + λz),   k = 1..10

with one denoiser D = I - N and one λ > 0 for all steps, from u⁰ = T*y (eqs. 7 and 8). N: 3×3
convolutions 1-64-64-64-64-1, ReLU, Xavier uniform, bias 0, last layer scaled by 0.1: 112 002
parameters with λ, 113 155 for complex images. The linear system is solved by ``Problem.solve``, in
closed form where T has one and otherwise by conjugate gradients, and is differentiated implicitly
in T*y, z and λ. With N = 0 the scheme is the stationary iterated Tikhonov method.

Differences from the paper: no batch normalisation, so that an image does not depend on the others
of its batch; λ = exp(ℓ) with a trained ℓ; conjugate gradients stop at a tolerance; T/‖T‖ and
y/(c‖T‖) with the image in units of c; any linear T.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.equilibrium_splitting import WithSolver
from learnedrecon.models.like import LikeArgument, as_like
from learnedrecon.models.start import AdjointImage
from learnedrecon.networks.conv import Convolutions
from learnedrecon.schemes.contraction import require_positive_number
from learnedrecon.schemes.state import Image
from learnedrecon.schemes.step import Repeat, Step
from learnedrecon.solvers.normal import NormalSolver

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record

_DATA_STEP = NormalSolver()


class ModelBasedStep(Step[Image]):
    """The step u ← (T*T + λI)⁻¹(T*y + λ(u - N(u))) (eqs. 7a and 8 of the paper).

    Args:
        network: Network N, which estimates noise and artefacts, from 1 image to 1.
        weight: Initial λ > 0, trained as log λ.

    Raises:
        ConfigError: λ is not positive.
        GeometryError: In a call, T is nonlinear.
    """

    def __init__(self, network: nn.Module, weight: float = 0.05) -> None:
        super().__init__()
        require_positive_number("weight", weight)
        self.network = network
        self.log_weight = nn.Parameter(torch.tensor(math.log(weight)))

    def forward(self, state: Image, problem: Problem) -> Image:
        u, weight = state.image, self.log_weight.exp()
        z = u - self.network(u).to(u.dtype)
        return Image(problem.solve(problem.back + weight * z, weight))


class MoDL(LearnedScheme):
    """MoDL: a shared denoiser in alternation with an exact data step.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number of steps, with shared weights.
        layers: Number of convolutions of N, at least 2.
        hidden: Number of channels of the hidden layers of N.
        weight: Initial λ > 0, for an operator of norm 1.
        data_step: Tolerances of the conjugate gradients of the data step.
        image_scale: Size c of a typical image value, in its unit.
        like: Operator whose images the network is built for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range.
        GeometryError: In a call, T is nonlinear.
    """

    def __init__(
        self,
        iterations: int = 10,
        layers: int = 5,
        hidden: int = 64,
        *,
        weight: float = 0.05,
        data_step: NormalSolver = _DATA_STEP,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        build = Convolutions((hidden,) * (layers - 1), last_scale=0.1)
        step = ModelBasedStep(kind.on_images(build, 1, 1), weight)
        scheme = Repeat(step, iterations)
        super().__init__(scheme, kind, AdjointImage(), image_scale, WithSolver(data_step))

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "layers": 2, "hidden": 1})
        require_positive(spec, "weight", "image_scale")
