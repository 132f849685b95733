"""Neumann networks (Gilton, Ongie, Willett, IEEE Trans. Comput. Imaging 6, 2020).

    b₀ = ηT*y,              b ← b - ηT*T b - R(b),          u = b₀ + ... + b_N
    b₀ = (T*T + λI)⁻¹T*y,   b ← λ(T*T + λI)⁻¹b - R(b),      u = b₀ + ... + b_N   (preconditioned)

with N = 6 and one network R for all terms. With a linear R = ηR' the first is the Neumann series of
(T*T + R')⁻¹T*y, truncated; with R = 0 it is gradient descent from zero with N + 1 steps of size η,
and the second is the iterated Tikhonov method with N + 1 steps. R: 3×3 convolutions 1-32-32-32-1,
ReLU, Xavier uniform, bias 0, last layer scaled by 0.1: 19 106 parameters with η or λ. λ > 0 and
η > 0 are trained; the linear system is solved by ``Problem.solve`` and differentiated implicitly.

Differences from the paper: a small network in place of a residual one with several blocks, which in
the released code is R - I without, and R/λ' with preconditioning for a further trained λ'; η = 0.95
and λ = 0.05 initially instead of 0.1, for T/‖T‖; y/(c‖T‖) with the image in units of c.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.equilibrium_splitting import WithSolver
from learnedrecon.models.like import LikeArgument, as_like
from learnedrecon.models.start import ZeroImage
from learnedrecon.networks.conv import Convolutions
from learnedrecon.schemes.contraction import require_positive_number
from learnedrecon.schemes.step import Repeat, Step
from learnedrecon.solvers.normal import NormalSolver

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record

_DATA_STEP = NormalSolver()


class SumAndTerm(NamedTuple):
    """The state of a Neumann series: the partial sum and its last term.

    Attributes:
        image: u = b₀ + ... + b_k, (batch, channel, *domain.shape).
        term: b_k, of the same shape.
    """

    image: Tensor
    term: Tensor


class NeumannStep(Step[SumAndTerm]):
    """The step b ← b - ηT*T b - R(b); u ← u + b.

    The initial state is u = b = ηT*y, with the ``image`` of ``begin`` added to the sum.

    Args:
        network: Network R, from 1 image to 1.
        step: Initial η > 0, trained as log η.

    Raises:
        ConfigError: η is not positive.
        GeometryError: In a call, T is nonlinear.
    """

    def __init__(self, network: nn.Module, step: float = 0.95) -> None:
        super().__init__()
        require_positive_number("step", step)
        self.network = network
        self.log_step = nn.Parameter(torch.tensor(math.log(step)))

    def begin(self, image: Tensor, problem: Problem) -> SumAndTerm:
        first = self.log_step.exp() * problem.back
        return SumAndTerm(image + first, first)

    def forward(self, state: SumAndTerm, problem: Problem) -> SumAndTerm:
        b = state.term
        back = problem.adjoint(problem.forward(b))
        term = b - self.log_step.exp() * back - self.network(b).to(b.dtype)
        return SumAndTerm(state.image + term, term)


class PreconditionedNeumannStep(Step[SumAndTerm]):
    """The step b ← λ(T*T + λI)⁻¹b - R(b); u ← u + b.

    The initial state is u = b = (T*T + λI)⁻¹T*y, with the ``image`` of ``begin`` added to the sum.

    Args:
        network: Network R, from 1 image to 1.
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

    def begin(self, image: Tensor, problem: Problem) -> SumAndTerm:
        first = problem.solve(problem.back, self.log_weight.exp())
        return SumAndTerm(image + first, first)

    def forward(self, state: SumAndTerm, problem: Problem) -> SumAndTerm:
        b, weight = state.term, self.log_weight.exp()
        term = problem.solve(weight * b, weight) - self.network(b).to(b.dtype)
        return SumAndTerm(state.image + term, term)


class NeumannNetwork(LearnedScheme):
    """Neumann network: a truncated Neumann series with a learned regulariser.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number N of terms after the first, with shared weights.
        layers: Number of convolutions of R, at least 2.
        hidden: Number of channels of the hidden layers of R.
        step: Initial step size η > 0, for an operator of norm 1.
        image_scale: Size c of a typical image value, in its unit.
        like: Operator whose images the network is built for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range.
        GeometryError: In a call, T is nonlinear.
    """

    def __init__(
        self,
        iterations: int = 6,
        layers: int = 4,
        hidden: int = 32,
        *,
        step: float = 0.95,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        build = Convolutions((hidden,) * (layers - 1), last_scale=0.1)
        scheme = Repeat(NeumannStep(kind.on_images(build, 1, 1), step), iterations)
        super().__init__(scheme, kind, ZeroImage(), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "layers": 2, "hidden": 1})
        require_positive(spec, "step", "image_scale")


class PreconditionedNeumannNetwork(LearnedScheme):
    """Preconditioned Neumann network: a truncated series in λ(T*T + λI)⁻¹ - R.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number N of terms after the first, with shared weights.
        layers: Number of convolutions of R, at least 2.
        hidden: Number of channels of the hidden layers of R.
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
        iterations: int = 6,
        layers: int = 4,
        hidden: int = 32,
        *,
        weight: float = 0.05,
        data_step: NormalSolver = _DATA_STEP,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        build = Convolutions((hidden,) * (layers - 1), last_scale=0.1)
        step = PreconditionedNeumannStep(kind.on_images(build, 1, 1), weight)
        scheme = Repeat(step, iterations)
        super().__init__(scheme, kind, ZeroImage(), image_scale, WithSolver(data_step))

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "layers": 2, "hidden": 1})
        require_positive(spec, "weight", "image_scale")
