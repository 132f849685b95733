"""`learnedrecon check`: look at data, operators and models before trusting them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from learnedrecon.cli.options import note, results

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
def data(
    file: Annotated[
        Path, typer.Argument(help="A file, or a folder of measurements and true images.")
    ],
    *,
    key: Annotated[str | None, typer.Option("--key", help="The data set in an HDF5 file.")] = None,
    write_geometry: Annotated[
        Path | None,
        typer.Option("--write-geometry", metavar="G.yaml", help="Write a geometry to fill in."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the geometry.")] = False,
) -> None:
    """Say what is in a file or folder, what is missing, and how to go on."""
    from learnedrecon.errors import ShapeError, describe
    from learnedrecon.experiments.data_report import look_at
    from learnedrecon.experiments.geometry_text import geometry_file_text
    from learnedrecon.files import refuse_overwriting, write_text

    if write_geometry is not None:
        refuse_overwriting(write_geometry, force=force)
    view = look_at(file, key)
    for line in view.lines:
        typer.echo(line)
    if write_geometry is not None:
        if view.geometry is None:
            raise ShapeError(
                describe(
                    expected=f"a measurement (angle, detector) in {file}",
                    found="none",
                    fix="name the file of a measurement, and its data set with --key",
                )
            )
        write_text(write_geometry, geometry_file_text(view.geometry, file))
        note(f"Wrote {write_geometry}: write values in place of FILL_IN.")
    if not view.usable:
        raise typer.Exit(1)


@app.command()
def operator(
    file: Annotated[
        Path, typer.Argument(help="A configuration, a geometry file, or a run folder.")
    ],
    *,
    verbose: Verbose = False,
) -> None:
    """Check the adjoint, linearity and derivatives of an operator, in both precisions."""
    import torch

    from learnedrecon import specs
    from learnedrecon.config.yaml_file import read_operator
    from learnedrecon.operators.registry import OPERATORS
    from learnedrecon.testing import check_operator

    spec = read_operator(file)
    for dtype in (torch.float64, torch.float32):
        report = check_operator(specs.build(OPERATORS, spec).to(dtype))
        show(report, str(dtype), verbose=verbose)
    typer.echo("Everything that was checked holds.")


@app.command()
def model(
    file: Annotated[Path, typer.Argument(help="A run folder, or a weights file.")],
    *,
    verbose: Verbose = False,
) -> None:
    """Check that a model treats samples alone, trains everywhere, and survives being stored."""
    from learnedrecon.experiments.method import open_run, open_weights
    from learnedrecon.testing import check_reconstructor

    method = open_run(file)[0] if file.is_dir() else open_weights(file)
    report = check_reconstructor(method.model, example(method), tolerance=1e-4)
    show(report, method.label, verbose=verbose)
    typer.echo("Everything that was checked holds.")


def example(method: Any) -> Any:  # noqa: ANN401 - a Method and a Problem, imported below
    """Two phantoms of the right size, measured by the operator of the training."""
    import torch

    from learnedrecon.data.phantoms.shepp_logan import shepp_logan
    from learnedrecon.problem import InverseProblem

    operator = method.operator
    ny, nx = operator.domain.shape
    phantom = torch.from_numpy(shepp_logan((ny, nx)))[None]
    images = (method.model.image_scale or 1.0) * torch.stack([phantom, phantom.flip(-1)])
    method.model.cpu()
    return InverseProblem(operator, operator(images))


def show(report: "Report", what: str, *, verbose: bool) -> None:
    """Prints a report in a line, or also as a table."""
    from rich.table import Table

    held = len(report.findings) - len(report.skipped)
    skipped = f", {len(report.skipped)} do not apply" if report.skipped else ""
    typer.echo(f"{report.subject}, {what}: {held} properties hold{skipped}.")
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
