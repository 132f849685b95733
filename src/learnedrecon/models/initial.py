"""Where schemes start and what is read out of them: small values that can be pickled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from learnedrecon.errors import ConfigError, describe
from learnedrecon.functionals.base import Regulariser
from learnedrecon.networks.filters import RampFilter, Window
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.problem import InverseProblem, Problem
from learnedrecon.schemes.state import Image
from learnedrecon.schemes.equilibrium_splitting import ImageAndMultiplier
from learnedrecon.schemes.invertible_primal_dual import SplitPrimalDual
from learnedrecon.schemes.learned_gradient import ImageAndMemory
from learnedrecon.schemes.primal_dual import PrimalDual
from learnedrecon.schemes.subsets import Partition
from learnedrecon.solvers.direct.fbp import pseudo_inverse

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FilteredBackprojection:
    """u⁰ = FBP(y) for the operators that have one; see :func:`solvers.direct.fbp.pseudo_inverse`.

    Attributes:
        window: "ram-lak" or "hann".
        bandwidth: the cut-off as a share of the Nyquist frequency, in (0, 1].

    Raises:
        ConfigError: an unknown window, or a bandwidth out of range.
    """

    window: Window = "ram-lak"
    bandwidth: float = 1.0

    def __post_init__(self) -> None:
        RampFilter(window=self.window, bandwidth=self.bandwidth)

    def __call__(self, problem: Problem) -> Tensor:
        return pseudo_inverse(
            problem.operator, problem.data, window=self.window, bandwidth=self.bandwidth
        )


@dataclass(frozen=True)
class AdjointImage:
    """u⁰ = T*y, for any linear operator; 0 for a nonlinear one.

    Within :class:`Iterative` T has norm 1 (see :class:`ImageScale`), so that T*y is one step of
    gradient descent from zero with the largest step size that is safe.
    """

    def __call__(self, problem: Problem) -> Tensor:
        if isinstance(problem.operator, LinearOperator):
            return problem.adjoint(problem.data)
        data = problem.data
        return data.new_zeros(*data.shape[:2], *problem.operator.domain.shape)


@dataclass(frozen=True)
class ImageStart:
    """(u⁰, 0): an image, such as that of filtered back-projection, and empty memory.

    Attributes:
        image: how the image is made.
        memory: the number of memory channels.
    """

    image: FilteredBackprojection | AdjointImage
    memory: int

    def __call__(self, problem: Problem) -> ImageAndMemory:
        u = self.image(problem)
        return ImageAndMemory(u, u.new_zeros(u.shape[0], self.memory, *u.shape[2:]))


@dataclass(frozen=True)
class ImageAlone:
    """(u⁰): an image, for schemes without memory.

    Attributes:
        image: how the image is made.
    """

    image: FilteredBackprojection | AdjointImage

    def __call__(self, problem: Problem) -> Image:
        return Image(self.image(problem))


@dataclass(frozen=True)
class MultiplierStart:
    """(u⁰, 0): an image and a multiplier that is zero.

    Attributes:
        image: how the image is made.
    """

    image: FilteredBackprojection | AdjointImage

    def __call__(self, problem: Problem) -> ImageAndMultiplier:
        u = self.image(problem)
        return ImageAndMultiplier(u, torch.zeros_like(u))


@dataclass(frozen=True)
class PrimalDualStart:
    """Zero, or an image, such as that of filtered back-projection, in channel 0 and zero elsewhere.

    Attributes:
        primal: the number of primal channels.
        dual: the number of dual channels.
        image: how the image is made, or None to start from zero.
    """

    primal: int
    dual: int
    image: FilteredBackprojection | AdjointImage | None = None

    def __call__(self, problem: Problem) -> PrimalDual:
        data, operator = problem.data, problem.operator
        batch = data.shape[0]
        primal = data.new_zeros(batch, self.primal, *operator.domain.shape)
        dual = data.new_zeros(batch, self.dual, *operator.codomain.shape)
        if self.image is not None:
            primal = torch.cat([self.image(problem), primal[:, 1:]], dim=1)
        return PrimalDual(primal, dual)


@dataclass(frozen=True)
class PartDualStart:
    """Zero, with a dual variable of the size of one of m interleaved parts of the data.

    Attributes:
        primal: the number of primal channels.
        dual: the number of dual channels.
        parts: m.
    """

    primal: int
    dual: int
    parts: int

    def __call__(self, problem: Problem) -> PrimalDual:
        part = Partition(self.parts).part(problem, 0)
        return PrimalDualStart(self.primal, self.dual)(part)


@dataclass(frozen=True)
class SplitStart:
    """Zero, in two halves of both variables.

    Attributes:
        primal: channels of each half of the primal variable.
        dual: channels of each half of the dual variable.
    """

    primal: int
    dual: int

    def __call__(self, problem: Problem) -> SplitPrimalDual:
        data, operator = problem.data, problem.operator
        primal = data.new_zeros(data.shape[0], self.primal, *operator.domain.shape)
        dual = data.new_zeros(data.shape[0], self.dual, *operator.codomain.shape)
        return SplitPrimalDual(primal, primal.clone(), dual, dual.clone())


@dataclass(frozen=True)
class FirstPrimal:
    """The image is channel 0 of the primal variable."""

    def __call__(self, state: PrimalDual) -> Tensor:
        return state.primal[:, :1]


@dataclass(frozen=True)
class BothPrimals:
    """The image is the sum of channel 0 of both halves of the primal variable."""

    def __call__(self, state: SplitPrimalDual) -> Tensor:
        return state.primal[:, :1] + state.other_primal[:, :1]


@dataclass(frozen=True)
class TheImage:
    """The image of a state that has one."""

    def __call__(self, state: ImageAndMemory | ImageAndMultiplier | Image) -> Tensor:
        return state.image


@dataclass(frozen=True)
class WithRegulariser:
    """Puts a fixed R into a problem that has none; a problem that brings its own keeps it.

    Attributes:
        regulariser: R.
    """

    regulariser: Regulariser

    def __call__(self, problem: Problem) -> Problem:
        if problem.regulariser is not None:
            return problem
        if not isinstance(problem, InverseProblem):
            raise ConfigError(
                describe(
                    expected="a measured problem, or one with a regulariser",
                    found=type(problem).__name__,
                    fix="put the regulariser into the problem that it wraps",
                )
            )
        return replace(problem, regulariser=self.regulariser)
