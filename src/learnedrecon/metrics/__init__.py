"""How far an estimate is from the truth, with the data range said aloud, and how tables sum up."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
