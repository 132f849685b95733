"""What every test shares."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator
from hypothesis import HealthCheck, settings

from learnedrecon.evaluation import canvas

settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tests run in parallel processes: more threads than cores make each of them crawl."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """What a test draws from torch's global generator is the same every time."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _quiet_again() -> Iterator[None]:
    """What a command does to the library's logger does not reach the next test."""
    logger = logging.getLogger("learnedrecon")
    level, handlers = logger.level, logger.handlers[:]
    yield
    logger.setLevel(level)
    logger.handlers[:] = handlers


@pytest.fixture(autouse=True)
def _no_layout(request: pytest.FixtureRequest) -> Iterator[None]:
    """Arranging axes is most of the time of a short command; figures have tests of their own.

    With a patch of its own: `monkeypatch` here would end after the fixtures of every test.
    """
    with pytest.MonkeyPatch.context() as patch:
        if "evaluation" not in request.path.parts:
            patch.setattr(canvas, "_LAYOUT", None)
        yield


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    """Nothing compiled before counts, and torch's own deprecations are not ours."""
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
    torch._dynamo.reset()
