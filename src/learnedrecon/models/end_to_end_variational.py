"""End-to-end variational network (Sriram et al., MICCAI 2020), with a network for the coil maps.

    S = Γ_S(F*W y) / rss,   u⁰ = T_S* y,   u ← Γ_k(u) - η_k T_S*(T_S u - y),   k = 1..12

T_S = M F S has estimated coil maps S. W keeps the fully sampled centre of k-space, F*W y are coarse
images of the coils, and Γ_S treats them one by one; division by the root of their sum of squares
gives Σ_c |S_c|² = 1. All weights are learned together. Γ(v) = v + N(v) are U-Nets with N = 0
initially: an untrained network is gradient descent with the maps of the coarse images. The default
has 12 U-Nets of 18 channels and one of 8, each with four halvings:

    29 936 966    in the authors' code: convolutions without biases but for the last, and η_k
    30 002 150    here: the same convolutions with biases, and the affine weights of normalisations

Differences from the paper: the state is the image, where the paper has k-space of all coils, which
is not bound to the range of F S between two steps; group normalisation with affine weights in place
of instance normalisation and of the normalisation of every input, ReLU in place of LeakyReLU, max
pooling in place of average pooling, biases in convolutions; y/c with the image in units of c, and T
as it is, as ‖T_S‖ ≤ 1. The paper trains with SSIM of the magnitudes; compare magnitudes here too,
by the loss ``smoothed_modulus``, as the phase of the maps is free.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from learnedrecon.compiling import real_of, uncompiled
from learnedrecon.data.kspace.slices import sampled_centre
from learnedrecon.errors import ConfigError, DataError, GeometryError, require
from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.like import Like, LikeArgument, as_like
from learnedrecon.models.start import AdjointImage
from learnedrecon.networks.unet import UNet, UNetSpec
from learnedrecon.problem import changed
from learnedrecon.schemes.scaling import DataScale
from learnedrecon.schemes.state import Image
from learnedrecon.schemes.step import Chain, Step
from learnedrecon.solvers.coils.coil_data import zero_filled_coils
from learnedrecon.solvers.coils.coil_maps import rss

if TYPE_CHECKING:
    from learnedrecon.operators.base import Operator
    from learnedrecon.problem import InverseProblem, Problem
    from learnedrecon.recorded import Record

_CASCADE = UNetSpec(base=18, depth=4, groups=6)
_MAPS = UNetSpec(base=8, depth=4)


class CascadeStep(Step[Image]):
    """The step u ← Γ(u) - η∇D(u), with a learned η that starts at 1.

    Args:
        network: Network Γ, from 1 image to 1.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.step = nn.Parameter(torch.ones(()))

    def forward(self, state: Image, problem: Problem) -> Image:
        (u,) = state
        return Image(self.network(u).to(u.dtype) - self.step * problem.gradient(u))


class EstimatedMaps(nn.Module):
    """Coil maps from the fully sampled centre of k-space, Problem → Problem with these maps.

    Maps that the operator has are not used. They may require gradients, which reach the network.

    Args:
        network: Network Γ_S, from 1 image to 1, for every coil alone.

    Raises:
        GeometryError: In a call, T has no coil maps, or images do not have two axes.
        DataError: In a call, the sample k = 0 was not acquired.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, problem: Problem) -> Problem:
        """The problem whose operator has the estimated maps."""
        return changed(problem, self._with_maps)

    def maps(self, operator: Operator, data: Tensor) -> Tensor:
        """S, (batch, channel, coil, ny, nx), with Σ_c |S_c|² = 1 where there is any signal.

        Args:
            operator: Parallel MRI in two dimensions.
            data: k-space y, (batch, channel, coil, ky, kx).
        """
        coarse = zero_filled_coils(operator, centre_window(operator, data) * data)
        seen = coarse.flatten(0, 2)[:, None]
        found = self.network(seen).to(data.dtype)[:, 0].reshape(coarse.shape)
        total = rss(found).unsqueeze(-3)
        tiny = torch.finfo(real_of(data.dtype)).tiny
        return found / total.clamp_min(tiny**0.5)

    def _with_maps(self, problem: InverseProblem) -> InverseProblem:
        operator = problem.operator
        require(
            "maps" in operator.tensor_names and operator.domain.ndim == 2,
            GeometryError,
            expected="parallel MRI in two dimensions, an operator with coil maps",
            found=f"{type(operator).__name__} of images {operator.domain.shape}",
            fix="use LearnedProximal or VariationalNetwork, which take every operator",
        )
        maps = self.maps(operator, problem.data)
        return replace(problem, operator=operator.with_tensors({"maps": maps}))


@uncompiled
def centre_window(operator: Operator, data: Tensor) -> Tensor:
    """W: the largest centred rectangle of acquired samples of each mask, as ones among zeros.

    Args:
        operator: Parallel MRI, whose mask is shared by all samples or (batch, 1, 1, ky, kx).
        data: k-space, (batch, channel, coil, ky, kx).

    Returns:
        Window (batch or 1, 1, 1, ky, kx), real.

    Raises:
        DataError: The sample k = 0 was not acquired.
    """
    shape, mask = data.shape[-2:], operator.measured
    given = torch.ones(1, 1, dtype=torch.bool) if mask is None else mask
    masks = given.cpu().expand(*given.shape[:-2], *shape).reshape(-1, *shape)
    window = torch.zeros(masks.shape, dtype=real_of(data.dtype))
    for one, acquired in zip(window, masks, strict=True):
        size = sampled_centre(acquired, max(shape))
        require(
            min(size) >= 1,
            DataError,
            expected="a fully sampled centre of k-space, for coil maps",
            found="a mask without k = 0",
            fix="acquire the centre, or use LearnedProximal with maps that are known",
        )
        rows, columns = (n // 2 - s // 2 for n, s in zip(shape, size, strict=True))
        one[rows : rows + size[0], columns : columns + size[1]] = 1.0
    return window[:, None, None].to(data.device)


class EndToEndVariationalNetwork(LearnedScheme):
    """End-to-end variational network: coil maps and unrolled steps, learned together.

    ``prepare`` replaces the coil maps of a problem by those of the network. Weights are drawn from
    torch's default generator.

    Args:
        iterations: Number of steps, each with its own U-Net and η.
        network: Architecture of Γ_k; its channels and axes follow from ``like``.
        maps: Architecture of Γ_S; its channels and axes follow from ``like``.
        image_scale: Size c of a typical image value, in its unit.
        like: Operator whose images the networks are built for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range, or an architecture has channels of its own.
        GeometryError: In a call, T has no coil maps, or images do not have two axes.
        DataError: In a call, the sample k = 0 was not acquired.
    """

    def __init__(
        self,
        iterations: int = 12,
        network: UNetSpec = _CASCADE,
        *,
        maps: UNetSpec = _MAPS,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        steps = [CascadeStep(_unet(kind, network)) for _ in range(iterations)]
        prepare = EstimatedMaps(_unet(replace(kind, channels=1), maps))
        super().__init__(Chain(steps), kind, AdjointImage(), image_scale, prepare)
        self.scaling = DataScale(image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1})
        require_positive(spec, "image_scale")
        for name in ("network", "maps"):
            unet = getattr(spec, name)
            own = (unet.in_channels, unet.out_channels, unet.dims)
            require(
                own == (1, 1, 2),
                ConfigError,
                expected=f"'{name}' without channels and axes of its own",
                found=f"in_channels = {own[0]}, out_channels = {own[1]}, dims = {own[2]}",
                fix="omit these, and give like=T",
            )


def _unet(like: Like, spec: UNetSpec) -> nn.Module:
    def build(inputs: int, outputs: int, axes: int) -> UNet:
        return UNet(replace(spec, in_channels=inputs, out_channels=outputs, dims=axes))

    return like.on_images(build, 1, 1)
