"""Where the numbers of a run go: a file of JSON lines, TensorBoard, the terminal."""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from learnedrecon.errors import MissingExtraError, describe, shown
from learnedrecon.files import reading, require_file, unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import TextIO

Record = dict[str, Any]


class Logger(Protocol):
    """Something that records are written to; used by one run at a time."""

    def begin(self, *, step: int, steps: int) -> None:
        """Opens it after ``step`` steps of ``steps``; what was recorded of later steps is void."""
        ...

    def write(self, record: Record) -> None:
        """Takes one record with ``step``, ``event`` (train or validation), ``seconds``, numbers."""
        ...

    def flush(self) -> None:
        """Makes sure that all records would survive a crash."""
        ...

    def end(self) -> None:
        """Closes it; called also after an error."""
        ...


class Log:
    """Several loggers as one, between the beginning and the end of a run.

    Args:
        loggers: each gets every record.
        step: steps done before.
        steps: of the whole run.
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
        """Writes one record; ``seconds`` count from when this session of the run began."""
        seconds = round(time.monotonic() - self._started, 3)
        record = {"step": step, "event": event, **numbers, "seconds": seconds}
        for logger in self._loggers:
            logger.write(record)

    def flush(self) -> None:
        """See :meth:`Logger.flush`."""
        for logger in self._loggers:
            logger.flush()


class JsonLines:
    """One JSON object on each line, appended; a line that a crash cut short is dropped.

    What is not finite, which JSON cannot say, becomes null.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def begin(self, *, step: int, steps: int) -> None:
        del steps
        _, size = self._scan(until=step)
        if self.path.exists():
            os.truncate(self.path, size)
        self._file = self.path.open("a", encoding="utf-8", newline="\n")

    def write(self, record: Record) -> None:
        assert self._file is not None
        self._file.write(json.dumps({key: _finite(value) for key, value in record.items()}) + "\n")
        self._file.flush()

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def end(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def read(self) -> list[Record]:
        """All whole records.

        Raises:
            FileFormatError: a line that is no record, other than a last one cut short.
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
        folder: for the event files.

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


class RichProgress:
    """A bar with step, loss, PSNR and time left; a line now and then where there is no terminal.

    The line of the last step is printed at the end, once, with all that is known of it.

    Args:
        console: where to; standard error by default.
        every: seconds between two lines where there is no terminal.
    """

    def __init__(self, console: Console | None = None, *, every: float = 30.0) -> None:
        self._console = console or Console(stderr=True)
        self._every = every
        self._bar: ProgressBar | None = None
        self._loss = self._psnr = ""
        self._first = self._steps = 0
        self._due = 0.0
        self._last: Record | None = None

    def begin(self, *, step: int, steps: int) -> None:
        self._first, self._steps, self._due = step, steps, 0.0
        self._loss = self._psnr = ""
        self._last = None
        if self._console.is_terminal:
            self._bar = ProgressBar(
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(),
                TextColumn("{task.fields[numbers]}"),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._bar.add_task("", total=steps, completed=step, numbers="")
            self._bar.start()

    def write(self, record: Record) -> None:
        if "loss" in record:
            self._loss = f"loss {record['loss']:.3e}"
        if "psnr" in record:
            self._psnr = f"PSNR {record['psnr']:.2f} dB"
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=record["step"], numbers=self._numbers)
        elif record["step"] == self._steps:
            self._last = record
        elif record["seconds"] >= self._due:
            self._due = record["seconds"] + self._every
            self._print(record)

    def flush(self) -> None:
        """Nothing to keep."""

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._last is not None:
            self._print(self._last)
            self._last = None

    @property
    def _numbers(self) -> str:
        return "  ".join(text for text in (self._loss, self._psnr) if text)

    def _print(self, record: Record) -> None:
        step = record["step"]
        left = record["seconds"] / (step - self._first) * (self._steps - step)
        parts = (f"step {step}/{self._steps}", self._numbers, f"{_clock(left)} left")
        self._console.print("  ".join(part for part in parts if part), highlight=False)


def _finite(value: Any) -> Any:  # noqa: ANN401 (JSON)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
