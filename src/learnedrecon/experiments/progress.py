"""Progress of long functions: told to a callback, shown as bars on a terminal, or not at all."""

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
    """A callback that is told how far a function is.

    It is called once for every part of the work and gives a context manager; within it, the
    function that this yields is told how much more has been done.
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
    """A progress that nobody sees.

    Args:
        what: The part of the work.
        total: Number of things to be done.
    """
    del what, total
    yield lambda number: None  # noqa: ARG005 - the name is part of the interface


@contextmanager
def bars(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, which is removed at the end.

    Args:
        what: The part of the work.
        total: Number of things to be done.
    """
    with RichBars(console=Console(stderr=True), transient=True) as display:
        task = display.add_task(what, total=total)
        yield lambda number: display.advance(task, number)


def progress_of(asked: Progress | bool) -> Progress:  # noqa: FBT001 - what users write
    """The callback that an argument ``progress`` stands for.

    Args:
        asked: A callback, True for :func:`bars`, or False for none.
    """
    if isinstance(asked, bool):
        return bars if asked else silent
    return asked


def training_loggers(asked: Progress | bool) -> Sequence[Logger]:  # noqa: FBT001 - as above
    """The loggers that show a training.

    Args:
        asked: A callback, True for a bar with loss and PSNR on standard error, or False for none.
    """
    if isinstance(asked, bool):
        return [RichProgress()] if asked else []
    return [ToldSteps(asked)]


class ToldSteps:
    """A logger that tells a :class:`Progress` the steps of a training.

    Args:
        progress: The callback.
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
        """Nothing to keep."""

    def end(self) -> None:
        self._stack.close()
