"""PDHG with a learned denoiser as proximal map (Meinhardt, Moeller, Hazirbas, Cremers, ICCV 2017).

    h ← (h + γ(Tū - y))/(1 + γ)
    g ← g + γū - γ D(g/γ + ū)
    u⁺ = u - τ(T*h + g),   ū = 2u⁺ - u

is the primal-dual hybrid gradient method (Chambolle, Pock 2011) for ½‖Tu - y‖² + R(u) with the
terms of T and of the identity, and with one denoiser D in the place of prox_{R/γ}, for 20 steps
from h = g = 0. D(v) = v - N(v), N: 3×3 convolutions 1-64-64-64-64-1, ReLU, Xavier uniform, bias 0,
last layer scaled by 0.1; with γ 112 002 parameters. γ > 0 is trained and τ = 0.99/(2γ), so that
τγ(‖T‖² + 1) < 1. N = 0 gives PDHG for ½‖Tu - y‖², and D = prox_{R/γ} that for ½‖Tu - y‖² + R(u).

D can be trained with the scheme, or alone, which needs no T, as in the paper: ``model.denoiser`` is
a network from noisy images to clean ones, both in units of c.

Differences from the paper: a smaller denoiser without batch normalisation; a fixed number of steps;
T/‖T‖ and y/(c‖T‖) with the image in units of c; the start is filtered backprojection where T has
one, otherwise T*y.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.like import LikeArgument, as_like
from learnedrecon.models.start import Start, start_of
from learnedrecon.networks.conv import Convolutions
from learnedrecon.schemes.contraction import require_positive_number
from learnedrecon.schemes.step import Repeat, Step

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record

_PRODUCT: Final = 0.99


class ImageAndDuals(NamedTuple):
    """The state of PDHG with two terms.

    Attributes:
        image: u, (batch, channel, *domain.shape).
        ahead: Extrapolated image ū, of the same shape.
        dual: Dual variable h of the data term, (batch, channel, *codomain.shape).
        prior: Dual variable g of the regulariser, of the shape of the image.
    """

    image: Tensor
    ahead: Tensor
    dual: Tensor
    prior: Tensor


class Denoiser(nn.Module):
    """A denoiser D(v) = v - N(v).

    Args:
        network: Network N, which estimates the noise, from 1 image to 1.

    Shapes: (batch, channel, *domain.shape) to the same.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, v: Tensor) -> Tensor:
        """D(v)."""
        noise: Tensor = self.network(v)
        return v - noise.to(v.dtype)


class DenoiserPDHGStep(Step[ImageAndDuals]):
    """The step of PDHG for ½‖Tu - y‖² and a denoiser D in the place of prox_{R/γ}.

    Args:
        denoiser: Network D, from 1 image to 1.
        step: Initial dual step size γ > 0, trained as log γ; τ = 0.99/(2γ).

    Raises:
        ConfigError: γ is not positive.
        GeometryError: In a call, T is nonlinear.
    """

    def __init__(self, denoiser: nn.Module, step: float = 1.0) -> None:
        super().__init__()
        require_positive_number("step", step)
        self.denoiser = denoiser
        self.log_step = nn.Parameter(torch.tensor(math.log(step)))

    def begin(self, image: Tensor, problem: Problem) -> ImageAndDuals:
        return ImageAndDuals(image, image, torch.zeros_like(problem.data), torch.zeros_like(image))

    def forward(self, state: ImageAndDuals, problem: Problem) -> ImageAndDuals:
        u, ahead, h, g = state
        gamma = self.log_step.exp()
        h = (h + gamma * (problem.forward(ahead) - problem.data)) / (1 + gamma)
        g = g + gamma * (ahead - self.denoiser(g / gamma + ahead))
        image = u - _PRODUCT / (2 * gamma) * (problem.adjoint(h) + g)
        return ImageAndDuals(image, 2 * image - u, h, g)


class DenoiserPDHG(LearnedScheme):
    """PDHG in which a learned denoiser is the proximal map of the regulariser.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number of steps, with shared weights.
        layers: Number of convolutions of N, at least 2.
        hidden: Number of channels of the hidden layers of N.
        step: Initial dual step size γ > 0, for an operator of norm 1.
        image_scale: Size c of a typical image value, in its unit.
        start: Initial image u⁰, see :func:`learnedrecon.models.start.start_of`.
        like: Operator whose images the network is built for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range.
        GeometryError: In a call, T is nonlinear.
    """

    def __init__(
        self,
        iterations: int = 20,
        layers: int = 5,
        hidden: int = 64,
        *,
        step: float = 1.0,
        image_scale: float = 1.0,
        start: Start = "auto",
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        build = Convolutions((hidden,) * (layers - 1), last_scale=0.1)
        denoiser = Denoiser(kind.on_images(build, 1, 1))
        scheme = Repeat(DenoiserPDHGStep(denoiser, step), iterations)
        super().__init__(scheme, kind, start_of(start), image_scale)

    @property
    def denoiser(self) -> nn.Module:
        """D, which shares its weights with the scheme and can be trained alone."""
        step: DenoiserPDHGStep = self.scheme.step  # type: ignore[assignment]
        return step.denoiser

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "layers": 2, "hidden": 1})
        require_positive(spec, "step", "image_scale")
