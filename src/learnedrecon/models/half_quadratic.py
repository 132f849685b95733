"""Half-quadratic splitting, unrolled in the form of USRNet (Zhang, Van Gool, Timofte, CVPR 2020).

    z = (T*T + α_k I)⁻¹(T*y + α_k u),   u ← z + P(z, β_k),   k = 1..8

with learned α_k, β_k > 0 of each iteration and one denoiser for all of them, which sees the noise
level β_k as a further image of this constant value. P: a U-Net without normalisation, 16 channels
and 3 halvings, whose last layer is zero initially, so that an untrained denoiser is the identity
and the scheme an iterated Tikhonov method: 481 905 parameters, 16 of them α_k and β_k. The linear
system is solved by ``Problem.solve``, in closed form where T has one and otherwise by conjugate
gradients, and is differentiated implicitly.

Differences from the paper: α_k and β_k are trained numbers, where the paper computes them from the
noise level by a network of its own, so that weights are for one noise level; a smaller U-Net
without residual blocks; T/‖T‖ and y/(c‖T‖) with the image in units of c; any linear T, where that
of the paper is a blur with downsampling.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, describe
from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.equilibrium_splitting import WithSolver
from learnedrecon.models.like import LikeArgument, as_like
from learnedrecon.models.start import AdjointImage
from learnedrecon.networks.unet import UNet, UNetSpec
from learnedrecon.schemes.contraction import require_positive_number
from learnedrecon.schemes.step import Repeat, Step
from learnedrecon.solvers.normal import NormalSolver

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record

_NETWORK = UNetSpec(base=16, depth=3, groups=0)
_RISE = 10.0
_DATA_STEP = NormalSolver()


class ImageAndPassed(NamedTuple):
    """The state of half-quadratic splitting: the image and the number of past iterations.

    Attributes:
        image: u, (batch, channel, *domain.shape).
        passed: Number of past iterations, which chooses α_k and β_k, (batch,), int64.
    """

    image: Tensor
    passed: Tensor


class HalfQuadraticStep(Step[ImageAndPassed]):
    """The step z = (T*T + α_k I)⁻¹(T*y + α_k u); u ← z + P(z, β_k).

    Initially α_k rises by a factor of ten up to ``weight`` and β_k falls by √10 down to
    ``noise_level``, as α_k β_k² is constant in half-quadratic splitting. An iteration beyond the
    last has the weights of the last.

    Args:
        network: Network P, from 2 images to 1.
        iterations: Number of iterations, at least 1.
        weight: Initial value of the last α_k.
        noise_level: Initial value of the last β_k, in units of the image.

    Raises:
        ConfigError: A number is not positive.
        GeometryError: In a call, T is nonlinear.
    """

    def __init__(
        self, network: nn.Module, iterations: int, weight: float, noise_level: float
    ) -> None:
        super().__init__()
        require_positive_number("iterations", iterations)
        require_positive_number("weight", weight)
        require_positive_number("noise_level", noise_level)
        self.network = network
        rise = torch.linspace(-1, 0, iterations) if iterations > 1 else torch.zeros(1)
        logs = rise * torch.tensor(_RISE).log()
        self.log_weights = nn.Parameter(torch.tensor(weight).log() + logs)
        self.log_levels = nn.Parameter(torch.tensor(noise_level).log() - logs / 2)

    def begin(self, image: Tensor, problem: Problem) -> ImageAndPassed:  # noqa: ARG002 - what other classes look at
        passed = torch.zeros(len(image), dtype=torch.int64, device=image.device)
        return ImageAndPassed(image, passed)

    def forward(self, state: ImageAndPassed, problem: Problem) -> ImageAndPassed:
        u, passed = state
        k = passed.clamp(max=len(self.log_weights) - 1)
        weight, level = self.log_weights[k].exp(), self.log_levels[k].exp()
        z = problem.solve(problem.back + _on_images(weight, u) * u, weight)
        seen = torch.cat([z, _on_images(level, u).expand_as(u)], dim=1)
        return ImageAndPassed(z + self.network(seen).to(u.dtype), passed + 1)


class HalfQuadraticSplitting(LearnedScheme):
    """Half-quadratic splitting, unrolled, with a shared denoiser that sees the noise level.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number of iterations, with own α_k and β_k and a shared denoiser.
        network: Architecture of the U-Net; its channels and axes follow from ``like``.
        weight: Initial value of the last α_k, for an operator of norm 1.
        noise_level: Initial value of the last β_k, in units of ``image_scale``.
        data_step: Tolerances of the conjugate gradients of the data step.
        image_scale: Size c of a typical image value, in its unit.
        like: Operator whose images the network is built for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range, or the network has channels of its own.
        GeometryError: In a call, T is nonlinear.
    """

    def __init__(
        self,
        iterations: int = 8,
        network: UNetSpec = _NETWORK,
        *,
        weight: float = 0.1,
        noise_level: float = 0.02,
        data_step: NormalSolver = _DATA_STEP,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)

        def build(inputs: int, outputs: int, axes: int) -> UNet:
            return _denoiser(network, inputs, outputs, axes)

        step = HalfQuadraticStep(kind.on_images(build, 2, 1), iterations, weight, noise_level)
        scheme = Repeat(step, iterations)
        super().__init__(scheme, kind, AdjointImage(), image_scale, WithSolver(data_step))

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1})
        require_positive(spec, "weight", "noise_level", "image_scale")
        network = spec.network
        if (network.in_channels, network.out_channels, network.dims) != (1, 1, 2):
            raise ConfigError(
                describe(
                    expected="a network without channels and axes of its own",
                    found=f"in_channels = {network.in_channels}, out_channels = "
                    f"{network.out_channels}, dims = {network.dims}",
                    fix="omit these, and give like=T",
                )
            )


def _denoiser(spec: UNetSpec, inputs: int, outputs: int, axes: int) -> UNet:
    """A U-Net that is zero initially; what it returns is added outside."""
    network = UNet(
        replace(spec, in_channels=inputs, out_channels=outputs, dims=axes, residual=False)
    )
    nn.init.zeros_(network.head.weight)
    return network


def _on_images(values: Tensor, u: Tensor) -> Tensor:
    """One number per sample as an image, (batch, 1, ...), in the dtype of ``u``."""
    return values.reshape(-1, *[1] * (u.ndim - 1)).to(u.dtype)
