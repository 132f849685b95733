"""Learned primal-dual with the filtered residual, designed to train in minutes; not from a paper.

    r = y - T(u₀),   h ← h + Γ_k(h, T(u₀), y),   u ← u + Λ_k(u, T*h₀, T*r, T*Fr)

with the ramp filter F, starting from filtered backprojection.

Differences from learned primal-dual (Adler, Öktem 2018): the primal network sees the residual,
backprojected with and without the ramp filter; T is applied to image 0; the start is filtered
backprojection and every step is near the identity (last layers scaled by 0.1), so that an untrained
model is close to filtered backprojection; leaky ReLU; fewer iterations with fewer channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, GeometryError, describe
from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.learned_primal_dual import PrimalDual, begin_with
from learnedrecon.models.like import Like, LikeArgument, as_like
from learnedrecon.models.start import FilteredBackprojection, Start, start_of
from learnedrecon.networks.conv import Convolutions
from learnedrecon.networks.filters import RampFilter
from learnedrecon.operators.ray.ramp import has_ramp_filter
from learnedrecon.schemes.step import Chain, Step

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record


class FilteredPrimalDualStep(Step[PrimalDual]):
    """The step h ← h + Γ(h, T(u₀), y); u ← u + Λ(u, T*h₀, T*r, T*Fr) with r = y - T(u₀).

    The primal network sees the dual variable, the gradient of ½‖T(u) - y‖² and its filtered
    version: F is the ramp filter, so that T*F is close to a multiple of T⁻¹ for dense angles and
    the network need not learn the inverse of T*T. All three backprojections are one call.

    F is in frequencies per detector pixel. For a T of norm one whose n detector pixels just cover
    the diagonal of the image, T*FT ≈ 1/(2n) in the pass band (T*T has the symbol ~ 1/|ξ| with its
    top at the lowest frequency ~ 1/n), so the filtered residual is multiplied by 2n, which gives it
    the size of an image error. A detector that is wider than the image by some factor increases it
    by that factor, which the network can learn.

    Args:
        dual_network: Network Γ, from d + 2 data to d.
        primal_network: Network Λ, from p + 3 images to p.
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
        self.filter = RampFilter()
        self.sizes = sizes
        self.channels = channels

    def begin(self, image: Tensor, problem: Problem) -> PrimalDual:
        return begin_with(image, problem, *self.sizes)

    def image(self, state: PrimalDual) -> Tensor:
        return state.primal[:, : self.channels]

    def forward(self, state: PrimalDual, problem: Problem) -> PrimalDual:
        primal, dual = state
        c = self.channels
        u = primal[:, :c]
        prediction = problem.forward(u)
        seen = torch.cat([dual, prediction, problem.data], dim=1)
        dual = dual + self.dual_network(seen).to(dual.dtype)
        residual = problem.data - prediction
        filtered = 2 * residual.shape[-1] * self.filter(residual)
        back = problem.adjoint(torch.cat([dual[:, :c], residual, filtered], dim=1), at=_thrice(u))
        primal = primal + self.primal_network(torch.cat([primal, back], dim=1)).to(primal.dtype)
        return PrimalDual(primal, dual)


class FilteredPrimalDual(LearnedScheme):
    """Learned primal-dual with the filtered residual as an input.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number of steps, each with its own weights.
        primal: Number of images in u.
        dual: Number of data in h.
        hidden: Number of channels of the two hidden layers of every network.
        image_scale: Size c of a typical image value, in its unit.
        start: Initial image u⁰, see :func:`learnedrecon.models.start.start_of`; the filtered
            backprojection of "auto" and "fbp" has a Hann window of bandwidth 0.8.
        like: Operator whose images and data the networks are built for; real images with two axes
            unless given.

    Raises:
        GeometryError: In a call, the operator is no ray transform, so that its data have no ramp
            filter, see :func:`learnedrecon.operators.ray.ramp.has_ramp_filter`.
        ConfigError: An argument is out of range, or the data are complex, for which there is no
            ramp filter.
    """

    def __init__(
        self,
        iterations: int = 6,
        primal: int = 5,
        dual: int = 5,
        hidden: int = 16,
        *,
        image_scale: float = 1.0,
        start: Start = "auto",
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        steps = [_step(kind, primal, dual, hidden) for _ in range(iterations)]
        begin = start_of(start, FilteredBackprojection("hann", 0.8))
        super().__init__(Chain(steps), kind, begin, image_scale)

    def scaled(self, problem: Problem) -> tuple[Problem, Tensor | float]:
        require_ramp_filter(problem, "FilteredPrimalDual", "use LearnedPrimalDual")
        return super().scaled(problem)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "primal": 1, "dual": 1, "hidden": 1})
        require_positive(spec, "image_scale")
        require_real(as_like(spec.like), "FilteredPrimalDual", "use LearnedPrimalDual")


def require_ramp_filter(problem: Problem, name: str, fix: str) -> None:
    """Check that the data of a problem have a ramp filter.

    Args:
        problem: Problem of one batch.
        name: Name of the method that uses the filter, for the message.
        fix: Alternative, for the message.

    Raises:
        GeometryError: The operator is no ray transform.
    """
    if not has_ramp_filter(problem.operator):
        raise GeometryError(
            describe(
                expected=f"a ray transform for {name}, whose ramp filter belongs to one",
                found=type(problem.operator).__name__,
                fix=f"{fix}, or register a ray transform of your own: "
                "@has_ramp_filter.register(MyRayTransform)",
            )
        )


def require_real(like: Like, name: str, fix: str) -> None:
    """Check that images and data are real, as those of ray transforms are.

    Args:
        like: Images and data that a method is built for.
        name: Name of the method that uses the ramp filter, for the message.
        fix: Alternative, for the message.

    Raises:
        ConfigError: Images or data are complex.
    """
    if like.data_complex or like.image_complex:
        raise ConfigError(
            describe(
                expected=f"real data for {name}, whose ramp filter belongs to ray transforms",
                found="complex images or data",
                fix=fix,
            )
        )


def _thrice(u: Tensor) -> Tensor:
    """The image at which each of the three back projections is linearised."""
    return u if u.shape[1] == 1 else torch.cat([u, u, u], dim=1)


def _step(like: Like, primal: int, dual: int, hidden: int) -> FilteredPrimalDualStep:
    build = Convolutions((hidden, hidden), activation="leaky_relu", slope=0.1, last_scale=0.1)
    return FilteredPrimalDualStep(
        like.on_data(build, dual + 2, dual),
        like.on_images(build, primal + 3, primal),
        sizes=(primal, dual),
        channels=like.channels,
    )
