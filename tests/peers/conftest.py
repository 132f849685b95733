"""Tests against libraries that are not in the lock; `make test-peers` runs them.

They are collected only with LEARNEDRECON_PEERS=1 in the environment, and a missing library then
fails.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

ASKED_FOR = os.environ.get("LEARNEDRECON_PEERS") == "1"
collect_ignore_glob = [] if ASKED_FOR else ["test_*.py"]
STAND_IN = Path(__file__).parents[2] / "benchmarks" / "against" / "stand_in.py"

if ASKED_FOR:
    spec = importlib.util.spec_from_file_location("stand_in", STAND_IN)
    assert spec is not None
    assert spec.loader is not None
    stand_in = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stand_in)
    stand_in.deepinv("physics")
