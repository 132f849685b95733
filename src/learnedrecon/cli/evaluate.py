"""`learnedrecon evaluate`: score one method on the test images."""

from pathlib import Path
from typing import Annotated

import typer

from learnedrecon.cli.options import (
    Device,
    Images,
    Overrides,
    Range,
    evaluation_overrides,
    note,
    results,
)


def evaluate(
    run: Annotated[
        Path,
        typer.Argument(help="A run folder, or a configuration of a method without weights."),
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
            help="The JSON to write; by default RUN/results.json, or beside a configuration "
            "CONFIG-results.json.",
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
    device: Device = "auto",
) -> None:
    """Score the best weights of a run on its test images: a table, a JSON file and a figure."""
    from learnedrecon.config.yaml_file import operator_to_plain
    from learnedrecon.evaluation.table import rich_table
    from learnedrecon.experiments.iteration_study import along_iterations
    from learnedrecon.experiments.method import open_run
    from learnedrecon.experiments.scoring import draw, plain, score, write_results
    from learnedrecon.specs import to_plain
    from learnedrecon.training.accelerator import choose_device

    asked = [*(overrides or []), *evaluation_overrides(images, data_range)]
    method, experiment = open_run(run, asked, device=choose_device(device))
    if method.trained_on not in {None, experiment.config.operator}:
        note("This operator is not the one that the weights were trained with.")
    if iterations is not None:
        along_iterations(method, experiment, iterations, output or iterations_file(run))
        return
    scores = score(method, experiment)
    folder = run.is_dir()
    target = output or (run / "results.json" if folder else beside(run))
    figure = (run / "figures" / "test.png") if folder else target.with_suffix(".png")
    write_results(
        target,
        {
            "methods": {method.label: plain(method, scores)},
            "test_images": scores.images,
            "range": str(experiment.data_range),
            "operator": operator_to_plain(experiment.config.operator),
            "data": to_plain(experiment.config.data),
        },
    )
    draw([method], experiment, figure)
    title = f"{scores.images} test images, data range {experiment.data_range}"
    results().print(rich_table([scores], title))
    for line in scores.status:
        note(f"{method.label}: {line}")
    note(f"Wrote {target} and {figure}.")


def iterations_file(run: Path) -> Path:
    """Where the curves of a run go by default; their figure goes beside or into its figures."""
    return run / "iterations.json" if run.is_dir() else run.with_name(f"{run.stem}-iterations.json")


def beside(config: Path) -> Path:
    """Where the scores of a configuration go that has no run folder."""
    return config.with_name(f"{config.stem}-results.json")
