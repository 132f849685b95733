"""ΨDONet (Bubba, Galinier, Lassas, Prato, Ratti, Siltanen, SIAM J. Imaging Sci. 14(2), 2021).

    w ← S_γ(w + αWT*y - βWT*TW*w - Λw),   u = W*w,   k = 1..10

is ISTA for ½‖TW*w - y‖² + γ‖w‖₁ in a wavelet basis W, with own γ > 0, α, β and Λ in every step. T*T
of a ray transform with limited angles is close to a convolution, which between two subbands is one
again, and Λ is a learned perturbation of it: 3×3 convolutions between all pairs of subbands (see
:class:`learnedrecon.networks.subbands.SubbandConvolutions`). Haar wavelets with J = 3 levels have
10 subbands: 900 parameters and γ, α, β in each step, 9 030 in all.

Λ = 0 and α = β = 1 initially, which is ISTA with step size 1, in w⁰ = WT*y. Images whose sizes 2^J
does not divide are extended by zeros at their end, so that W*W = I still holds.

Differences from the paper: its ΨDONet-O, which evaluates T*T, is here, and not ΨDONet-F, which
replaces it by stored filters; kernels of width 3 with averaged and repeated subbands; channels and
real and imaginary parts share Λ; T/‖T‖ and y/(c‖T‖) with the image in units of c.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from learnedrecon.compiling import constant
from learnedrecon.functionals.pointwise import shrink
from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_at_most, require_counts, require_positive
from learnedrecon.models.like import Like, LikeArgument, as_like
from learnedrecon.models.recurrent import on_parts
from learnedrecon.models.start import Start, start_of
from learnedrecon.networks.subbands import SubbandConvolutions, from_quadrants, quadrants
from learnedrecon.operators.base import without_autocast
from learnedrecon.operators.imaging.wavelet import WaveletBasis
from learnedrecon.operators.imaging.wavelet_filters import Bank
from learnedrecon.schemes.contraction import require_positive_number
from learnedrecon.schemes.step import Chain, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record


class ImageAndCoefficients(NamedTuple):
    """The state of ΨDONet.

    Attributes:
        image: u = W*w, (batch, channel, *domain.shape).
        coefficients: w, of the same shape, its last axes extended to multiples of 2^J.
    """

    image: Tensor
    coefficients: Tensor


@constant()
def filters_of(wavelet: str) -> tuple[Tensor, Tensor]:
    """The filters of a wavelet, float64; see :class:`Bank`.

    Args:
        wavelet: Name of an orthogonal wavelet.
    """
    return Bank.tensors(wavelet)


def transformed(u: Tensor, bank: Bank, axes: int, levels: int) -> Tensor:
    """W u of real images, in the layout of :class:`learnedrecon.operators.Wavelet`.

    Args:
        u: Images, (..., *space).
        bank: Filters.
        axes: Number of space axes.
        levels: Number of levels; 2^levels divides every axis.
    """
    for axis in range(-axes, 0):
        u = bank.analyse(u, axis)
    if levels == 1:
        return u
    low, *details = quadrants(u, axes)
    return from_quadrants([transformed(low, bank, axes, levels - 1), *details], axes)


def transformed_back(w: Tensor, bank: Bank, axes: int, levels: int) -> Tensor:
    """W*w, the inverse of :func:`transformed`.

    Args:
        w: Coefficients, (..., *space).
        bank: Filters.
        axes: Number of space axes.
        levels: Number of levels.
    """
    if levels > 1:
        low, *details = quadrants(w, axes)
        w = from_quadrants([transformed_back(low, bank, axes, levels - 1), *details], axes)
    for axis in range(-axes, 0):
        w = bank.synthesise(w, axis)
    return w


class ThresholdingStep(Step[ImageAndCoefficients]):
    """The step w ← S_γ(w + αWT*y - βWT*TW*w - Λw); u ← W*w.

    Args:
        like: Images that the step is built for.
        wavelet: Name of an orthogonal wavelet.
        levels: Number of levels of W.
        threshold: Initial γ > 0, trained as log γ.

    Raises:
        ConfigError: γ is not positive.
        GeometryError: In a call, T is nonlinear.
    """

    def __init__(self, like: Like, wavelet: str, levels: int, threshold: float) -> None:
        super().__init__()
        require_positive_number("threshold", threshold)
        self.like = like
        self.wavelet, self.levels = wavelet, levels
        self.perturbation = SubbandConvolutions(like.image_axes, levels)
        self.log_threshold = nn.Parameter(torch.tensor(math.log(threshold)))
        self.alpha = nn.Parameter(torch.tensor(1.0))
        self.beta = nn.Parameter(torch.tensor(1.0))

    def begin(self, image: Tensor, problem: Problem) -> ImageAndCoefficients:  # noqa: ARG002 - what other classes look at
        return ImageAndCoefficients(image, self.analysed(image))

    def forward(self, state: ImageAndCoefficients, problem: Problem) -> ImageAndCoefficients:
        u, w = state
        back = problem.adjoint(problem.forward(u))
        drive = self.analysed(self.alpha * problem.back - self.beta * back)
        w = shrink(w + drive - self.perturbed(w), self.log_threshold.exp())
        return ImageAndCoefficients(self.synthesised(w, u.shape), w)

    def analysed(self, u: Tensor) -> Tensor:
        """W u, of images extended by zeros."""
        space = u.shape[-self.like.image_axes :]
        short = [-n % 2**self.levels for n in space]
        wide = functional.pad(u, [m for n in reversed(short) for m in (0, n)])
        return self._by(transformed, wide)

    def synthesised(self, w: Tensor, shape: torch.Size) -> Tensor:
        """W*w, of the shape of an image."""
        u = self._by(transformed_back, w)
        for axis in range(-self.like.image_axes, 0):
            u = u.narrow(axis, 0, shape[axis])
        return u

    def perturbed(self, w: Tensor) -> Tensor:
        """Λw."""
        found = self.perturbation(self.like.to_channels(w))
        batch = (len(w), *w.shape[2 : 2 + self.like.image_folded])
        return self.like.from_channels(found.to(self.log_threshold.dtype), batch).to(w.dtype)

    def _by(self, transform: Callable[[Tensor, Bank, int, int], Tensor], u: Tensor) -> Tensor:
        def of_real(part: Tensor) -> Tensor:
            bank = Bank(*(f.to(part) for f in filters_of(self.wavelet)))
            return transform(part, bank, self.like.image_axes, self.levels)

        with without_autocast(u):
            return on_parts(of_real, u)


class PsiDONet(LearnedScheme):
    """ΨDONet: unrolled ISTA in wavelets, in which T*T has a learned perturbation.

    The initial weights are those of ISTA; nothing is random.

    Args:
        iterations: Number of steps, each with its own weights.
        levels: Number J of levels of the wavelet transform.
        wavelet: Name of an orthogonal wavelet of PyWavelets, such as haar or db2.
        threshold: Initial threshold γ > 0, for an operator of norm 1.
        image_scale: Size c of a typical image value, in its unit.
        start: Initial image u⁰, see :func:`learnedrecon.models.start.start_of`.
        like: Operator whose images the network is built for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range.
        GeometryError: The wavelet is not orthogonal, or in a call, T is nonlinear.
    """

    def __init__(
        self,
        iterations: int = 10,
        levels: int = 3,
        wavelet: str = "haar",
        *,
        threshold: float = 0.01,
        image_scale: float = 1.0,
        start: Start = "adjoint",
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        steps = [ThresholdingStep(kind, wavelet, levels, threshold) for _ in range(iterations)]
        super().__init__(Chain(steps), kind, start_of(start), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "levels": 1})
        require_at_most(spec, {"levels": 20})
        require_positive(spec, "threshold", "image_scale")
        WaveletBasis((2**spec.levels,), spec.wavelet, spec.levels)
