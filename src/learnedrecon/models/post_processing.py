"""Filtered back-projection and a U-Net after it (Jin et al., IEEE Trans. Image Process. 26, 2017).

    u = c · Γ(FBP(y)/c)

Differences from the paper: group normalisation in place of batch normalisation, a last layer that
starts at zero, so that an untrained network gives FBP, and borders extended by their values, see
:class:`networks.unet.UNet`; FBP with a Hann window of bandwidth 0.8. The default has 7.8 M
parameters (base 32), base 64 has 31 M.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from learnedrecon.errors import ConfigError, describe
from learnedrecon.models.checks import require_positive, require_spec
from learnedrecon.models.initial import FilteredBackprojection
from learnedrecon.networks.unet import UNet, UNetSpec
from learnedrecon.schemes.reconstructor import Estimate, Reconstructor

if TYPE_CHECKING:
    from learnedrecon.problem import Problem


@dataclass(frozen=True)
class FBPUNet:
    """The configuration of the method.

    Attributes:
        fbp: how the input of the network is made.
        network: the U-Net, from one channel to one.
        image_scale: c, the size of a typical image value, in its unit.

    Raises:
        ConfigError: a network that is not from one channel to one, or a scale out of range.
    """

    fbp: FilteredBackprojection = field(default_factory=lambda: FilteredBackprojection("hann", 0.8))
    network: UNetSpec = field(default_factory=UNetSpec)
    image_scale: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self, "image_scale")
        channels = (self.network.in_channels, self.network.out_channels)
        if channels != (1, 1):
            raise ConfigError(
                describe(
                    expected="a network from one channel to one",
                    found=f"in_channels = {channels[0]}, out_channels = {channels[1]}",
                    fix="leave both at 1",
                )
            )


class PostProcessing(Reconstructor):
    """u = c · Γ(u⁰/c), u⁰ an initial reconstruction; an untrained residual Γ gives u⁰.

    Args:
        spec: the configuration, all of it default unless given.

    Raises:
        ConfigError: another kind of spec.
        DtypeError: on a call, data of another precision than the weights.
    """

    def __init__(self, spec: FBPUNet | None = None) -> None:
        super().__init__()
        self.spec = require_spec(FBPUNet() if spec is None else spec, FBPUNet)
        self.network = UNet(self.spec.network)

    def forward(self, problem: Problem) -> Estimate:
        self.require_precision(problem)
        c = self.spec.image_scale
        u = self.spec.fbp(problem)
        return Estimate(c * self.network(u / c).to(u.dtype))
