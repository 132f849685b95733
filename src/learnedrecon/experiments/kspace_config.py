"""Configurations for folders with k-space."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from learnedrecon.config.yaml_file import dump_operator
from learnedrecon.data.kspace.dataset import KSpaceSlices, KSpaceSpec, image_shape
from learnedrecon.data.kspace.folder import holds_kspace, kspace_folder
from learnedrecon.data.kspace.simulated import MagnitudeSimulation
from learnedrecon.errors import encodable
from learnedrecon.experiments.geometry_text import nested
from learnedrecon.experiments.text import TRAINING, one_line, quoted
from learnedrecon.operators.mri.cartesian_spec import Cartesian

if TYPE_CHECKING:
    from pathlib import Path

    from learnedrecon.data.kspace.header import KSpaceFile

_LOG = logging.getLogger(__name__)

_LEAST_LINES: Final = 8
"""Lines in the centre that a first configuration asks for, for coil maps."""

_TEMPLATE: Final = """\
# A run on k-space in {path}
#
# Train:        learnedrecon train {file} -o runs/{stem}
# Compare:      learnedrecon compare runs/{stem} zero_filled cg_sense tv wavelet_sense
{seen}

operator:                    # of most files; others follow from each file
{operator}
model:
  name: learned_proximal     # a step along T*(Tu - y), then a network, again and again
  iterations: 6
  hidden: 32
  image_scale: 1.0           # each file is divided by the size of its images

# Files are split by a hash of their names, or of 'patient_id' where they have one. If the official
# folders are there, name one as the 'path' of each section and set 'split: null'.
# In training each slice has many masks; in validation and test the mask of a file is drawn from
# its name, as fastMRI does. One acceleration, with its centre fraction, is drawn for each mask.
data:
  train: &samples
    name: kspace
    path: {source}
    split: train
    mask: {{name: random, accelerations: [4, 8], centre_fractions: [{fraction4}, {fraction8}]}}
    maps: {{kind: espirit, calibration: 24, kernel: 6}}
{simulation}    broken: {broken}             # or {other}, what happens at files that cannot be read
  validation: {{<<: *samples, split: validation}}
  test: {{<<: *samples, split: test}}

{training}  batch_size: 4
"""


def kspace_config(path: Path, output: Path) -> str:
    """The YAML of a run on a folder with k-space; its content is logged.

    Args:
        path: Path of the folder or file, with k-space or else with magnitude images, from which it
            is simulated.
        output: Path that the configuration will have.

    Raises:
        FileFormatError: There is no such path.
        DataError: No file is fully sampled.
        ShapeError: Single-coil and multi-coil files are in one folder.
    """
    simulation = None if holds_kspace(path) else MagnitudeSimulation()
    found = kspace_folder(path, simulation)
    whole = KSpaceSlices(KSpaceSpec(str(path), broken="skip", simulation=simulation)).files
    lines = _seen(whole, len(found.files), len(found.broken))
    for line in lines:
        _LOG.info(encodable(line))
    (shape, coils), _ = Counter((image_shape(file), file.coils) for file in whole).most_common(1)[0]
    columns = min(file.shape[3] for file in whole)
    return _TEMPLATE.format(
        path=one_line(str(path)),
        file=one_line(str(output)),
        stem=one_line(output.stem),
        seen="\n".join(f"# {one_line(line)}" for line in lines),
        operator=nested(dump_operator(Cartesian(shape, coils=coils))),
        source=quoted(str(path.resolve())),
        fraction4=_fraction(0.08, columns),
        fraction8=_fraction(0.04, columns),
        simulation=_simulation_lines(simulation),
        broken="skip" if found.broken else "refuse",
        other="refuse" if found.broken else "skip",
        training=TRAINING.replace("images: 100\n", "images: 1000\n", 1),
    )


def _simulation_lines(simulation: MagnitudeSimulation | None) -> str:
    if simulation is None:
        return ""
    values = ", ".join(f"{name}: {value}" for name, value in asdict(simulation).items())
    return f"    simulation: {{{values}}}  # of magnitude images; flatters a method\n"


def _seen(whole: tuple[KSpaceFile, ...], files: int, broken: int) -> tuple[str, ...]:
    slices = sum(file.shape[0] - len(file.empty) for file in whole)
    first = f"{len(whole)} of {files} files are fully sampled, with {slices} slices."
    referenced = sum(file.reference is not None for file in whole)
    names = " or ".join(sorted({file.reference for file in whole if file.reference}))
    which = f" ({names})" if names else ""
    second = f"{referenced} have reference images{which} for the scores of volumes."
    notes = sorted({note for file in whole for note in file.notes})
    return (first, second, *notes, *([f"{broken} cannot be read."] if broken else []))


def _fraction(published: float, columns: int) -> float:
    """The published centre fraction, or the least with enough lines for coil maps."""
    return max(published, round(_LEAST_LINES / columns + 0.005, 2))
