"""Networks on complex images, with real and imaginary parts as channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from learnedrecon.errors import DtypeError, ShapeError, describe

if TYPE_CHECKING:
    from torch import Tensor


class AsReal(nn.Module):
    """A network on complex channels, from a real network on twice as many.

    The real parts of all channels come first, then the imaginary parts, in input and output. The
    map is real-linear where the network is linear, and in general not complex-linear.

    Args:
        network: Real network, (batch, 2c, *space) to (batch, 2c', *space).

    Shapes: (batch, c, *space) to (batch, c', *space), complex, in the precision of the input, also
    where the network computes in a lower one.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, u: Tensor) -> Tensor:
        """Applies the network.

        Raises:
            DtypeError: ``u`` is not complex.
            ShapeError: The network returns an odd number of channels.
        """
        if not u.is_complex():
            raise DtypeError(
                describe(
                    expected="complex images for AsReal",
                    found=str(u.dtype),
                    fix="use the network itself for real images",
                )
            )
        parts = self.network(torch.cat([u.real, u.imag], dim=1)).to(u.real.dtype)
        if parts.shape[1] % 2:
            raise ShapeError(
                describe(
                    expected="an even number of channels from the network of AsReal",
                    found=f"shape {tuple(parts.shape)}",
                    fix="give the network twice as many output channels as complex ones are meant",
                )
            )
        return torch.complex(*parts.chunk(2, dim=1))
