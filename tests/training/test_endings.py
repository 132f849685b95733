"""Every way of showing progress, with every way in which a training can end and go on."""

from __future__ import annotations

import io
import os
import signal
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, TextIO

import pytest
from rich.console import Console

from learnedrecon.errors import DataError
from learnedrecon.training.loggers import RichProgress, SteadyConsole
from learnedrecon.training.losses import SquaredError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import ModuleType

    from torch import Tensor, nn

    from learnedrecon.data.batch import Batch
    from learnedrecon.schemes.reconstructor import Estimate
    from learnedrecon.training.loggers import Logger

STEPS = 9


def text(handle: int) -> TextIO:
    """Text that is written at once, as that of standard error is after every line."""
    return io.TextIOWrapper(os.fdopen(handle, "wb", 0), encoding="utf-8", write_through=True)


@contextmanager
def terminal() -> Iterator[TextIO]:
    """A real one, which nobody reads; it has room for a short run."""
    leader, follower = pytest.importorskip("pty").openpty()
    with os.fdopen(leader, "rb", 0), text(follower) as stream:
        yield stream


@contextmanager
def closed_terminal() -> Iterator[TextIO]:
    """Its window is closed: every write is an input/output error."""
    leader, follower = pytest.importorskip("pty").openpty()
    os.close(leader)
    with text(follower) as stream:
        yield stream


@contextmanager
def pipe() -> Iterator[TextIO]:
    read, write = os.pipe()
    with os.fdopen(read, "rb", 0), text(write) as stream:
        yield stream


@contextmanager
def broken_pipe() -> Iterator[TextIO]:
    """Whose reader has gone away."""
    read, write = os.pipe()
    os.close(read)
    with text(write) as stream:
        yield stream


@contextmanager
def closed_stream() -> Iterator[TextIO]:
    stream = io.StringIO()
    stream.close()
    yield stream


@contextmanager
def ascii_stream() -> Iterator[TextIO]:
    yield io.TextIOWrapper(io.BytesIO(), encoding="ascii")


STREAMS = {
    stream.__name__: stream
    for stream in (terminal, closed_terminal, pipe, broken_pipe, closed_stream, ascii_stream)
}
DISPLAYS = [*STREAMS, "forced_bar", "foreign_console", "none"]


@contextmanager
def display(name: str) -> Iterator[list[Logger]]:
    """A progress display of the given kind."""
    if name == "none":
        yield []
    elif name in {"forced_bar", "foreign_console"}:
        with broken_pipe() as stream:
            kind = SteadyConsole if name == "forced_bar" else Console
            yield [RichProgress(kind(file=stream, force_terminal=name == "forced_bar"), every=0)]
    else:
        with STREAMS[name]() as stream:
            yield [RichProgress(SteadyConsole(file=stream), every=0)]


class At:
    """The squared error, but evaluation number ``call`` does something besides, or fails."""

    def __init__(self, call: int, what: str) -> None:
        self.calls = 0
        self.call = call
        self.what = what

    def __call__(self, estimate: Estimate, batch: Batch) -> Tensor:
        self.calls += 1
        values = SquaredError()(estimate, batch)
        if self.calls == self.call:
            if self.what == "nan":
                return values * float("nan")
            for _ in range(2 if self.what == "twice" else 1):
                signal.raise_signal(signal.SIGTERM if self.what == "sigterm" else signal.SIGINT)
        return values


class FailingValidation:
    """A validation whose call number ``call`` fails, as where an image holds NaN."""

    def __init__(self, tiny: ModuleType, call: int) -> None:
        self.whole = tiny.validation()
        self.left = call

    def __call__(self, model: nn.Module) -> Mapping[str, float]:
        self.left -= 1
        if self.left == 0:
            message = "an image with NaN"
            raise DataError(message)
        measured: Mapping[str, float] = self.whole(model)
        return measured


ENDINGS: dict[str, tuple[type[BaseException] | None, int | None]] = {
    "whole": (None, None),
    "sigint": (None, 5),
    "sigterm": (None, 5),
    "twice": (KeyboardInterrupt, None),
    "nan": (DataError, None),
    "first validation": (DataError, None),
    "last validation": (DataError, None),
}
"""What each raises, and after which step it has stopped."""


def options(tiny: ModuleType, ending: str) -> dict[str, Any]:
    """What makes a training end like this."""
    if "validation" in ending:
        call = 1 if ending.startswith("first") else 3
        return {"validate": FailingValidation(tiny, call)}
    return {} if ending == "whole" else {"loss": At(9, ending)}


@pytest.fixture(scope="module")
def whole(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing disturbs."""
    path = tmp_path_factory.mktemp("whole")
    tiny.fit(path, tiny.spec_of(STEPS))
    return path


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", DISPLAYS)
def test_no_display_changes_how_a_training_ends_and_goes_on(
    tiny: ModuleType, whole: Path, tmp_path: Path, name: str, ending: str
) -> None:
    """It ends as without a display, and the same display sees it go on to the same result."""
    spec = tiny.spec_of(STEPS)
    raised, stopped = ENDINGS[ending]
    with display(name) as loggers, nullcontext() if raised is None else pytest.raises(raised):
        result = tiny.fit(tmp_path, spec, loggers=loggers, **options(tiny, ending))
        assert result.step == (stopped or STEPS)
    if ending != "whole":
        with display(name) as loggers:
            assert tiny.fit(tmp_path, spec, loggers=loggers).step == STEPS
    tiny.assert_same_run(whole, tmp_path)


@pytest.mark.parametrize("ending", ["sigint", "last validation"])
def test_what_goes_on_without_a_step_says_no_time_left(
    tiny: ModuleType, tmp_path: Path, ending: str
) -> None:
    """The validation that is overdue is told before any step of this session."""
    with suppress(DataError):
        tiny.fit(tmp_path, tiny.spec_of(STEPS), **options(tiny, ending))
    text = io.StringIO()
    console = Console(file=text, width=100)
    tiny.fit(tmp_path, tiny.spec_of(STEPS), loggers=[RichProgress(console, every=0)])
    first = text.getvalue().splitlines()[0]
    if ending == "sigint":
        assert first.startswith("step 6/9  loss ")
        assert first.endswith("left")
    else:
        assert first.startswith("step 9/9  PSNR ")
        assert "left" not in first
