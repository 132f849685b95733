"""`learnedrecon reconstruct`: images from measurements."""

from pathlib import Path
from typing import Annotated

import typer

from learnedrecon.cli.options import Device, Force, Geometry, echo
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


def reconstruct(  # noqa: PLR0913 - one argument for each option of the command
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Run folder, weights file, or method without weights, such as 'fbp', 'tv'.",
        ),
    ],
    file: Annotated[
        Path,
        typer.Argument(
            help="The measurement: npy, npz, TIFF, PNG, HDF5, Data Exchange, NXtomo, fastMRI, or a "
            "folder of projections."
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Image: npy, TIFF, PNG, HDF5; of k-space also NIfTI, DICOM.",
        ),
    ],
    geometry: Geometry = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Key of the data set in an HDF5 file.")
    ] = None,
    simulate: Annotated[
        bool,
        typer.Option(
            "--simulate",
            help="FILE is an image (also DICOM, NIfTI): simulate its measurement, then compare.",
        ),
    ] = False,
    weight: Annotated[
        float | None,
        typer.Option("--weight", help="Weight of total variation; 'compare' tunes it."),
    ] = None,
    signed: Annotated[
        bool | None,
        typer.Option(
            "--signed/--nonnegative",
            help="Total variation with or without negative values; the default is nonnegative. "
            "'compare' chooses by the true images.",
        ),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            "--window", metavar="hann|ram-lak", help="Window of the ramp filter of 'fbp'."
        ),
    ] = None,
    bandwidth: Annotated[
        str | None,
        typer.Option(
            "--bandwidth",
            metavar="auto|NUMBER",
            help="Cut-off of 'fbp' as a fraction of the Nyquist frequency. Without this and "
            "--window, it is Hann's window with the bandwidth that fits the noise.",
        ),
    ] = None,
    extrapolate: Annotated[
        str | None,
        typer.Option(
            "--extrapolate",
            metavar="auto|none|smooth|cylinder",
            help="Extrapolation of truncated projections by 'fbp'; auto is cylinder for data with "
            "truncation.",
        ),
    ] = None,
    scale: Annotated[
        float,
        typer.Option(
            "--scale",
            help="Size of the image relative to those that the model was trained on, such as 0.02 "
            "for attenuation in 1/mm and a model of phantoms in [0, 1].",
        ),
    ] = 1.0,
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
    patient: Annotated[
        Path | None,
        typer.Option(
            "--patient",
            metavar="FILE",
            help="DICOM file: patient and study of a .dcm output.",
        ),
    ] = None,
    anonymise: Annotated[
        bool,
        typer.Option("--anonymise", help="No patient in a .dcm output, and a new study."),
    ] = False,
    force: Force = False,
    device: Device = "auto",
) -> None:
    """Reconstruct an image from a measurement, with a trained model or without learning.

    The geometry is that of the training unless --geometry gives another one. Counts become line
    integrals by their flats and darks, which Data Exchange and NXtomo have with them; frames with
    three axes are (angle, row, detector). Of k-space all slices are reconstructed, with coil maps
    from its centre, and what made them is written beside them as JSON.
    """
    from learnedrecon.data.files.dicom_series import DicomIdentity
    from learnedrecon.experiments.reconstruction import reconstruct as reconstructed
    from learnedrecon.experiments.reconstruction import report

    asked = {
        "weight": weight,
        "nonnegative": None if signed is None else not signed,
        "window": window,
        "bandwidth": bandwidth,
        "extrapolate": extrapolate,
    }
    result = reconstructed(
        model,
        file,
        operator=geometry,
        output=output,
        arguments={name: value for name, value in asked.items() if value is not None},
        key=key,
        raw=raw_input(
            (flats, darks),
            counts=counts,
            transmission=transmission,
            rows=(row, rows),
            theta=(theta, degrees),
            corrections=(bad_pixels, rings),
        ),
        simulate=simulate,
        scale=scale,
        identity=DicomIdentity(patient, anonymise) if patient or anonymise else None,
        force=force,
        device=device,
    )
    for line in report(result):
        echo(line)
