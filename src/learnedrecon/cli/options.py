"""Options and output functions common to several commands."""

import codecs
import io
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from learnedrecon.cli.failure import first_process

if TYPE_CHECKING:
    from rich.console import Console

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="A.B=C",
        help="Override a value of the configuration; repeatable. Another 'name' of a section, such "
        "as model.name=fbp, removes the section's other keys, but not model.image_scale.",
    ),
]
Images = Annotated[
    int | None, typer.Option("--images", min=1, help="Largest number of test images.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Overwrite existing files that this command did not write.")
]
Range = Annotated[
    str | None,
    typer.Option("--range", metavar="TEXT", help="Data range of the scores: max-min, or range=1."),
]
Geometry = Annotated[
    Path | None,
    typer.Option("--geometry", metavar="G.yaml", help="Scan geometry, as 'check data' writes it."),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda[:k]",
        help="Device of the computation; auto: the GPU if there is one.",
    ),
]


def results() -> "Console":
    """The console of results: standard output."""
    from rich.console import Console

    return Console(highlight=False, markup=False, soft_wrap=True)


def echo(text: str) -> None:
    """Prints a result on standard output, with the replacements of :func:`spell_out`.

    Args:
        text: Text to print.
    """
    sys.stdout.write(f"{text}\n")


def note(text: str) -> None:
    """Prints a note that is not a result on standard error.

    Args:
        text: Text to print.
    """
    if first_process():
        sys.stderr.write(f"{text}\n")


def ascii_only() -> bool:
    """True if standard output shows only ASCII."""
    return not (sys.stdout.encoding or "ascii").lower().startswith("utf")


def spell_out() -> None:
    """Replacement of characters that a terminal cannot show by equivalent text, without errors.

    Many results contain mathematical symbols; an encoding without them must not lose a result.
    """
    codecs.register_error("learnedrecon", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="learnedrecon")


_SPELLED = {
    "±": "+-", "×": "x", "·": "*", "≤": "<=", "≥": ">=", "‖": "||", "²": "^2", "∇": "grad ",
    "→": "->", "←": "<-", "…": "...", "–": "-", "−": "-", "“": '"', "”": '"', "’": "'",
    "α": "alpha", "γ": "gamma", "ε": "epsilon", "η": "eta", "λ": "lambda", "μ": "mu", "σ": "sigma",
    "Λ": "Lambda", "û": "u^", "é": "e", "ö": "oe", "ü": "ue", "ä": "ae", "ß": "ss",
}  # fmt: skip


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_SPELLED.get(each, "?") for each in missing), error.end


class Notes(logging.Handler):
    """A logging handler that prints messages of the library as notes, on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


def show_notes() -> None:
    """Prints the library's log from level INFO on; repeated calls have no effect."""
    logger = logging.getLogger("learnedrecon")
    logger.setLevel(logging.INFO)
    if not any(isinstance(each, Notes) for each in logger.handlers):
        logger.addHandler(Notes())
