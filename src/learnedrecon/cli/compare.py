"""`learnedrecon compare`: comparison of several methods on the same test images."""

from pathlib import Path
from typing import Annotated

import typer

from learnedrecon.cli.options import Device, Force, Images, Range, ascii_only, echo, results


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN [RUN ...] [fbp] [tv]",
            help="Run folders, and methods without weights, such as 'fbp' and 'tv', which are "
            "tuned on the validation images of the first run.",
        ),
    ],
    *,
    images: Images = None,
    data_range: Range = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path(
        "runs/comparison"
    ),
    force: Force = False,
    device: Device = "auto",
) -> None:
    """Score several methods on the test images of the first run: table, figure and JSON.

    Differences are paired, image by image, with their 95 % confidence intervals. A method without
    weights that does not exist for the operator is omitted.
    """
    from learnedrecon.evaluation.table import rich_tables
    from learnedrecon.experiments.comparison import compare as compared

    found = compared(
        runs, images=images, data_range=data_range, output=output, force=force, device=device
    )
    for table in rich_tables(found.scores, found.data_range, ascii_only=ascii_only()):
        results().print(table)
    for name, value in found.differences.items():
        low, high = value["ci95"]
        echo(f"{name}: {value['mean']:+.2f} dB, 95 % interval [{low:+.2f}, {high:+.2f}]")
    if found.left_out:
        echo(f"{len(found.left_out)} of {len(runs)} left out: {', '.join(found.left_out)}.")
