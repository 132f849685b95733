"""Loggers of a run: a file of JSON lines, TensorBoard, the terminal."""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from learnedrecon.errors import MissingExtraError, describe, shown
from learnedrecon.files import reading, require_file, unreadable, writing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import TextIO

    from learnedrecon.specs import Plain

Record = dict[str, Any]

_REFRESH = 0.1


class Logger(Protocol):
    """Protocol of loggers, each used by one run at a time."""

    def begin(self, *, step: int, steps: int) -> None:
        """Opens the log after ``step`` steps of ``steps``; records of later steps are invalid."""
        ...

    def write(self, record: Record) -> None:
        """Writes one record: ``step``, ``event`` (train or validation), ``seconds``, numbers."""
        ...

    def flush(self) -> None:
        """Makes all records safe from a crash."""
        ...

    def end(self) -> None:
        """Closes the log, also after an error."""
        ...


class Log:
    """Several loggers as one, from the beginning to the end of a run.

    Args:
        loggers: Loggers, each of which gets every record.
        step: Number of steps done before.
        steps: Number of steps of the whole run.
    """

    def __init__(self, loggers: Sequence[Logger], *, step: int, steps: int) -> None:
        self._loggers = loggers
        self._step = step
        self._steps = steps
        self._stack = ExitStack()
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for logger in self._loggers:
                logger.begin(step=self._step, steps=self._steps)
                stack.callback(logger.end)
            self._stack = stack.pop_all()
        self._started = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def write(self, event: str, step: int, numbers: Mapping[str, float]) -> None:
        """Writes one record; ``seconds`` count from the beginning of this session of the run."""
        seconds = round(time.monotonic() - self._started, 3)
        record = {"step": step, "event": event, **numbers, "seconds": seconds}
        for logger in self._loggers:
            logger.write(record)

    def flush(self) -> None:
        """Makes all records safe from a crash, see :meth:`Logger.flush`."""
        for logger in self._loggers:
            logger.flush()


class JsonLines:
    """A file with one JSON object per line, appended; a line truncated by a crash is dropped.

    Numbers that are not finite, which JSON cannot represent, become null.

    Args:
        path: Path of the file.

    Raises:
        FileFormatError: In any method, the file cannot be written or the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def begin(self, *, step: int, steps: int) -> None:
        del steps
        _, size = self._scan(until=step)
        with writing(self.path):
            if self.path.exists():
                os.truncate(self.path, size)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+", encoding="utf-8", newline="\n")

    def write(self, record: Record) -> None:
        assert self._file is not None
        if not self.path.exists():
            self._restore()
        line = json.dumps({key: _finite(value) for key, value in record.items()}) + "\n"
        with writing(self.path):
            self._file.write(line)
            self._file.flush()

    def flush(self) -> None:
        if self._file is not None:
            with writing(self.path):
                self._file.flush()
                os.fsync(self._file.fileno())

    def end(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # of what could not be flushed, which has been an error before
                file.close()

    def _restore(self) -> None:
        """Writes the file again, records and all, which somebody removed while it was open."""
        removed = self._file
        assert removed is not None
        with writing(self.path):
            removed.seek(0)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+", encoding="utf-8", newline="\n")
            self._file.write(removed.read())
            removed.close()

    def read(self) -> list[Record]:
        """All complete records.

        Raises:
            FileFormatError: A line other than a truncated last one is not a record.
        """
        return self._scan(until=None)[0]

    def _scan(self, until: int | None) -> tuple[list[Record], int]:
        """The records up to step ``until``, and the bytes they take."""
        records: list[Record] = []
        size = 0
        if not self.path.exists():
            return records, size
        require_file(self.path, "the records of a run")
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                record = self._parse(line, number)
                if until is not None and record["step"] > until:
                    break
                records.append(record)
                size += len(line)
        return records, size

    def _parse(self, line: bytes, number: int) -> Record:
        place, expected = f"line {number} of {self.path}", "a JSON object with a 'step'"
        found, fix = f"the line {shown(line)}", "remove the line, or train in another folder"
        with reading(place, expected, corrupt=found, fix=fix):
            record = json.loads(line)
            step = record["step"]
        if isinstance(record, dict) and type(step) is int and step >= 0:
            return record
        raise unreadable(place, expected, found, fix)


class TensorBoard:
    """Scalars for TensorBoard, under ``event/name``.

    Args:
        folder: Folder of the event files.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (an extra)
        except ImportError as error:
            raise MissingExtraError(
                describe(
                    expected="TensorBoard to be installed",
                    found=str(error),
                    fix="run: pip install 'learnedrecon[tensorboard]'",
                )
            ) from error
        self._make = SummaryWriter
        self._folder = folder
        self._writer: Any = None

    def begin(self, *, step: int, steps: int) -> None:
        del steps
        self._writer = self._make(str(self._folder), purge_step=step + 1)

    def write(self, record: Record) -> None:
        for name, value in record.items():
            if name not in {"step", "event", "seconds"}:
                self._writer.add_scalar(f"{record['event']}/{name}", value, record["step"])

    def flush(self) -> None:
        self._writer.flush()

    def end(self) -> None:
        self._writer.close()


class SteadyConsole(Console):
    """A console that stops printing when its reader closes the pipe, instead of raising."""

    def on_broken_pipe(self) -> None:
        """Stops printing."""
        self.quiet = True


class RichProgress:
    """A progress bar with step, loss, PSNR and remaining time; single lines without a terminal.

    The line of the last step is printed once, at the end, with all its numbers. A display that
    fails, for example because the terminal was closed, is switched off and never ends a training.

    Args:
        console: Console of the display; standard error by default.
        every: Seconds between two lines where there is no terminal.
    """

    def __init__(self, console: Console | None = None, *, every: float = 30.0) -> None:
        self._console = console or SteadyConsole(stderr=True)
        self._every = every
        self._bar: ProgressBar | None = None
        self._loss = self._psnr = ""
        self._first = self._steps = 0
        self._due = 0.0
        self._last: Record | None = None
        self._failed = False

    def begin(self, *, step: int, steps: int) -> None:
        self._first, self._steps, self._due = step, steps, 0.0
        self._loss = self._psnr = ""
        self._last = None
        self._failed = False
        with self._display():
            if self._console.is_terminal:
                self._bar = ProgressBar(
                    TextColumn("step"),
                    MofNCompleteColumn(),
                    BarColumn(),
                    TextColumn("{task.fields[numbers]}"),
                    TimeRemainingColumn(),
                    console=self._console,
                    auto_refresh=False,
                )
                self._bar.add_task("", total=steps, completed=step, numbers="")
                self._bar.start()

    def write(self, record: Record) -> None:
        if "loss" in record:
            self._loss = f"loss {record['loss']:.3e}"
        if "psnr" in record:
            self._psnr = f"PSNR {record['psnr']:.2f} dB"
        if not self._failed:
            with self._display():
                self._show(record)

    def flush(self) -> None:
        """Nothing, as the display stores no records."""

    def end(self) -> None:
        bar, last, self._bar, self._last = self._bar, self._last, None, None
        if self._failed:
            return
        with self._display():
            if bar is not None:
                bar.refresh()
                bar.stop()
            if last is not None:
                self._print(last)

    def _show(self, record: Record) -> None:
        due = record["seconds"] >= self._due
        if self._bar is not None:
            task = self._bar.task_ids[0]
            self._bar.update(task, completed=record["step"], numbers=self._numbers, refresh=due)
            if due:
                self._due = record["seconds"] + _REFRESH
        elif record["step"] == self._steps:
            self._last = record
        elif due:
            self._due = record["seconds"] + self._every
            self._print(record)

    @contextmanager
    def _display(self) -> Iterator[None]:
        """Gives the display up where it fails, in whatever way a console can fail."""
        try:
            yield
        except (Exception, SystemExit):  # noqa: BLE001 (rich ends the process by SystemExit)
            self._failed = True
            bar, self._bar = self._bar, None
            with suppress(Exception, SystemExit):
                if bar is not None:
                    bar.stop()

    @property
    def _numbers(self) -> str:
        return "  ".join(text for text in (self._loss, self._psnr) if text)

    def _print(self, record: Record) -> None:
        step = record["step"]
        done = step - self._first
        seconds = record["seconds"] / done * (self._steps - step) if done > 0 else None
        left = "" if seconds is None else f"{_clock(seconds)} left"
        parts = (f"step {step}/{self._steps}", self._numbers, left)
        self._console.print("  ".join(part for part in parts if part), highlight=False)


def _finite(value: Plain) -> Plain:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
