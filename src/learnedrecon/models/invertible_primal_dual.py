"""Invertible learned primal-dual (Rudzusika, Bajić, Öktem, Schönlieb, Etmann, 2021).

    h ← h + Γ_k(T(x), y),   x ← x + Λ_k(T*h),   k = 1..20,  from zero

Neither network sees the variable that it changes, so that two subtractions invert a step, and the
gradient needs no stored activations. Γ_k: 3×3 convolutions 2-32-32-1, Λ_k: 1-32-32-1, PReLU, Xavier
uniform: 402 600 parameters. T must be linear.

Differences from the paper: T is T/‖T‖ with y/(c‖T‖); the step is two-dimensional.

``split_primal_dual`` also has memory channels, in two halves that change alternately:

    h ← h + Γ_k(h', T(x₀ + x'₀), y),   x ← x + Λ_k(x', [∂T(x'₀)]*(h₀ + h'₀))

where x', h' are the unchanged halves. It is not from a paper; T may be nonlinear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.learned_primal_dual import PrimalDual, begin_with
from learnedrecon.models.like import LikeArgument, as_like
from learnedrecon.models.start import Start, start_of
from learnedrecon.networks.conv import Convolutions
from learnedrecon.schemes.invertible import CouplingStep
from learnedrecon.schemes.reversible import Reversible
from learnedrecon.schemes.step import Chain
from learnedrecon.schemes.units import Coupling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record


class InvertiblePrimalDualStep(CouplingStep[PrimalDual]):
    """The step h ← h + Γ(T(x), y); x ← x + Λ(T*h), inverted by two subtractions.

    Rudzusika, Bajić, Öktem, Schönlieb, Etmann, Invertible learned primal-dual, 2021. Neither
    network sees the variable that it changes. Each variable has one channel. A nonlinear T raises
    an error, as the inverse would need [∂T(x)]*h for the unknown x; use
    :class:`SplitPrimalDualStep`.

    Args:
        dual_network: Network Γ, from 2 channels to 1.
        primal_network: Network Λ, from 1 channel to 1.

    Raises:
        GeometryError: In a call, T is nonlinear.
    """

    def __init__(self, dual_network: nn.Module, primal_network: nn.Module) -> None:
        super().__init__()
        self.dual_network = dual_network
        self.primal_network = primal_network

    def begin(self, image: Tensor, problem: Problem) -> PrimalDual:
        return begin_with(image, problem, 1, 1)

    def image(self, state: PrimalDual) -> Tensor:
        return state.primal

    def couplings(self) -> Sequence[Coupling[PrimalDual]]:
        return (Coupling("dual", self._dual), Coupling("primal", self._primal))

    def _dual(self, state: PrimalDual, problem: Problem) -> Tensor:
        prediction = problem.forward(state.primal)
        return self.dual_network(torch.cat([prediction, problem.data], dim=1))

    def _primal(self, state: PrimalDual, problem: Problem) -> Tensor:
        return self.primal_network(problem.adjoint(state.dual))


class HalvedPrimalDual(NamedTuple):
    """Primal and dual variables in two halves, each with memory channels.

    Attributes:
        primal: First primal half, (batch, channels, *domain.shape); the image is the sum of the
            first channels of both primal halves.
        other_primal: Second primal half, of the same shape.
        dual: First dual half, (batch, channels, *codomain.shape).
        other_dual: Second dual half, of the same shape.
    """

    primal: Tensor
    other_primal: Tensor
    dual: Tensor
    other_dual: Tensor


class SplitPrimalDualStep(CouplingStep[HalvedPrimalDual]):
    """An invertible primal-dual step with memory: one half changes, its network sees the other.

    h ← h + Γ(h', T(x₀ + x'₀), y); x ← x + Λ(x', [∂T(x'₀)]*(h₀ + h'₀)), where x', h' are the
    unchanged halves. Steps alternate between the halves. A nonlinear T is linearised at the
    unchanged half, so that the step can be inverted.

    Args:
        dual_network: Network Γ, from d + 2 channels to d.
        primal_network: Network Λ, from p + 1 channels to p.
        swapped: True if the second halves change.
        sizes: Numbers (p, d) of images and data in each half of the initial state.
        channels: Number of channels of one image.
    """

    def __init__(
        self,
        dual_network: nn.Module,
        primal_network: nn.Module,
        *,
        swapped: bool = False,
        sizes: tuple[int, int] = (5, 5),
        channels: int = 1,
    ) -> None:
        super().__init__()
        self.dual_network = dual_network
        self.primal_network = primal_network
        self.swapped = swapped
        self.sizes = sizes
        self.channels = channels

    def begin(self, image: Tensor, problem: Problem) -> HalvedPrimalDual:
        primal, dual = begin_with(image, problem, *self.sizes)
        return HalvedPrimalDual(primal, torch.zeros_like(primal), dual, dual.clone())

    def image(self, state: HalvedPrimalDual) -> Tensor:
        c = self.channels
        return state.primal[:, :c] + state.other_primal[:, :c]

    def couplings(self) -> Sequence[Coupling[HalvedPrimalDual]]:
        prefix = "other_" if self.swapped else ""
        return (Coupling(f"{prefix}dual", self._dual), Coupling(f"{prefix}primal", self._primal))

    def _dual(self, state: HalvedPrimalDual, problem: Problem) -> Tensor:
        kept = state.dual if self.swapped else state.other_dual
        seen = torch.cat([kept, problem.forward(self.image(state)), problem.data], dim=1)
        return self.dual_network(seen)

    def _primal(self, state: HalvedPrimalDual, problem: Problem) -> Tensor:
        kept = state.primal if self.swapped else state.other_primal
        c = self.channels
        residual = state.dual[:, :c] + state.other_dual[:, :c]
        back = problem.adjoint(residual, at=kept[:, :c])
        return self.primal_network(torch.cat([kept, back], dim=1))


class InvertiblePrimalDual(LearnedScheme):
    """Invertible learned primal-dual, with the paper's defaults.

    Weights are drawn from torch's default generator. Gradients need only the last state, see
    :class:`Reversible`; ``model.scheme.backward_mode`` can be set to another.

    Args:
        iterations: Number of steps, each with its own weights.
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
        iterations: int = 20,
        hidden: int = 32,
        *,
        image_scale: float = 1.0,
        start: Start = "zero",
        like: LikeArgument = None,
    ) -> None:
        kind, build = as_like(like), Convolutions((hidden, hidden), activation="prelu")
        steps = [
            InvertiblePrimalDualStep(kind.on_data(build, 2, 1), kind.on_images(build, 1, 1))
            for _ in range(iterations)
        ]
        super().__init__(Chain(steps, Reversible()), kind, start_of(start), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "hidden": 1})
        require_positive(spec, "image_scale")


class SplitPrimalDual(LearnedScheme):
    """Invertible learned primal-dual with memory channels.

    Weights are drawn from torch's default generator. Gradients need only the last state, see
    :class:`Reversible`; ``model.scheme.backward_mode`` can be set to another.

    Args:
        iterations: Number of steps, each with its own weights; each changes one half.
        primal: Number of images in each half of x.
        dual: Number of data in each half of h.
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
        kind, build = as_like(like), Convolutions((hidden, hidden), activation="prelu")
        steps = [
            SplitPrimalDualStep(
                kind.on_data(build, dual + 2, dual),
                kind.on_images(build, primal + 1, primal),
                swapped=k % 2 == 1,
                sizes=(primal, dual),
                channels=kind.channels,
            )
            for k in range(iterations)
        ]
        super().__init__(Chain(steps, Reversible()), kind, start_of(start), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "primal": 1, "dual": 1, "hidden": 1})
        require_positive(spec, "image_scale")
