"""Options that several commands share, and where they print."""

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
        "as model.name=fbp, drops the section's other keys, but not model.image_scale.",
    ),
]
Images = Annotated[
    int | None, typer.Option("--images", min=1, help="At most this many test images.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Overwrite files that are not of this command.")
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
    typer.Option("--device", metavar="auto|cpu|cuda[:k]", help="Where to compute; auto: the GPU."),
]


def results() -> "Console":
    """Where results are printed: standard output."""
    from rich.console import Console

    return Console(highlight=False, markup=False, soft_wrap=True)


def echo(text: str) -> None:
    """Prints a result on standard output, as :func:`spell_out` lets it."""
    sys.stdout.write(f"{text}\n")


def note(text: str) -> None:
    """Tells the user something that is not a result, on standard error."""
    if first_process():
        sys.stderr.write(f"{text}\n")


def ascii_only() -> bool:
    """Whether standard output shows nothing but ASCII."""
    return not (sys.stdout.encoding or "ascii").lower().startswith("utf")


def spell_out() -> None:
    """Lets terminals that lack a character show others that say the same, and never fail.

    Half of what is printed is mathematics; an encoding without it is no reason to lose a result.
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
    """Messages of the library as notes to the user: the text alone, on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


def show_notes() -> None:
    """Prints what the library logs, from notes upwards; once, however often it is called."""
    logger = logging.getLogger("learnedrecon")
    logger.setLevel(logging.INFO)
    if not any(isinstance(each, Notes) for each in logger.handlers):
        logger.addHandler(Notes())
