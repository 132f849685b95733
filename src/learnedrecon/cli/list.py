"""`learnedrecon list`: what configurations can name."""

from enum import StrEnum
from typing import Annotated

import typer

from learnedrecon.cli.options import echo


class Kind(StrEnum):
    """What can be listed."""

    models = "models"
    operators = "operators"
    datasets = "datasets"
    losses = "losses"
    noises = "noises"


def list_names(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    name: Annotated[str | None, typer.Argument(help="List this one alone.")] = None,
) -> None:
    """List what configurations can name, with arguments and defaults.

    What modules of yours register is listed too: learnedrecon --import my_module list models.
    """
    from learnedrecon.experiments.listing import registered

    for each in registered(kind.value):
        if name not in {None, each.name}:
            continue
        echo(f"{each.name}: {each.summary}")
        for argument, default in each.arguments.items():
            echo(f"    {argument} = {default}")
