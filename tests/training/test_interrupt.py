from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest

from learnedrecon.training.accelerator import make_accelerator
from learnedrecon.training.interrupt import StopRequest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def terminated() -> Iterator[list[int]]:
    """Notes SIGTERM where nobody else does."""
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: seen.append(number))
    yield seen
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_is_noted(terminated: list[int], number: signal.Signals) -> None:
    with StopRequest(make_accelerator(cpu=True)) as stop:
        assert not stop.poll()
        signal.raise_signal(number)
        assert stop.poll()
        assert stop.poll()
    assert not terminated


def test_a_second_ctrl_c_raises() -> None:
    with StopRequest(make_accelerator(cpu=True)):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_handlers_are_given_back(terminated: list[int]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopRequest(make_accelerator(cpu=True)):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
    signal.raise_signal(signal.SIGTERM)
    assert terminated == [signal.SIGTERM]


def test_another_thread_gets_no_signals() -> None:
    accelerator = make_accelerator(cpu=True)
    found: list[bool] = []

    def ask() -> None:
        with StopRequest(accelerator) as stop:
            found.append(stop.poll())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found == [False]
