"""Folders of published datasets, recognised by the names of their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from learnedrecon.config.yaml_file import dump_operator
from learnedrecon.data.published import lodopab, two_detect
from learnedrecon.data.published.lodopab import Lodopab, LodopabSpec
from learnedrecon.data.published.two_detect import TwoDetect, TwoDetectSpec
from learnedrecon.data.registry import DATASETS, build_dataset
from learnedrecon.data.sections import in_section
from learnedrecon.data.yaml_text import load_yaml
from learnedrecon.errors import LearnedReconError
from learnedrecon.experiments.geometry_text import nested
from learnedrecon.experiments.text import TRAINING, one_line, quoted
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.specs import named_from_plain

if TYPE_CHECKING:
    from pathlib import Path

    from learnedrecon.data.datasets import SampleDataset
    from learnedrecon.recorded import Record

_VIEWS = 360
"""Views of 2DeteCT that a first configuration takes, of 3600."""

_TEMPLATE = """\
# A run on {title} in {path}
#
# Train:        learnedrecon train {file} -o runs/{stem}
{seen}

operator:                    # as published
{operator}
model:
  name: filtered_primal_dual # learned primal-dual that also sees the filtered residual
  iterations: 6
  hidden: 16
{scale}# the size of a typical image value: the largest of the first image

data:
  train: &samples
    name: {name}
    path: {source}
{more}    split: train
  validation: {{<<: *samples, split: validation}}
  test: {{<<: *samples, split: test}}

{training}  batch_size: 1
"""


class Published(NamedTuple):
    """A dataset that was recognised.

    Attributes:
        title: Name in words.
        lines: Sentences about the content.
        operator: Record of the published scan, or None where there are no images.
        name: Name of the registered dataset, or None likewise.
        more: Lines of YAML for its section.
        dataset: All of its first split, or None likewise.
    """

    title: str
    lines: tuple[str, ...]
    operator: Record = None
    name: str | None = None
    more: str = ""
    dataset: SampleDataset | None = None


def recognised(path: Path) -> Published | None:
    """The published dataset in a folder, or None.

    Args:
        path: A folder.

    Raises:
        FileFormatError: A file of the dataset cannot be read.
        DataError: A file without its partner.
        ShapeError: Files of unequal shapes.
    """
    found = _lodopab(path)
    if found is None and path.is_dir() and two_detect.is_mode_folder(path):
        found = Published("2DeteCT", _mode_lines(path))
    return _two_detect(path) if found is None else found


def published_config(path: Path, output: Path, found: Published) -> str:
    """The YAML of a run on a published dataset.

    Args:
        path: Its folder.
        output: The name that the configuration will have.
        found: Dataset that was recognised, with images.
    """
    assert found.dataset is not None
    truth = found.dataset[0].truth
    largest = 1.0 if truth is None else float(truth.abs().max()) or 1.0
    value = f"{largest:.3g}" if "." in f"{largest:.3g}" else f"{float(f'{largest:.3g}')}"
    return _TEMPLATE.format(
        training=TRAINING,
        title=found.title,
        path=one_line(str(path)),
        file=one_line(str(output)),
        stem=one_line(output.stem),
        seen="\n".join(f"# {one_line(line)}" for line in found.lines),
        operator=nested(dump_operator(found.operator)),
        scale=f"{f'  image_scale: {value}':<28} ",
        name=found.name if found.name is None or found.name[0].isalpha() else f'"{found.name}"',
        source=quoted(str(path.resolve())),
        more=found.more,
    )


def next_line(path: Path, output: Path, found: Published) -> str:
    """The command that goes on, which has been tried, or why there is none.

    Args:
        path: The folder of the dataset.
        output: A name for the configuration.
        found: Dataset that was recognised.
    """
    if found.dataset is None:
        return "Nothing can be learned from it as it is: there is no reference image."
    try:
        values = load_yaml(published_config(path, output, found))
        operator = named_from_plain(OPERATORS, values["operator"], "operator")
        for split in ("train", "validation"):
            build_dataset(named_from_plain(DATASETS, values["data"][split], "data"), operator)
    except LearnedReconError as error:
        return f"Nothing can be learned from it as it is: {error}"
    return f"Next: learnedrecon init --from {path} -o config.yaml"


def _lodopab(path: Path) -> Published | None:
    splits = lodopab.splits(path)
    if not splits:
        return None
    spec = LodopabSpec(str(path), splits[0])
    sets = {split: Lodopab(in_section(LodopabSpec(str(path)), split)) for split in splits}
    counts = ", ".join(f"{split} {len(each)}" for split, each in sets.items())
    scan = lodopab.geometry(path, splits[0])
    ny, nx = scan.shape
    angles, pixels = scan.data_shape
    sizes = f"{angles} angles, {pixels} detector pixels"
    lines = (
        f"{path}: LoDoPaB-CT, pairs: {counts}.",
        f"Images of {ny} x {nx} pixels and 26 cm, in [0, 1]; {sizes}.",
        "Data are line integrals over metres as published, over millimetres here.",
    )
    return Published("LoDoPaB-CT", lines, scan, "lodopab", dataset=Lodopab(spec))


def _two_detect(path: Path) -> Published | None:
    found = two_detect.slices(path)
    if not found:
        return None
    full = two_detect.geometry(path)
    every = max(1, full.data_shape[0] // _VIEWS)
    scan = two_detect.geometry(path, every)
    (views, pixels), (ny, nx) = full.data_shape, scan.shape
    lines = (
        f"{path}: 2DeteCT, {len(found)} slices with data and reference of mode 2.",
        f"{views} views of {pixels} pairs of detector pixels.",
        f"References of {ny} x {nx} pixels of {scan.pixel[0]:.5g} mm, here in 1/mm.",
    )
    dataset = TwoDetect(TwoDetectSpec(str(path), every=every))
    more = "    mode: 2                  # of the data: 1 is low dose\n"
    more += f"    every: {every:<18} # every how manyeth view\n"
    return Published("2DeteCT", lines, scan, "2detect", more, dataset)


def _mode_lines(path: Path) -> tuple[str, ...]:
    """Content of ``sliceNNNNN/modeK``, and the command that reconstructs it."""
    dark, flats = path / two_detect.DARK, [path / name for name in two_detect.FLATS]
    frames = " ".join([*(f"--flats {flat}" for flat in flats), f"--darks {dark}"])
    views, pixels = two_detect.sinogram_shape(path)
    source, behind = two_detect.SOURCE_ORIGIN, two_detect.SOURCE_DETECTOR
    file = path / two_detect.SINOGRAM
    size = f"{views} views of {pixels} detector pixels of {two_detect.DETECTOR_PIXEL} mm"
    return (
        f"{path}: a scan of 2DeteCT, {size}, with two flats and a dark; no image.",
        f"A fan beam over a full turn with both ends, in mm: source_origin {source},",
        f"origin_detector {behind - source:.6f}. 'check data {file}' with the same frames writes a",
        "geometry to fill in with --write-geometry G.yaml. Next:",
        f"  learnedrecon reconstruct fbp {file} {frames} --geometry G.yaml -o image.tif",
    )
