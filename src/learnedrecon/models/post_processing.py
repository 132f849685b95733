"""Filtered back-projection and a U-Net after it (Jin et al., IEEE Trans. Image Process. 26, 2017).

    u = c · Γ(FBP(y)/c)

Differences from the paper: group normalisation in place of batch normalisation, a last layer that
starts at zero, so that an untrained network gives FBP, and borders extended by their values, see
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
    """u = c · Γ(u⁰/c), u⁰ an initial reconstruction; an untrained residual Γ gives u⁰.

    Weights are drawn from torch's default generator.

    Args:
        network: The U-Net; its channels and axes follow from ``like``.
        image_scale: c, the size of a typical image value, in its unit.
        start: u⁰, see :func:`learnedrecon.models.start.start_of`; the filtered back-projection of
            "auto" and "fbp" has a Hann window of bandwidth 0.8.
        like: Operator whose images the network is built for; real images with two axes unless
            given.

    Raises:
        ConfigError: A network with channels of its own, or a scale out of range.
        DtypeError: On a call, data of another precision than the weights.
        ShapeError: On a call, a problem of other images or data.
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
