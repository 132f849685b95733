"""Post-processing: filtered backprojection followed by a U-Net (Jin et al., IEEE TIP 26, 2017).

    u = c · Γ(FBP(y)/c)

Differences from the paper: group normalisation in place of batch normalisation, a last layer with
zero initial weights, so that an untrained network returns FBP; replicated borders, see
:class:`networks.unet.UNet`; FBP with a Hann window of bandwidth 0.8. The default has 7.8 M
parameters (base 32), base 64 has 31 M.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from learnedrecon.errors import ConfigError, describe
from learnedrecon.models.checks import require_positive
from learnedrecon.models.like import LikeArgument, as_like
from learnedrecon.models.start import FilteredBackprojection, Start, start_of
from learnedrecon.networks.unet import UNet, UNetSpec
from learnedrecon.schemes.reconstructor import Estimate, Reconstructor

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record

_UNET = UNetSpec()


class PostProcessing(Reconstructor):
    """Post-processing u = c · Γ(u⁰/c) of an initial reconstruction u⁰.

    Weights are drawn from torch's default generator.

    An untrained residual Γ returns u⁰.

    Args:
        network: Architecture of the U-Net; its channels and axes follow from ``like``.
        image_scale: Size c of a typical image value, in its unit.
        start: Initial image u⁰, see :func:`learnedrecon.models.start.start_of`; the filtered
            backprojection of "auto" and "fbp" has a Hann window of bandwidth 0.8.
        like: Operator whose images the network is built for; real images with two axes unless
            given.

    Raises:
        ConfigError: The network has channels of its own, or the scale is out of range.
        DtypeError: In a call, data have another precision than the weights.
        ShapeError: In a call, the problem has other images or data.
    """

    def __init__(
        self,
        network: UNetSpec = _UNET,
        *,
        image_scale: float = 1.0,
        start: Start = "auto",
        like: LikeArgument = None,
    ) -> None:
        super().__init__()
        self.like = as_like(like)
        self.scale = image_scale
        self.start = start_of(start, FilteredBackprojection("hann", 0.8))

        def build(inputs: int, outputs: int, axes: int) -> UNet:
            return UNet(replace(network, in_channels=inputs, out_channels=outputs, dims=axes))

        self.network = self.like.on_images(build, 1, 1)

    @staticmethod
    def check(spec: Record) -> None:
        require_positive(spec, "image_scale")
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

    @property
    def image_scale(self) -> float:
        return self.scale

    def forward(self, problem: Problem) -> Estimate:
        self.like.require(problem)
        self.require_precision(problem)
        u = self.start(problem)
        return Estimate(self.scale * self.network(u / self.scale).to(u.dtype))
