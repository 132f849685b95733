"""Networks Γ inside of steps, which depend on torch only, not on operators or problems.

A network maps (batch, channel, *space) to (batch, channel, *space), draws its initial weights from
torch's default generator (seed it first), draws no random numbers in the forward pass, and changes
no buffer.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
