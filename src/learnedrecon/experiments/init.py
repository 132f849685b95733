"""Initial configurations: of a preset, or for a folder of the user's own images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from learnedrecon.errors import ConfigError, describe
from learnedrecon.experiments.folder_config import config_text
from learnedrecon.experiments.presets import preset_text
from learnedrecon.files import plan_outputs, write_text

if TYPE_CHECKING:
    import os


def init_config(
    output: str | os.PathLike[str],
    preset: str | None = None,
    *,
    source: str | os.PathLike[str] | None = None,
    kind: str | None = None,
    force: bool = False,
) -> str:
    """Writes a commented configuration: of a preset, or for a folder of images.

    Args:
        output: Path of the YAML file to write.
        preset: Name of a preset, see :func:`presets`.
        source: Path of a folder or HDF5 file with pairs, or with true images only, which are then
            measured by simulation; or of files with k-space, or of magnitude images in NIfTI or
            DICOM.
        kind: "kspace" or "pairs", the content of that folder; None to find out.
        force: True if the file may be overwritten.

    Returns:
        Text of the configuration, with FILL_IN for unknown values.

    Raises:
        ConfigError: Not exactly one of preset and source is given, there is no such preset, or the
            file exists.
        DataError: The folder contains nothing to learn from.
    """
    if (preset is None) == (source is None):
        raise ConfigError(
            describe(
                expected="a preset or --from FOLDER",
                found="neither" if preset is None else "both",
                fix="write for example 'learnedrecon init ellipses-filtered-lpd'; --list shows all",
            )
        )
    text = "" if preset is None else preset_text(preset)
    plan_outputs([output], inputs=[] if source is None else [source], force=force)
    if source is not None:
        text = config_text(Path(source), Path(output), kind)
    write_text(output, text)
    return text
