"""``learnedrecon demo``: training, comparison and reconstruction in minutes."""

from pathlib import Path
from typing import Annotated

import typer

from learnedrecon.cli.options import ascii_only, echo, results


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder to write.")] = Path(
        "runs/demo"
    ),
    minutes: Annotated[
        float,
        typer.Option(min=0.01, help="Training time in minutes, which sets the number of steps."),
    ] = 4.0,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Number of training steps, independent of the time.")
    ] = None,
    images: Annotated[int, typer.Option(min=2, help="Number of test phantoms.")] = 100,
) -> None:
    """Train a learned primal-dual on sparse-view CT and compare it with FBP and total variation.

    Then a sparse-view scan of a real CT slice is simulated and reconstructed by all three.
    """
    from learnedrecon.experiments.demo_report import closing, demo_table
    from learnedrecon.experiments.demonstration import demo as run

    found = run(output, minutes=minutes, steps=steps, images=images)
    results().print(demo_table(found.scores, found.real, ascii_only=ascii_only()))
    for paragraph in closing(found.results, found.folder):
        echo(paragraph)
