from __future__ import annotations

from tests.training.conftest import tiny

__all__ = ["tiny"]
