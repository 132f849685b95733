"""`learnedrecon list`: names for configurations."""

from enum import StrEnum
from textwrap import fill
from typing import Annotated

import typer

from learnedrecon.cli.options import echo

WIDTH = 80


class Kind(StrEnum):
    """The kinds of names that can be listed."""

    models = "models"
    operators = "operators"
    datasets = "datasets"
    losses = "losses"
    noises = "noises"


def list_names(
    kind: Annotated[Kind, typer.Argument(help="Kind of names to list.")],
    name: Annotated[str | None, typer.Argument(help="List only this name.")] = None,
) -> None:
    """List the names that configurations accept, with arguments and defaults.

    Classes of your own modules are also listed: learnedrecon --import my_module list models.
    """
    from learnedrecon.experiments.listing import registered

    for each in registered(kind.value):
        if name not in {None, each.name}:
            continue
        echo(fill(f"{each.name}: {each.summary}", WIDTH, subsequent_indent="  "))
        for argument, default in each.arguments.items():
            echo(
                fill(
                    f"{argument} = {default}",
                    WIDTH,
                    initial_indent="    ",
                    subsequent_indent=" " * 8,
                )
            )
