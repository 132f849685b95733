"""`learnedrecon evaluate`: scores of one method on the test images."""

from pathlib import Path
from typing import Annotated

import typer

from learnedrecon.cli.options import (
    Device,
    Force,
    Images,
    Overrides,
    Range,
    ascii_only,
    echo,
    results,
)


def evaluate(  # noqa: PLR0913 - one argument for each option of the command
    run: Annotated[
        Path,
        typer.Argument(help="Run folder, or configuration of a method without weights."),
    ],
    *,
    overrides: Overrides = None,
    images: Images = None,
    data_range: Range = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="JSON file to write, with the figure beside it; by default RUN/results.json, or "
            "CONFIG-results.json beside a configuration.",
        ),
    ] = None,
    iterations: Annotated[
        str | None,
        typer.Option(
            "--iterations",
            metavar="FIRST:LAST",
            help="Draw PSNR and residuals after each of these iterations, such as 1:100, in place "
            "of scores: RUN/iterations.json and RUN/figures/iterations.png.",
        ),
    ] = None,
    force: Force = False,
    device: Device = "auto",
) -> None:
    """Score the best weights of a run on its test images: a table, a JSON file and a figure."""
    from learnedrecon.evaluation.table import rich_tables
    from learnedrecon.experiments.evaluation import evaluate as evaluated
    from learnedrecon.experiments.iteration_studies import iteration_study, summary

    sets = overrides or []
    if iterations is not None:
        study = iteration_study(
            run,
            iterations,
            overrides=sets,
            images=images,
            data_range=data_range,
            output=output,
            force=force,
            device=device,
        )
        for line in summary(study.curves):
            echo(line)
        return
    found = evaluated(
        run,
        overrides=sets,
        images=images,
        data_range=data_range,
        output=output,
        force=force,
        device=device,
    )
    for table in rich_tables([found.scores], found.data_range, ascii_only=ascii_only()):
        results().print(table)
