from __future__ import annotations

import importlib.util
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The module beside this file, which the child processes of the tests import too."""
    if "tiny" not in sys.modules:
        spec = importlib.util.spec_from_file_location("tiny", Path(__file__).with_name("tiny.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["tiny"] = module
        spec.loader.exec_module(module)
    return sys.modules["tiny"]


@pytest.fixture(autouse=True)
def _ctrl_c_raises() -> Iterator[None]:
    """Also where the tests run in the background, in which shells ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
