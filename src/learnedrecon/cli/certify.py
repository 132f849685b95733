"""`learnedrecon certify`: what can be proved of a trained fixed point scheme."""

from pathlib import Path
from typing import Annotated

import typer

from learnedrecon.cli.options import echo


def certify(
    run: Annotated[Path, typer.Argument(help="A run folder, or a weights file.")],
    *,
    smallest: Annotated[
        float, typer.Option("--mu", help="A lower bound of the smallest eigenvalue of T*T.")
    ] = 0.0,
    attack: Annotated[
        int,
        typer.Option("--attack", min=0, help="Steps of the search for pairs that contract least."),
    ] = 50,
) -> None:
    """Print the contraction factor, its iterations and its stability, or why there is no proof.

    The exit code is 1 without a certificate, and where the search passes the certified factor.
    """
    from learnedrecon.experiments.certification import certify as certified

    found = certified(run, smallest=smallest, attack=attack)
    echo(str(found.certificate))
    if found.attack is not None:
        echo(f"  {found.attack}")
    if not found.holds:
        raise typer.Exit(1)
