"""Networks: the Γ inside a step. They know torch, and nothing of operators or problems.

A network maps (batch, channel, *space) to (batch, channel, *space), draws its initial weights from
torch's default generator (seed it before), draws nothing in the forward pass, and writes no buffer.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
