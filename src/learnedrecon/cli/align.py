"""`learnedrecon align`: the rotation axis of a scan."""

from pathlib import Path
from typing import Annotated

import typer

from learnedrecon.cli.options import Force, Geometry, echo


def align(
    scan: Annotated[
        Path, typer.Argument(help="Measurement: npy, TIFF, PNG, HDF5 or Data Exchange.")
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="G.yaml", help="Geometry file to write, with the axis."
        ),
    ] = None,
    geometry: Geometry = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Key of the data set in an HDF5 file.")
    ] = None,
    force: Force = False,
) -> None:
    """Find the rotation axis of a CT scan, and write it into a geometry."""
    from learnedrecon.experiments.alignment import align as aligned
    from learnedrecon.experiments.alignment import report

    result = aligned(scan, operator=geometry, output=output, key=key, force=force)
    for line in report(result):
        echo(line)
    if output is None:
        echo("Next: the same with -o G.yaml writes the geometry with this axis.")
        return
    data_set = "" if key is None else f" --key {key}"
    echo(f"Next: learnedrecon reconstruct fbp {scan}{data_set} --geometry {output} -o image.tif")
