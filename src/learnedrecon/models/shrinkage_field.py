"""Cascade of shrinkage fields (Schmidt, Roth, CVPR 2014), for blur and for denoising.

    u ← F⁻¹[ F(λT*y + Σ_i f_iᵀψ_i(f_i u)) / (λ|T̂|² + Σ_i |f̂_i|²) ],   k = 1..5

is half-quadratic splitting for a field of experts in which the shrinkage functions ψ_i are learned
instead of potentials: both halves of its step are in closed form, as T and the filters f_i are
convolutions. λ > 0, f_i and ψ_i are own ones in every step, u⁰ = T*y. f_i are 24 filters 5×5 of
zero mean in the unit ball and ψ_i sums of 53 Gaussians with nodes on [-1, 1]: 1 873 parameters in a
step, 9 365 in all. ψ_i(s) = s/2 and λ = 10 initially. With ψ_i = 0 the step is the Tikhonov
solution (λT*T + Σf_iᵀf_i)⁻¹λT*y.

Boundary: T, f_i and the division are all periodic, and T*T must be a convolution with periodic
borders: a circular ``Blur``, the identity, or a multiple of one. Anything else is refused. For a
photograph, whose border is not periodic, extend the data smoothly before, and crop after.

Differences from the paper: periodic borders throughout, where the paper extends by replicated and
tapered edges in every step and crops; filters are parametrised rather than spanned by cosines, and
random initially; channels and real and imaginary parts share them; T/‖T‖ and y/(c‖T‖) with the
image in units of c.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.errors import GeometryError, describe
from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.like import Like, LikeArgument, as_like
from learnedrecon.models.start import AdjointImage
from learnedrecon.networks.experts import Experts, FieldOfExperts
from learnedrecon.networks.periodic import correlated, correlated_back, divided, power
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.schemes.contraction import require_positive_number
from learnedrecon.schemes.step import Chain, Step

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record

EXPERTS: Final = Experts(24, 5, 53, slope=0.5)


class ImageAndMultiplier(NamedTuple):
    """The state of a cascade of shrinkage fields.

    Attributes:
        image: u, (batch, channel, *domain.shape).
        multiplier: |T̂|², the Fourier multiplier of T*T, (batch, 1, *domain.shape), real.
    """

    image: Tensor
    multiplier: Tensor


class ShrinkageFieldStep(Step[ImageAndMultiplier]):
    """The step u ← F⁻¹[F(λT*y + Σ f_iᵀψ_i(f_i u)) / (λ|T̂|² + Σ|f̂_i|²)] (eq. 10 of the paper).

    Args:
        experts: Filters f_i and functions ψ_i, for one channel.
        like: Images that the filters are made for.
        weight: Initial λ > 0, trained as log λ.

    Raises:
        ConfigError: λ is not positive.
        GeometryError: In a call, T*T is no convolution with periodic borders.
    """

    def __init__(self, experts: FieldOfExperts, like: Like, weight: float) -> None:
        super().__init__()
        require_positive_number("weight", weight)
        self.experts = experts
        self.like = like
        self.log_weight = nn.Parameter(torch.tensor(math.log(weight)))

    def begin(self, image: Tensor, problem: Problem) -> ImageAndMultiplier:
        multiplier = multiplier_of(problem, image)
        return ImageAndMultiplier(image, multiplier.expand(len(image), 1, *image.shape[2:]))

    def forward(self, state: ImageAndMultiplier, problem: Problem) -> ImageAndMultiplier:
        u, multiplier = state
        weight, filters = self.log_weight.exp(), self.experts.filters()
        right = weight * problem.back + self.pull(u, filters)
        divisor = weight * multiplier + power(filters, u.shape[2:])
        return ImageAndMultiplier(divided(right, divisor).to(u.dtype), multiplier)

    def pull(self, u: Tensor, filters: Tensor) -> Tensor:
        """Σ_i f_iᵀψ_i(f_i u), of the shape of ``u``."""
        channels = self.like.to_channels(u)
        single = channels.flatten(0, 1).unsqueeze(1)
        shrunk = self.experts.activation(correlated(single, filters))
        found = correlated_back(shrunk, filters).to(channels.dtype).reshape(channels.shape)
        return self.like.from_channels(found, (len(u), *u.shape[2 : 2 + self.like.image_folded]))


def multiplier_of(problem: Problem, image: Tensor) -> Tensor:
    """|T̂|², the Fourier multiplier of T*T, real, (..., *domain.shape).

    Args:
        problem: Problem with a linear T.
        image: Tensor of the precision and device of the multiplier.

    Raises:
        GeometryError: T is not linear, or T*T is no convolution with periodic borders.
    """
    operator = problem.operator
    found = operator.normal_multiplier(image) if isinstance(operator, LinearOperator) else None
    if found is None:
        raise GeometryError(
            describe(
                expected="a linear T for which T*T is a convolution with periodic borders: "
                "Blur(PointSpread(..., boundary='circular')), or Identity for denoising",
                found=" ".join(f"{operator!r:.120}".split()),
                fix="use MoDL or HalfQuadraticSplitting, whose data steps take every linear T",
            )
        )
    return found


class ShrinkageField(LearnedScheme):
    """Cascade of shrinkage fields: learned half-quadratic splitting in closed form.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number of steps, each with its own filters, functions and λ.
        experts: Numbers and sizes of filters and functions.
        weight: Initial λ > 0, for an operator of norm 1.
        image_scale: Size c of a typical image value, in its unit.
        like: Operator whose images the filters are made for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range.
        GeometryError: In a call, T*T is no convolution with periodic borders.
        ShapeError: In a call, images are smaller than the filters.
    """

    def __init__(
        self,
        iterations: int = 5,
        experts: Experts = EXPERTS,
        *,
        weight: float = 10.0,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        steps = [
            ShrinkageFieldStep(FieldOfExperts(experts, 1, kind.image_axes), kind, weight)
            for _ in range(iterations)
        ]
        super().__init__(Chain(steps), kind, AdjointImage(), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1})
        require_positive(spec, "weight", "image_scale")
