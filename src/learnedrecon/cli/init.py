"""`learnedrecon init`: write a configuration to start from."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from learnedrecon.cli.options import note
from learnedrecon.errors import ConfigError, describe
from learnedrecon.files import refuse_overwriting, write_text


def init(
    preset: Annotated[
        str | None, typer.Argument(metavar="[PRESET]", help="One of those that --list shows.")
    ] = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path(
        "config.yaml"
    ),
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Your own pairs, or your own true images."),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the presets and exit.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a commented configuration: of a preset, or for a folder of your own images.

    A folder holds 'measurement/' and 'truth/' with files of the same names (npy, TIFF, PNG, HDF5),
    or true images alone, which are then measured by simulation. True images may be CT slices in
    DICOM (.dcm), which become attenuation in 1/mm.
    """
    if show:
        for name, summary in presets().items():
            typer.echo(f"{name:28} {summary}")
        return
    if (preset is None) == (source is None):
        raise ConfigError(
            describe(
                expected="a preset or --from FOLDER",
                found="neither" if preset is None else "both",
                fix="write for example 'learnedrecon init ellipses-filtered-lpd'; --list shows all",
            )
        )
    text = "" if preset is None else preset_text(preset)
    refuse_overwriting(output, force=force)
    if source is not None:
        from learnedrecon.experiments.folder_config import config_text

        text = config_text(source, output)
    write_text(output, text)
    note(f"Wrote {output}. Next: learnedrecon train {output} -o runs/{output.stem}")
    if "FILL_IN" in text:
        note(f"First write values in place of FILL_IN in {output}.")


def presets() -> dict[str, str]:
    """The name and the title of every preset."""
    folder = files("learnedrecon.config") / "presets"
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".yaml"))
    return {
        name.removesuffix(".yaml"): (folder / name).read_text(encoding="utf-8").split("\n")[0][2:]
        for name in names
    }


def preset_text(name: str) -> str:
    """The commented YAML of a preset.

    Raises:
        ConfigError: there is none of this name; the nearest is named.
    """
    known = presets()
    if name not in known:
        from learnedrecon.specs import unknown

        raise unknown("a preset", name, known)
    file = files("learnedrecon.config") / "presets" / f"{name}.yaml"
    return file.read_text(encoding="utf-8")
