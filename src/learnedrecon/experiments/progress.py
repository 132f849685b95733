"""Progress of long functions: by a callback, as bars on a terminal, or none."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import Progress as RichBars

from learnedrecon.training.loggers import RichProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from learnedrecon.training.loggers import Logger


class Progress(Protocol):
    """Protocol of progress callbacks.

    A callback is called once for every part of the work and returns a context manager. The context
    yields a function that is called with the number of things done.
    """

    def __call__(self, what: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Begins a part of the work.

        Args:
            what: The part in words, such as "Scoring lpd".
            total: Number of things to be done, such as images or steps.
        """
        ...


@contextmanager
def silent(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress without display.

    Args:
        what: Name of the part of the work.
        total: Number of things to be done.
    """
    del what, total
    yield lambda number: None  # noqa: ARG005 - the name is part of the interface


@contextmanager
def bars(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error, which is removed at the end.

    Args:
        what: Name of the part of the work.
        total: Number of things to be done.
    """
    with RichBars(console=Console(stderr=True), transient=True) as display:
        task = display.add_task(what, total=total)
        yield lambda number: display.advance(task, number)


def progress_of(asked: Progress | bool) -> Progress:  # noqa: FBT001 - what users write
    """The callback of an argument ``progress``.

    Args:
        asked: Callback, True for :func:`bars`, or False for none.
    """
    if isinstance(asked, bool):
        return bars if asked else silent
    return asked


def training_loggers(asked: Progress | bool) -> Sequence[Logger]:  # noqa: FBT001 - as above
    """The loggers that display a training.

    Args:
        asked: Callback, True for a bar with loss and PSNR on standard error, or False for none.
    """
    if isinstance(asked, bool):
        return [RichProgress()] if asked else []
    return [ToldSteps(asked)]


class ToldSteps:
    """A logger that reports the steps of a training to a :class:`Progress`.

    Args:
        progress: Callback.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._stack = ExitStack()
        self._done = 0
        self._advance: Callable[[int], None] | None = None

    def begin(self, *, step: int, steps: int) -> None:
        self._done = step
        self._stack = ExitStack()
        self._advance = self._stack.enter_context(self.progress("Training", steps))
        self._advance(step)

    def write(self, record: dict[str, Any]) -> None:
        if self._advance is not None and record["step"] > self._done:
            self._advance(record["step"] - self._done)
            self._done = record["step"]

    def flush(self) -> None:
        """Nothing, as the callback stores no records."""

    def end(self) -> None:
        self._stack.close()
