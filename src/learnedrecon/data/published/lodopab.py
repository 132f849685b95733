"""LoDoPaB-CT: simulated parallel-beam data of human chests, as published.

J. Leuschner, M. Schmidt, D. O. Baguer, P. Maass, "LoDoPaB-CT, a benchmark dataset for low-dose
computed tomography reconstruction", Scientific Data 8, 109 (2021), doi 10.5281/zenodo.3384092.

Images have 362² pixels of 26 cm and are divided by 81.35858/m, so that they lie in [0, 1]; data are
-ln(N/4096) divided by the same number, hence line integrals over metres. The geometry is that of
ODL: 1000 angles at the midpoints of equal parts of [0, π], 513 detector pixels over the diagonal
√2·26 cm, images u[ix, iy]. An array whose axes are read as (iy, ix), as here, is the mirror image
at the diagonal: its angles are π/2 - φ.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from learnedrecon.choices import require_choices
from learnedrecon.data.batch import Sample
from learnedrecon.data.datasets import SampleDataset, checked_index, image_tensor
from learnedrecon.data.files.arrays import array_header, numbers
from learnedrecon.data.files.hdf5 import get_dataset, open_hdf5, read_dataset
from learnedrecon.data.sections import in_section, share_images
from learnedrecon.data.seeds import Split
from learnedrecon.errors import DataError, ShapeError, describe, require
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.recorded import Record

SIDE: Final = 260.0
"""Side of an image in mm."""

SAMPLES: Final[dict[Split, int]] = {"train": 35820, "validation": 3522, "test": 3553}
"""Number of samples of each split; the last file of a split is filled up with others."""

MILLIMETRES: Final = 1000.0
"""What data over metres are multiplied by to be line integrals over millimetres."""

_KEY: Final = "data"
_NAME: Final = re.compile(r"(observation|ground_truth)_(train|validation|test)_(\d{3})\.(hdf5|h5)")


@dataclass(frozen=True)
class LodopabSpec:
    """LoDoPaB-CT in the files of its authors.

    Attributes:
        path: Folder with ``observation_train_000.hdf5``, ``ground_truth_train_000.hdf5`` and so on.
        split: "train", "validation" or "test", as published; None is the section of the
            configuration that it stands in, and "train" elsewhere.
        length: Number of samples from the first, or None for all.

    Raises:
        DataError: A length below 1.
    """

    path: str
    split: Split | None = None
    length: int | None = None

    def __post_init__(self) -> None:
        require_choices(self)
        require(
            self.length is None or self.length >= 1,
            DataError,
            expected="a length of at least 1, or none for all samples",
            found=f"length = {self.length}",
            fix="correct or omit it",
        )


class Part(NamedTuple):
    """Two files with the same samples.

    Attributes:
        observation: Measurements, (sample, angle, detector).
        truth: True images, (sample, row, column).
        number: Number of samples.
    """

    observation: Path
    truth: Path
    number: int


class Lodopab(SampleDataset):
    """LoDoPaB-CT. Images are as published; data are line integrals over millimetres.

    T(truth) is the data with :func:`geometry`, up to noise. Ids are like ``train-0000012``.

    Args:
        spec: Record of the dataset.

    Raises:
        FileFormatError: A file that cannot be read.
        DataError: No files of the split, or measurements without images.
        ShapeError: Unequal shapes.
    """

    def __init__(self, spec: LodopabSpec) -> None:
        self.spec = spec
        self.split: Split = spec.split or "train"
        self._parts = parts(spec.path, self.split)
        total = min(sum(part.number for part in self._parts), SAMPLES[self.split])
        self._length = total if spec.length is None else min(total, spec.length)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:
        place = number = checked_index(index, len(self))
        for part in self._parts:
            if place < part.number:
                break
            place -= part.number
        data = MILLIMETRES * _read(part.observation, place)
        return Sample(f"{self.split}-{number:07d}", data, _read(part.truth, place))


@in_section.register(LodopabSpec)
def _(spec: LodopabSpec, section: Split) -> LodopabSpec:
    return spec if spec.split is not None else LodopabSpec(spec.path, section, spec.length)


@share_images.register(LodopabSpec)
def _(one: LodopabSpec, other: Record) -> bool:
    """The splits of one folder share no image."""
    same = isinstance(other, LodopabSpec) and Path(one.path).resolve() == Path(other.path).resolve()
    return same and (one.split or "train") == (other.split or "train")


def splits(path: Path) -> tuple[Split, ...]:
    """The splits that a folder has files of; none where it is not LoDoPaB-CT.

    Args:
        path: The folder.
    """
    if not path.is_dir():
        return ()
    matches = [match for file in path.iterdir() if (match := _NAME.fullmatch(file.name))]
    found = {(match[1], match[2]) for match in matches}
    return tuple(s for s in SAMPLES if {("observation", s), ("ground_truth", s)} <= found)


def parts(path: str | Path, split: Split) -> tuple[Part, ...]:
    """The files of a split, in order.

    Args:
        path: The folder.
        split: Split of the dataset.

    Raises:
        FileFormatError: A file that cannot be read.
        DataError: None, or one without its partner.
        ShapeError: Unequal numbers of samples, or other shapes than in the first file.
    """
    folder = Path(path)
    matches = [match for f in sorted(folder.glob("*")) if (match := _NAME.fullmatch(f.name))]
    files = {
        kind: {
            match[3]: folder / match[0] for match in matches if match.group(1, 2) == (kind, split)
        }
        for kind in ("observation", "ground_truth")
    }
    observations, truths = files["observation"], files["ground_truth"]
    require(
        observations and observations.keys() == truths.keys(),
        DataError,
        expected=f"observation_{split}_000.hdf5 and ground_truth_{split}_000.hdf5 and so on in "
        f"{folder}",
        found=f"{len(observations)} and {len(truths)} files, without a partner: "
        f"{', '.join(sorted(observations.keys() ^ truths.keys())[:5]) or 'none'}",
        fix="unpack the archives of LoDoPaB-CT into one folder",
    )
    found = [_part(observations[number], truths[number]) for number in sorted(observations)]
    shapes = {each[1] for each in found}
    if len(shapes) > 1:
        raise ShapeError(
            describe(
                expected=f"one shape of data and images in {folder}",
                found=", ".join(map(str, sorted(shapes))),
                fix="keep the files of one dataset in the folder",
            )
        )
    return tuple(part for part, _ in found)


def geometry(path: str | Path, split: Split) -> ParallelBeam:
    """The published scan, for files of any size.

    Args:
        path: The folder.
        split: Split whose files have the sizes.

    Raises:
        FileFormatError: A file that cannot be read.
        DataError: No files of the split.
    """
    first = parts(path, split)[0]
    _, angles, pixels = array_header(first.observation, _KEY).shape
    _, ny, nx = array_header(first.truth, _KEY).shape
    detector = FlatDetector(pixels, math.sqrt(2.0) * SIDE / pixels)
    turn = AngleRange(angles, math.pi / 2, -math.pi)
    return ParallelBeam((ny, nx), turn, detector, (SIDE / ny, SIDE / nx))


def _part(observation: Path, truth: Path) -> tuple[Part, tuple[int, ...]]:
    one, other = (array_header(file, _KEY).shape for file in (observation, truth))
    require(
        len(one) == len(other) == 3 and one[0] == other[0] > 0,
        ShapeError,
        expected=f"(sample, angle, detector) in {observation.name} and as many (sample, row, "
        f"column) in {truth.name}",
        found=f"{one} and {other}",
        fix="download the files again",
    )
    return Part(observation, truth, one[0]), (*one[1:], *other[1:])


def _read(path: Path, index: int) -> Tensor:
    with open_hdf5(path) as file:
        values = read_dataset(get_dataset(file, _KEY), index)
    return image_tensor(numbers(values, f"{path}[{index}]"), str(path))[None]
