"""`learnedrecon align`: the rotation axis of a scan."""

from pathlib import Path
from typing import Annotated

import typer

from learnedrecon.cli.options import Force, Geometry, echo
from learnedrecon.cli.raw_options import (
    Angles,
    BadPixels,
    Counts,
    Darks,
    Degrees,
    Flats,
    Rings,
    Row,
    Rows,
    Transmission,
    again,
    raw_input,
)


def align(  # noqa: PLR0913 - one argument for each option of the command
    scan: Annotated[
        Path,
        typer.Argument(
            help="The measurement: npy, npz, TIFF, PNG, HDF5, Data Exchange, NXtomo, or a folder "
            "of projections."
        ),
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
    flats: Flats = None,
    darks: Darks = None,
    counts: Counts = False,
    transmission: Transmission = False,
    row: Row = None,
    rows: Rows = None,
    theta: Angles = None,
    degrees: Degrees = None,
    bad_pixels: BadPixels = None,
    rings: Rings = "none",
    force: Force = False,
) -> None:
    """Find the rotation axis of a CT scan, and write it into a geometry."""
    from learnedrecon.experiments.alignment import align as aligned
    from learnedrecon.experiments.alignment import report

    raw = raw_input(
        (flats, darks),
        counts=counts,
        transmission=transmission,
        rows=(row, rows),
        theta=(theta, degrees),
        corrections=(bad_pixels, rings),
    )
    result = aligned(scan, operator=geometry, output=output, key=key, raw=raw, force=force)
    for line in report(result):
        echo(line)
    if output is None:
        echo("Next: the same with -o G.yaml writes the geometry with this axis.")
        return
    data_set = "" if key is None else f" --key {key}"
    words = f"{scan}{data_set}{again(raw)} --geometry {output}"
    echo(f"Next: learnedrecon reconstruct fbp {words} -o image.tif")
