"""`learnedrecon certify`: convergence certificates of trained fixed point schemes."""

from pathlib import Path
from typing import Annotated

import typer

from learnedrecon.cli.options import echo


def certify(
    run: Annotated[Path, typer.Argument(help="Run folder or weights file.")],
    *,
    smallest: Annotated[
        float, typer.Option("--mu", help="Lower bound of the smallest eigenvalue of T*T.")
    ] = 0.0,
    attack: Annotated[
        int,
        typer.Option(
            "--attack", min=0, help="Number of steps of the search for least contracting pairs."
        ),
    ] = 50,
) -> None:
    """Print the contraction factor, iterations and stability, or why there is no certificate.

    It says which energy the fixed point minimises, where one is known.

    The exit code is 1 without a certificate, and if the search exceeds the certified factor.
    """
    from learnedrecon.experiments.certification import certify as certified

    found = certified(run, smallest=smallest, attack=attack)
    echo(str(found.certificate))
    if found.attack is not None:
        echo(f"  {found.attack}")
    if found.minimiser is not None:
        echo(str(found.minimiser))
    if not found.holds:
        raise typer.Exit(1)
