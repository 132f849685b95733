"""Options that several commands share, and where they print."""

import json
import logging
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
        "as model.name=fbp, drops the section's other keys.",
    ),
]
Images = Annotated[
    int | None, typer.Option("--images", min=1, help="At most this many test images.")
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


def note(text: str) -> None:
    """Tells the user something that is not a result, on standard error."""
    if first_process():
        typer.echo(text, err=True)


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


def evaluation_overrides(images: int | None, data_range: str | None) -> list[str]:
    """The options of scores as overrides of a configuration."""
    return [
        *([] if images is None else [f"evaluation.images={images}"]),
        *([] if data_range is None else [f"evaluation.range={json.dumps(data_range)}"]),
    ]
