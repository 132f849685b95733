"""How a command fails: one message on standard error, and an exit code."""

import os
import re
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from learnedrecon.errors import LearnedReconError, describe

FAILED = 2
INTERRUPTED = 130


class Commands(TyperGroup):
    """A group of commands that turns errors made for users into messages.

    Other errors are defects of this package and keep their traceback; ``--debug`` shows it for all.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - as for invoke
        """Takes ``--debug`` anywhere, as people add it to the end of what failed."""
        end = args.index("--") if "--" in args else len(args)
        if "--debug" in args[:end]:
            args = ["--debug", *(word for word in args[:end] if word != "--debug"), *args[end:]]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - the context of click, which typer hides
        """Runs the command that was asked for."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (LearnedReconError, OSError) as error:
            if debugging(ctx):
                raise
            complain(error)
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt:
            sys.stderr.write("\nInterrupted.\n")
            raise typer.Exit(INTERRUPTED) from None


def debugging(ctx: Any) -> bool:  # noqa: ANN401 - the context of click, which typer hides
    """Whether tracebacks are wanted."""
    asked = os.environ.get("LEARNEDRECON_DEBUG", "") not in {"", "0"}
    return asked or bool(ctx.params.get("debug"))


def complain(error: Exception) -> None:
    """Writes an error to standard error, each of its three parts on a line."""
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


def _of_the_system(error: Exception) -> str:
    name = getattr(error, "filename", None)
    return describe(
        expected="to be able to read and write " + ("files" if name is None else str(name)),
        found=getattr(error, "strerror", None) or str(error),
        fix="check the path, its permissions, and the free space on the disk",
    )
