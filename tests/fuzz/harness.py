"""Runs readers on damaged files, and counts what is no value and no clear message."""

from __future__ import annotations

import faulthandler
import os
import pickle
import random
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz.seeds import Seed, seeds

from learnedrecon.errors import LearnedReconError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import TextIO

MAX_BYTES = 1 << 26
"""What the readers may take for one array, LEARNEDRECON_MAX_BYTES."""

MEMORY = 1 << 28
"""By how much the process may grow in one case, in bytes."""

SECONDS = 5.0
"""Of the processor, for one case."""

STUCK = 900.0
"""Seconds after which a hundred cases of which one never returns to Python end the process."""

LONGEST = 10_000
"""Characters of a message."""

TOO_LONG = "too long"


class TooLong(BaseException):
    """Raised where a case has used up its time."""


@dataclass
class Counts:
    """What came of all cases.

    Attributes:
        cases: damaged files, each given to one reader of its format.
        read: those that gave a value.
        refused: those that gave a message of three parts.
        formats: cases of each format.
        tracebacks: by their last line and place.
        hangs: formats of cases beyond the bound of time.
        memory: formats of cases beyond the bound of memory.
        crashes: readers of cases in which a library in C ended the process, by a signal.
        slowest: seconds of the processor.
        largest: growth of the process in bytes.
        kept: one damaged file of each fault.
    """

    cases: int = 0
    read: int = 0
    refused: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    tracebacks: Counter[str] = field(default_factory=Counter)
    hangs: Counter[str] = field(default_factory=Counter)
    memory: Counter[str] = field(default_factory=Counter)
    crashes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    largest: int = 0
    kept: dict[str, bytes] = field(default_factory=dict)

    @property
    def faults(self) -> int:
        """Cases that are neither a value nor a message, within the bounds.

        Crashes are counted apart, as no Python around a library can turn them into a message.
        """
        return sum(counter.total() for counter in (self.tracebacks, self.hangs, self.memory))

    def add(self, other: Counts) -> None:
        """Adds what came of other cases."""
        for name in ("cases", "read", "refused"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("formats", "tracebacks", "hangs", "memory", "crashes"):
            getattr(self, name).update(getattr(other, name))
        self.slowest, self.largest = (
            max(self.slowest, other.slowest),
            max(self.largest, other.largest),
        )
        self.kept = {**other.kept, **self.kept}


def fuzz_in_children(cases: range, *, seed: int = 0, only: str = "") -> Counts:
    """The same as :func:`fuzz`, in child processes, which a crash of a library may end."""
    counts = Counts()
    left = [cases]
    while left:
        part = left.pop()
        with tempfile.TemporaryDirectory() as name:
            result, place = Path(name) / "result", Path(name) / "place"
            child = os.fork()
            if child == 0:
                with place.open("w+") as note:
                    found = fuzz(part, seed=seed, only=only, note=note)
                result.write_bytes(pickle.dumps(found))
                os._exit(0)
            status = os.waitpid(child, 0)[1]
            if status == 0:
                counts.add(pickle.loads(result.read_bytes()))
                continue
            number, label, *_ = place.read_text().strip().split(" ", 1)
        counts.crashes[f"{label}, signal {status & 127}, case {number}"] += 1
        counts.cases += 1
        counts.formats[label.split()[0]] += 1
        left += [range(part.start, int(number)), range(int(number) + 1, part.stop)]
    return counts


def fuzz(cases: range, *, seed: int = 0, only: str = "", note: TextIO | None = None) -> Counts:
    """Damages files and reads them.

    Args:
        cases: numbers of damaged files, taken in turn from the formats.
        seed: of all that is random.
        only: the format to keep to, or "" for all.
        note: a file for the number of the case that is being read.
    """
    counts = Counts()
    before = os.environ.get("LEARNEDRECON_MAX_BYTES")
    os.environ["LEARNEDRECON_MAX_BYTES"] = str(MAX_BYTES)
    try:
        with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            files = [each for each in seeds(Path(name)) if only in ("", each.name)]
            for number in cases:
                if number % 100 == 0:
                    faulthandler.dump_traceback_later(STUCK, exit=True)
                file, rng = files[number % len(files)], random.Random(f"{seed}-{number}")
                path = Path(name) / f"case{file.ending}"
                path.write_bytes(file.mutate(file.content, rng))
                read = rng.choice(file.readers)
                if note is not None:
                    note.seek(0)
                    note.write(f"{number} {file.name} {read.__name__:<40}")
                    note.flush()
                _check(file, read, path, counts)
    finally:
        faulthandler.cancel_dump_traceback_later()
        os.environ.pop("LEARNEDRECON_MAX_BYTES")
        if before is not None:
            os.environ["LEARNEDRECON_MAX_BYTES"] = before
    return counts


def _check(file: Seed, read: Callable[[Path], object], path: Path, counts: Counts) -> None:
    counts.cases += 1
    counts.formats[file.name] += 1
    start, began = _reset_peak(), time.process_time()
    signature = _outcome(read, path, counts)
    seconds, growth = time.process_time() - began, _peak() - start
    counts.slowest, counts.largest = max(counts.slowest, seconds), max(counts.largest, growth)
    label = f"{file.name} {getattr(read, '__name__', '')}"
    if signature == TOO_LONG or seconds > SECONDS:
        counts.hangs[label] += 1
    elif signature:
        counts.tracebacks[signature] += 1
    if growth > MEMORY:
        counts.memory[label] += 1
    if signature or seconds > SECONDS or growth > MEMORY:
        counts.kept.setdefault(f"{signature} {label}", path.read_bytes())


def _outcome(read: Callable[[Path], object], path: Path, counts: Counts) -> str:
    """Empty for a value or a message; else what it was."""
    handler = signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, 12 * SECONDS)
    try:
        read(path)
    except LearnedReconError as error:
        text = str(error)
        places = [text.rfind(part) for part in ("Expected ", " Found ", " What to do: ")]
        if -1 in places or len(text) > LONGEST:
            return f"message of {len(text)} characters: {text[:120]}"
        counts.refused += 1
    except TooLong:
        return TOO_LONG
    except Exception as error:  # noqa: BLE001 - what the fuzzer is for
        frames = traceback.extract_tb(error.__traceback__)
        place = next((f for f in reversed(frames) if "/learnedrecon/" in f.filename), frames[-1])
        where = f"{Path(place.filename).name}:{place.lineno}"
        return f"{type(error).__name__} at {where}: {error!s:.100}"
    else:
        counts.read += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    return ""


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise TooLong


def _reset_peak() -> int:
    """Makes the system forget the largest size of this process; the present one."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    return next(_sizes()) * 1024


def _sizes() -> Iterator[int]:
    with Path("/proc/self/status").open() as lines:
        yield from (int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
