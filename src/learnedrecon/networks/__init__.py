"""Networks: the Γ inside a step. They know torch, and nothing of operators or problems.

A network maps (batch, channel, *space) to (batch, channel, *space), draws its initial weights from
torch's default generator (seed it before), draws nothing in the forward pass, and writes no buffer.
"""

from __future__ import annotations

from learnedrecon.networks.as_real import AsReal
from learnedrecon.networks.conv import ConvNet, ConvSpec
from learnedrecon.networks.filters import RampFilter, apply_filter, padded_length, ramp_response
from learnedrecon.networks.unet import UNet, UNetSpec

__all__ = [
    "AsReal",
    "ConvNet",
    "ConvSpec",
    "RampFilter",
    "UNet",
    "UNetSpec",
    "apply_filter",
    "padded_length",
    "ramp_response",
]
