"""Ctrl-C and SIGTERM as requests that the loop answers between two steps."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from accelerate import Accelerator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """A context in which the first SIGINT or SIGTERM is recorded; a second one acts as usual.

    A step is therefore always finished and saved, and a second ctrl-C still ends the program at
    once. Outside the main thread Python delivers no signals, and nothing is recorded.

    Args:
        accelerator: Accelerator of the run: in a distributed run, a request to one process stops
            all.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._noted = False
        self._before: dict[signal.Signals, signal.Handlers | object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._give_back()

    def poll(self) -> bool:
        """True if any process was asked to stop; all processes must call this equally often."""
        if not self._accelerator.use_distributed:
            return self._noted
        if self._noted:
            self._accelerator.set_trigger()
        return self._accelerator.check_trigger()

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._noted = True
        self._give_back()

    def _give_back(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)  # type: ignore[arg-type]  # it is what signal() returned
