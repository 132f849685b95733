"""ADMM-Net (Yang, Sun, Li, Xu, NeurIPS 2016; IEEE Trans. Pattern Anal. Mach. Intell. 42(3), 2020).

    z = S_k(D_k u + b),   b ← b + η_k (D_k u - z),   u ← (T*T + ρ_k I)⁻¹(T*y + ρ_k H_k*(z - b))

for k = 1..10, from u = T*y and b = 0, with own filters D_k and H_k, functions S_k, ρ_k > 0 and η_k
of every step. S_k is piecewise linear, one function for each filter, with 101 equidistant nodes on
[-1, 1] and slope 1 outside. D_k and H_k have 3×3 kernels with periodic borders, nine for images
with two axes, and are shared by channels and by real and imaginary parts: 10 730 parameters.

Initially D_k = H_k are the products of discrete cosines, with D*D = I, S_k is soft thresholding by
θ, η_k = 1 and ρ_k = ρ, so that the untrained network is ADMM for

    ½‖Tu - y‖² + ρθ ‖Du‖₁   without the constant filter,

exactly if ±θ are nodes, as the multiples of 0.02 are. The linear system is solved by
``Problem.solve`` and differentiated implicitly.

Differences from the papers: ρI in place of Σ_l ρ_l H_l*H_l, equal to it while H*H = I, so that any
linear T has a data step; the constant filter is added, which D*D = I needs; the order within a
step, so that every weight acts on the result; T/‖T‖ and y/(c‖T‖) with the image in units of c.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.equilibrium_splitting import WithSolver
from learnedrecon.models.like import Like, LikeArgument, as_like
from learnedrecon.models.start import AdjointImage
from learnedrecon.networks.shrinkage import Analysis, PiecewiseLinear, Synthesis, soft_threshold
from learnedrecon.schemes.contraction import require_positive_number
from learnedrecon.schemes.step import Chain, Step
from learnedrecon.solvers.normal import NormalSolver

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record

_DATA_STEP = NormalSolver()


class ImageAndMultipliers(NamedTuple):
    """The state of ADMM-Net: the image and one scaled multiplier for each filter.

    Attributes:
        image: u, (batch, channel, *domain.shape).
        multipliers: b, (batch, channel · filters, *domain.shape).
    """

    image: Tensor
    multipliers: Tensor


class ShrinkageStep(Step[ImageAndMultipliers]):
    """The step z = S(Du + b); b ← b + η(Du - z); u ← (T*T + ρI)⁻¹(T*y + ρH*(z - b)).

    Args:
        analysis: Filters D, from 1 image to f.
        shrinkage: Functions S, from f images to f.
        synthesis: Filters H*, from f images to 1.
        filters: Number f of filters.
        penalty: Initial ρ > 0, trained as log ρ.

    Raises:
        ConfigError: ρ is not positive.
        GeometryError: In a call, T is nonlinear.
    """

    def __init__(
        self,
        analysis: nn.Module,
        shrinkage: nn.Module,
        synthesis: nn.Module,
        filters: int,
        penalty: float,
    ) -> None:
        super().__init__()
        require_positive_number("penalty", penalty)
        self.analysis = analysis
        self.shrinkage = shrinkage
        self.synthesis = synthesis
        self.filters = filters
        self.log_penalty = nn.Parameter(torch.tensor(math.log(penalty)))
        self.rate = nn.Parameter(torch.tensor(1.0))

    def begin(self, image: Tensor, problem: Problem) -> ImageAndMultipliers:  # noqa: ARG002 - what other classes look at
        channels = self.filters * image.shape[1]
        return ImageAndMultipliers(image, image.new_zeros(len(image), channels, *image.shape[2:]))

    def forward(self, state: ImageAndMultipliers, problem: Problem) -> ImageAndMultipliers:
        u, b = state
        penalty = self.log_penalty.exp()
        transformed = self.analysis(u).to(u.dtype)
        z = self.shrinkage(transformed + b).to(u.dtype)
        b = b + self.rate * (transformed - z)
        back = self.synthesis(z - b).to(u.dtype)
        return ImageAndMultipliers(problem.solve(problem.back + penalty * back, penalty), b)


class ADMMNet(LearnedScheme):
    """ADMM-Net: unrolled ADMM with learned filters and piecewise linear shrinkage.

    The initial weights are those of ADMM; nothing is random.

    Args:
        iterations: Number of steps, each with its own weights.
        nodes: Number of nodes of every piecewise linear function on [-1, 1], at least 2.
        penalty: Initial ρ > 0, for an operator of norm 1.
        threshold: Initial threshold θ > 0 of the filters that are not constant.
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
        nodes: int = 101,
        *,
        penalty: float = 0.1,
        threshold: float = 0.02,
        data_step: NormalSolver = _DATA_STEP,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        steps = [_step(kind, nodes, penalty, threshold) for _ in range(iterations)]
        super().__init__(Chain(steps), kind, AdjointImage(), image_scale, WithSolver(data_step))

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "nodes": 2})
        require_positive(spec, "penalty", "threshold", "image_scale")


def _step(like: Like, nodes: int, penalty: float, threshold: float) -> ShrinkageStep:
    filters = 3**like.image_axes

    def shrinkage(inputs: int, outputs: int, axes: int) -> nn.Module:  # noqa: ARG001 - of every build
        function = PiecewiseLinear(filters, nodes)
        with torch.no_grad():
            function.values[1:] = soft_threshold(function.nodes(), threshold)
        return function

    analysis = like.on_images(lambda _in, _out, axes: Analysis(axes), 1, filters)
    synthesis = like.on_images(lambda _in, _out, axes: Synthesis(axes), filters, 1)
    functions = like.on_images(shrinkage, filters, filters)
    return ShrinkageStep(analysis, functions, synthesis, filters, penalty)
