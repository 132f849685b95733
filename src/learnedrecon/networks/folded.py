"""Networks on some of the axes, with the others folded into the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class Folded(nn.Module):
    """A network that treats the leading space axes as part of the batch.

    In this way all coils share the weights of a network on k-space.

    Args:
        network: Network from (batch, c, *space) to (batch, c', *space).
        axes: Number of axes after the channels that are folded into the batch.

    Shapes: (batch, c, *folded, *space) to (batch, c', *folded, *space).
    """

    def __init__(self, network: nn.Module, axes: int) -> None:
        super().__init__()
        self.network = network
        self.axes = axes

    def forward(self, u: Tensor) -> Tensor:
        """Applies the network."""
        lead = (u.shape[0], *u.shape[2 : 2 + self.axes])
        behind = u.movedim(1, 1 + self.axes).flatten(0, self.axes)
        return self.network(behind).unflatten(0, lead).movedim(1 + self.axes, 1)
