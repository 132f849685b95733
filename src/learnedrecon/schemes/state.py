"""The state of schemes without memory: the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Image(NamedTuple):
    """The state of a scheme without memory.

    Attributes:
        image: u, (batch, channel, *domain.shape).
    """

    image: Tensor
