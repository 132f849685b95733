"""`learnedrecon init`: initial configurations."""

from pathlib import Path
from typing import Annotated

import typer

from learnedrecon.cli.options import Force, echo, note


def init(
    preset: Annotated[
        str | None, typer.Argument(metavar="[PRESET]", help="Name of a preset, as --list shows.")
    ] = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path(
        "config.yaml"
    ),
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Folder of your own pairs or true images."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="kspace|pairs",
            help="Content of FOLDER; 'kspace' simulates k-space from PNG and npy images.",
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the presets and exit.")] = False,
    force: Force = False,
) -> None:
    """Write a commented configuration: of a preset, or for a folder of your own images.

    A folder holds 'measurement/' and 'truth/' with files of the same names (npy, TIFF, PNG, HDF5),
    or true images only, which are then measured by simulation. True images may be CT slices in
    DICOM (.dcm), which become attenuation in 1/mm. A folder may also hold k-space of MRI, or
    magnitude images in NIfTI or DICOM, from which k-space is simulated.
    """
    if show:
        from learnedrecon.experiments.presets import presets

        for name, summary in presets().items():
            echo(f"{name:28} {summary}")
        return
    from learnedrecon.experiments.init import init_config

    text = init_config(output, preset, source=source, kind=kind, force=force)
    note(f"Wrote {output}. Next: learnedrecon train {output} -o runs/{output.stem}")
    if "FILL_IN" in text:
        note(f"First write values in place of FILL_IN in {output}.")
