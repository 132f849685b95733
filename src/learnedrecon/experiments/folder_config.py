"""Configurations for folders of the user's own data."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from learnedrecon.config.yaml_file import FILL_IN, dump_operator
from learnedrecon.data.files.dicom import WATER
from learnedrecon.data.kspace.folder import holds_kspace, holds_magnitude_scans
from learnedrecon.data.layout import find_layout
from learnedrecon.data.pairs import read_geometry
from learnedrecon.data.registry import DATASETS, build_dataset
from learnedrecon.data.splits import NUMBERED
from learnedrecon.data.summary import FolderSummary, inspect_folder
from learnedrecon.data.yaml_text import load_yaml
from learnedrecon.errors import ConfigError, DataError, ShapeError, describe, encodable
from learnedrecon.experiments.folder_lines import folder_lines
from learnedrecon.experiments.geometry_text import geometry_text, nested, simulated_geometry_text
from learnedrecon.experiments.kspace_config import kspace_config
from learnedrecon.experiments.published import published_config, recognised
from learnedrecon.experiments.text import TRAINING, one_line, quoted
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.specs import named_from_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.data.summary import ArraySummary
    from learnedrecon.experiments.published import Published

_LOG = logging.getLogger(__name__)

_TEMPLATE = """\
# A run on your own images in {path}
#
# Train:        learnedrecon train {file} -o runs/{stem}
{seen}

operator:
{operator}
model:
  name: filtered_primal_dual # learned primal-dual that also sees the filtered residual
  iterations: 6
  hidden: 16
{scale}# the size of a typical image value: the largest in the folder

# A sample's split is decided by a hash of its group: its name by default, and its patient in
# DICOM. If several samples show one object, as the slices of a volume do, 'group' must say so, or
# the test is on objects that were learned from. It is a regular expression: samples in whose names
# it finds the same are one group. This one finds the name without the number at its end.
# A relative path is taken from the folder of this file.
data:
  train: &samples
    name: pairs
    path: {source}
    split: train
    # group: '{group}'
  validation: {{<<: *samples, split: validation}}
  test: {{<<: *samples, split: test}}
{simulation}
{training}  batch_size: 4
"""
_SIMULATION = """\
  simulation:                # the folder has true images alone: they are measured like this
    # level is the standard deviation over mean |y|
    noise: {{name: relative_gaussian, level: 0.025}}
    # Images are enlarged to this before they are projected: data made with the very pixels that
    # are reconstructed would be too easy (the "inverse crime").
    grid: [{ny}, {nx}]
"""


def config_text(path: Path, output: Path, kind: str | None = None) -> str:
    """The YAML of a run on a folder, with FILL_IN for unknown values.

    A summary of the folder is logged.

    Args:
        path: Path of the folder, or of an HDF5 file.
        output: Path that the configuration will have.
        kind: "kspace" or "pairs", the content of the folder; None to find out.

    Raises:
        ConfigError: The kind is unknown.
        FileFormatError: There is no such path, or an HDF5 file does not have the keys.
        DataError: Arrays are broken, partners are missing, or there is nothing to learn from.
        ShapeError: Images are not two-dimensional, or measurements have several shapes.
    """
    return _by_kind(kind or _kind_of(path))(path, output)


def _kind_of(path: Path) -> str:
    is_mri = path.exists() and (holds_kspace(path) or holds_magnitude_scans(path))
    return "kspace" if is_mri else "pairs"


def _by_kind(kind: str) -> Callable[[Path, Path], str]:
    if kind not in KINDS:
        raise ConfigError(
            describe(
                expected=f"a kind of folder out of {', '.join(KINDS)}",
                found=kind,
                fix="choose one of these, or omit it",
            )
        )
    return KINDS[kind]


def _pairs_config(path: Path, output: Path) -> str:
    found = recognised(path)
    if found is not None:
        return _published_text(path, output, found)
    summary = inspect_folder(path)
    for line in folder_lines(summary):
        _LOG.info(encodable(line))
    _refuse_unusable(summary)
    for line in _pixel_lines(path):
        _LOG.info(encodable(line))
    return _text(path, output, summary)


KINDS: Final[dict[str, Callable[[Path, Path], str]]] = {
    "kspace": kspace_config,
    "pairs": _pairs_config,
}
"""Configurations by the content of a folder."""


def _published_text(path: Path, output: Path, found: Published) -> str:
    """Of a published dataset, if it has images to learn from."""
    for line in found.lines:
        _LOG.info(encodable(line))
    if found.dataset is None:
        raise DataError(
            describe(
                expected=f"true images to learn from in {path}",
                found=f"a scan of {found.title} without any",
                fix="name the folder of the slices, with the reference reconstructions beside the "
                "data, or reconstruct this one",
            )
        )
    return published_config(path, output, found)


def try_config(path: Path, summary: FolderSummary) -> None:
    """A test of the configuration of a folder, with its datasets, as far as nothing is missing.

    Args:
        path: Path of the folder.
        summary: Summary of the folder.

    Raises:
        LearnedReconError: 'init' or 'train' would fail for the same reason.
    """
    _refuse_unusable(summary)
    text = _text(path, Path("config.yaml"), summary)
    if FILL_IN not in text:
        values = load_yaml(text)
        operator = named_from_plain(OPERATORS, values["operator"], "operator")
        for split in ("train", "validation"):
            build_dataset(named_from_plain(DATASETS, values["data"][split], "data"), operator)


def _text(path: Path, output: Path, summary: FolderSummary) -> str:
    assert summary.truth is not None
    shape = _image_shape(summary.truth)
    several = len(summary.truth.shapes) > 1
    operator = _operator_text(path, summary, shape)
    seen = [*folder_lines(summary), *_dicom_lines(path)]
    source = quoted(str(path.resolve()))
    if several:
        source += "\n    image_shapes: each"
    largest = max(abs(summary.truth.low or 0.0), abs(summary.truth.high or 0.0)) or 1.0
    value = f"{largest:.3g}" if "." in f"{largest:.3g}" else f"{float(f'{largest:.3g}')}"
    return _TEMPLATE.format(
        training=TRAINING,
        file=one_line(str(output)),
        stem=one_line(output.stem),
        path=one_line(str(path)),
        seen="\n".join(f"# {one_line(line)}" for line in seen),
        operator=nested(operator),
        scale=f"{f'  image_scale: {value}':<28} ",
        source=source,
        group=NUMBERED,
        simulation="" if summary.measurement is not None else _simulation_text(summary.truth),
    )


def _simulation_text(truth: ArraySummary) -> str:
    """On twice as many pixels along each side as the largest image has."""
    ny, nx = (max(shape[axis] for shape, _ in truth.shapes) for axis in (-2, -1))
    return _SIMULATION.format(ny=2 * ny, nx=2 * nx)


def _operator_text(path: Path, summary: FolderSummary, shape: tuple[int, int]) -> str:
    geometries = find_layout(path).geometries
    if geometries:
        return dump_operator(read_geometry(next(iter(geometries.values()))))
    if summary.measurement is None:
        return simulated_geometry_text(shape, _pixel_size(path))
    shapes = [each for each, _ in summary.measurement.shapes]
    if len({each[-2:] for each in shapes}) > 1 or len(shapes[0]) < 2:
        raise ShapeError(
            describe(
                expected=f"measurements (angle, detector) of one shape in {path}",
                found=", ".join(map(str, shapes)),
                fix="give samples of other scans their own geometry/<name>.yaml",
            )
        )
    angles, pixels = shapes[0][-2:]
    return geometry_text((angles, pixels), shape=shape)


def _dicom_lines(path: Path) -> tuple[str, ...]:
    """A note on the unit of slices in DICOM, if there are any."""
    if not any(truth.is_dicom for truth in find_layout(path).truths.values()):
        return ()
    return (f"DICOM is read as attenuation, {WATER} (1 + HU/1000) in 1/mm, 0 where negative.",)


def _pixel_size(path: Path) -> tuple[float, float] | None:
    """The pixel size that most of the images have, (dy, dx) in mm; None where no file says it."""
    known = [size for size, _ in _pixel_sizes(path).most_common() if size is not None]
    return known[0] if known else None


def _pixel_sizes(path: Path) -> Counter[tuple[float, float] | None]:
    return Counter(truth.pixel_size() for truth in find_layout(path).truths.values())


def _pixel_lines(path: Path) -> tuple[str, ...]:
    size = _pixel_size(path)
    if size is None or len(_pixel_sizes(path)) == 1:
        return ()
    dy, dx = size
    most = f"Not every file has pixels of {dy:g} x {dx:g} mm, as most have"
    return (f"{most}: all are measured as if they had.",)


def _image_shape(truth: ArraySummary) -> tuple[int, int]:
    shapes = [each for each, _ in truth.shapes]
    wrong = [each for each in shapes if len(each) != 2 and each[:-2] != (1,)]
    if wrong:
        raise ShapeError(
            describe(
                expected="true images of two axes",
                found=", ".join(map(str, wrong)),
                fix="store one slice in each file, without colours",
            )
        )
    ny, nx = shapes[0][-2:]
    return ny, nx


def _refuse_unusable(summary: FolderSummary) -> None:
    if not summary.usable:
        raise DataError(
            describe(
                expected=f"whole arrays with partners of the same name in {summary.path}",
                found="; ".join((*summary.unmatched, *summary.problems)[:3]).rstrip("."),
                fix="repair, add or remove these; 'learnedrecon check data' lists them all",
            )
        )
    if summary.truth is not None and len(summary.ids) < 2:
        raise DataError(
            describe(
                expected=f"at least two samples in {summary.path}, to train and to validate on",
                found=f"{len(summary.ids)}",
                fix="add images; with three or more, some are left for the test",
            )
        )
    if summary.truth is None:
        raise DataError(
            describe(
                expected=f"true images to learn from in {summary.path}",
                found=f"{len(summary.ids)} measurements only",
                fix="add a folder 'truth', or reconstruct single files with 'fbp' or 'tv'",
            )
        )
