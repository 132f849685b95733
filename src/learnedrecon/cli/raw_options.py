"""Options of the commands that read raw scans: frames, rows, angles and corrections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from learnedrecon.data.files.angles import Unit
    from learnedrecon.experiments.raw import RawInput

_PANEL = "Raw data"

Flats = Annotated[
    list[str] | None,
    typer.Option(
        "--flats",
        metavar="FILE[:KEY]",
        help="Frames without the object: a file, a folder of pictures, or a data set of an HDF5 "
        "file; repeatable. Their mean is used.",
        rich_help_panel=_PANEL,
    ),
]
Darks = Annotated[
    list[str] | None,
    typer.Option(
        "--darks",
        metavar="FILE[:KEY]",
        help="Frames without the beam likewise; 0 where there are none.",
        rich_help_panel=_PANEL,
    ),
]
Counts = Annotated[
    bool,
    typer.Option(
        "--counts", help="FILE has counts, as it does with --flats.", rich_help_panel=_PANEL
    ),
]
Transmission = Annotated[
    bool,
    typer.Option(
        "--transmission",
        help="FILE has shares of the beam, 1 where nothing is in the way. Without flats and "
        "without this, numbers are taken as line integrals.",
        rich_help_panel=_PANEL,
    ),
]
Row = Annotated[
    int | None,
    typer.Option("--row", metavar="N", help="The detector row, from 0.", rich_help_panel=_PANEL),
]
Rows = Annotated[
    str | None,
    typer.Option(
        "--rows",
        metavar="A:B",
        help="Detector rows A to B-1: a stack of slices, or the rows of a volume's geometry.",
        rich_help_panel=_PANEL,
    ),
]
Angles = Annotated[
    str | None,
    typer.Option(
        "--theta",
        metavar="FILE[:KEY]",
        help="Angles, one a line (txt, csv), or an array in npy or HDF5; in place of those of the "
        "geometry.",
        rich_help_panel=_PANEL,
    ),
]
Degrees = Annotated[
    bool | None,
    typer.Option("--degrees/--radians", help="Unit of --theta.", rich_help_panel=_PANEL),
]
BadPixels = Annotated[
    str | None,
    typer.Option(
        "--bad-pixels",
        metavar="auto|FILE|none",
        help="Dead, nearly dead, hot and noisy detector pixels, which are interpolated: found "
        "(counts, by default), those of a mask, or none (line integrals, by default).",
        rich_help_panel=_PANEL,
    ),
]
Rings = Annotated[
    str,
    typer.Option(
        "--rings",
        metavar="mean|sorting|none",
        help="Remove stripes of the sinogram, which are rings in the image: by their mean over the "
        "views (Boin and Haibel 2006) or by sorting (Vo et al. 2018).",
        rich_help_panel=_PANEL,
    ),
]


def raw_input(
    frames: tuple[list[str] | None, list[str] | None],
    *,
    counts: bool,
    transmission: bool,
    rows: tuple[int | None, str | None],
    theta: tuple[str | None, bool | None],
    corrections: tuple[str | None, str],
) -> RawInput:
    """Raw input that the options describe.

    Args:
        frames: --flats and --darks.
        counts: --counts.
        transmission: --transmission.
        rows: --row and --rows.
        theta: --theta, and whether it has --degrees.
        corrections: --bad-pixels and --rings.

    Raises:
        ConfigError: Options that exclude each other, or rows that are none.
    """
    from learnedrecon.errors import ConfigError, describe
    from learnedrecon.experiments.raw import RawInput, Theta

    if counts and transmission:
        raise ConfigError(
            describe(expected="--counts or --transmission", found="both", fix="omit one of them")
        )
    source, degrees = theta
    if source is None and degrees is not None:
        raise ConfigError(
            describe(
                expected="--theta FILE with --degrees or --radians",
                found="the unit alone",
                fix="name the file of the angles, or omit the unit",
            )
        )
    unit: Unit | None = None if degrees is None else "degrees" if degrees else "radians"
    flats, darks = (tuple(each or ()) for each in frames)
    return RawInput(
        flats,
        darks,
        "counts" if counts else "transmission" if transmission else None,
        _rows(*rows),
        None if source is None else Theta(source, unit),
        *corrections,
    )


def again(raw: RawInput) -> str:
    """Options for a command that reads the same scan with a geometry that has its angles.

    Args:
        raw: Raw input of the first command.
    """
    words = [f"--flats {each}" for each in raw.flats] + [f"--darks {each}" for each in raw.darks]
    words += [] if raw.values is None else [f"--{raw.values}"]
    words += [] if raw.rows is None else [f"--rows {raw.rows[0]}:{raw.rows[1]}"]
    words += [] if raw.bad_pixels is None else [f"--bad-pixels {raw.bad_pixels}"]
    words += [] if raw.rings == "none" else [f"--rings {raw.rings}"]
    return "".join(f" {word}" for word in words)


def _rows(row: int | None, rows: str | None) -> tuple[int, int] | None:
    """From the first row to before the last one."""
    from learnedrecon.errors import ConfigError, describe

    if row is None and rows is None:
        return None
    parts = (rows or "").split(":")
    whole = [int(part) for part in parts if part.strip().isascii() and part.strip().isdigit()]
    one = row is not None and rows is None and row >= 0
    many = row is None and len(parts) == len(whole) == 2 and whole[0] < whole[1]
    if not (one or many):
        raise ConfigError(
            describe(
                expected="--row N, or --rows A:B with 0 <= A < B",
                found=" ".join(
                    f"{name} {value}"
                    for name, value in (("--row", row), ("--rows", rows))
                    if value is not None
                ),
                fix="count the detector rows from 0; B is the first that is left out",
            )
        )
    return (row, row + 1) if row is not None else (whole[0], whole[1])
