"""Errors of commands: one message on standard error, and an exit code."""

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup

from learnedrecon.errors import DataError, LearnedReconError, describe

FAILED = 2
INTERRUPTED = 130
TERMINATED = 143

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


class TerminatedError(KeyboardInterrupt):
    """SIGTERM, for example from a batch system: it ends a command as ctrl-C does."""


class Commands(TyperGroup):
    """A group of commands that converts errors for users into messages.

    Other errors are defects of this package and have a traceback; ``--debug`` shows it for all
    errors.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - as for invoke
        """Arguments without ``--debug``, which may be anywhere, for example at the end."""
        end = args.index("--") if "--" in args else len(args)
        if "--debug" in args[:end]:
            args = ["--debug", *(word for word in args[:end] if word != "--debug"), *args[end:]]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - the context of click, which typer hides
        """Runs the command; of several processes only the first one prints."""
        quiet = nullcontext() if first_process() else redirect_stdout(None)
        try:
            with terminable(), quiet:
                return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (LearnedReconError, OSError) as error:
            if debugging(ctx):
                raise
            complain(error)
            raise typer.Exit(FAILED) from None
        except (MemoryError, RuntimeError) as error:
            if debugging(ctx) or not out_of_memory(error):
                raise
            complain(_of_memory(error))
            raise typer.Exit(FAILED) from None
        except TerminatedError:
            sys.stderr.write("\nTerminated.\n")
            raise typer.Exit(TERMINATED) from None
        except KeyboardInterrupt:
            sys.stderr.write("\nInterrupted.\n")
            raise typer.Exit(INTERRUPTED) from None


def first_process() -> bool:
    """True in the first, or only, process that torchrun starts."""
    return "MASTER_ADDR" not in os.environ or os.environ.get("RANK", "0") == "0"


@contextmanager
def terminable() -> Iterator[None]:
    """A context in which ctrl-C and SIGTERM raise, so that no file is left half-written.

    SIGTERM raises :class:`TerminatedError`. Ignored signals remain ignored.
    """

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise TerminatedError

    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        raising = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: end}
        for number, handler in raising.items():
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def out_of_memory(error: Exception) -> bool:
    """True for an error that reports a lack of memory, of the machine or of its GPU.

    Args:
        error: Error.
    """
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY)


def debugging(ctx: Any) -> bool:  # noqa: ANN401 - the context of click, which typer hides
    """True if tracebacks are asked for.

    Args:
        ctx: Context of the command.
    """
    asked = os.environ.get("LEARNEDRECON_DEBUG", "") not in {"", "0"}
    return asked or bool(ctx.params.get("debug"))


def complain(error: Exception) -> None:
    """Writes an error to standard error, with each of its three parts on a line.

    Args:
        error: Error.
    """
    text = str(error) if isinstance(error, LearnedReconError) else _of_the_system(error)
    place, text = _place_and_text(text)
    expected, found, rest = text.partition(" Found ")
    middle, fix, last = rest.rpartition(" What to do: ")
    if found and fix:
        text = f"{expected}\n  Found {middle}\n  What to do: {last}"
    sys.stderr.write(f"Error{place}: {text}\n")


def _place_and_text(text: str) -> tuple[str, str]:
    """Takes "In 'a.b': In 'b': " off a message: of the places, which are nested, the longest."""
    prefix = re.match(r"(?:In '[^']*': )*", text)
    places = re.findall(r"In ('[^']*'): ", prefix[0]) if prefix else []
    place = f" in {max(places, key=len)}" if places else ""
    return place, text[len(prefix[0]) if prefix else 0 :]


def _of_memory(error: Exception) -> DataError:
    lines = str(error).splitlines() or ["none left"]
    return DataError(
        describe(
            expected="enough memory",
            found=f"{lines[0].rstrip('.'):.200}",
            fix="make batches (training.batch.size, evaluation.batch_size), images or the model "
            "smaller; what was saved before is complete",
        )
    )


def _of_the_system(error: Exception) -> str:
    name = getattr(error, "filename", None)
    return describe(
        expected="to be able to read and write " + ("files" if name is None else str(name)),
        found=getattr(error, "strerror", None) or str(error),
        fix="check the path, its permissions, and the free space on the disk",
    )
