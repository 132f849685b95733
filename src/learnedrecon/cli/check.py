"""`learnedrecon check`: checks of data, operators and models before their use."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from learnedrecon.cli.options import Force, Geometry, echo, note, results
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
    raw_input,
)

if TYPE_CHECKING:
    from learnedrecon.testing import Report

Verbose = Annotated[
    bool, typer.Option("--verbose", help="Print every property with its deviation.")
]

app = typer.Typer(no_args_is_help=True)


@app.callback()
def check() -> None:
    """Check data, an operator or a model."""


@app.command()
def data(  # noqa: PLR0913 - one argument for each option of the command
    file: Annotated[Path, typer.Argument(help="File, or folder of measurements and true images.")],
    *,
    geometry: Geometry = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Key of the data set in an HDF5 file.")
    ] = None,
    write_geometry: Annotated[
        Path | None,
        typer.Option("--write-geometry", metavar="G.yaml", help="Write a geometry template."),
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
    """Describe a file or folder of data: its content, missing parts and next steps.

    With flats or angles a file is a raw scan, and the geometry has its angles. With --geometry,
    which may also be a configuration or a run folder, data are compared with those of the true
    images: as they are, reversed, in other units, of scans that turn the other way.
    """
    from learnedrecon.experiments.checking import check_data

    raw = raw_input(
        (flats, darks),
        counts=counts,
        transmission=transmission,
        rows=(row, rows),
        theta=(theta, degrees),
        corrections=(bad_pixels, rings),
    )
    view = check_data(
        file, operator=geometry, key=key, raw=raw, write_geometry=write_geometry, force=force
    )
    for line in view.lines:
        echo(line)
    if write_geometry is not None:
        note(f"Wrote {write_geometry}: write values in place of FILL_IN.")
    if not view.usable:
        raise typer.Exit(1)


@app.command()
def operator(
    file: Annotated[Path, typer.Argument(help="Configuration, geometry file or run folder.")],
    *,
    verbose: Verbose = False,
) -> None:
    """Check the adjoint, linearity and derivatives of an operator, in both precisions."""
    from learnedrecon.experiments.checking import check_operator

    for dtype, report in check_operator(file).items():
        show(report, str(dtype), verbose=verbose)
    echo("Everything that was checked holds.")


@app.command()
def model(
    file: Annotated[Path, typer.Argument(help="Run folder or weights file.")],
    *,
    verbose: Verbose = False,
) -> None:
    """Check a model: independence of samples, gradients, saving and loading."""
    from learnedrecon.experiments.checking import check_model

    show(check_model(file), str(file), verbose=verbose)
    echo("Everything that was checked holds.")


def show(report: "Report", what: str, *, verbose: bool) -> None:
    """Prints a report in one line, or also as a table.

    Args:
        report: Report of a check.
        what: Name of the checked object.
        verbose: True for the table.
    """
    from rich.table import Table

    held = len(report.findings) - len(report.skipped)
    skipped = f", {len(report.skipped)} do not apply" if report.skipped else ""
    echo(f"{report.subject}, {what}: {held} properties hold{skipped}.")
    if not verbose:
        return
    table = Table(title=f"{report.subject}, {what}", title_justify="left")
    for name in ("property", "deviation", "at most"):
        table.add_column(name, justify="left" if name == "property" else "right")
    for name, measured, tolerance, reason in report.findings:
        if measured is None or tolerance is None:
            table.add_row(name, "-", f"not checked: {reason}")
        else:
            table.add_row(name, f"{measured:.1e}", f"{tolerance:.0e}")
    results().print(table)
