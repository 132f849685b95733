"""What every test shares."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tests run in parallel processes: more threads than cores make each of them crawl."""
    torch.set_num_threads(1)
