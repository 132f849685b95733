"""Slices of k-space as samples: undersampled data, true image, mask and coil maps."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from learnedrecon.choices import require_choices
from learnedrecon.data.batch import Sample
from learnedrecon.data.datasets import SampleDataset, checked_index
from learnedrecon.data.kspace.folder import kspace_folder
from learnedrecon.data.kspace.simulated import MagnitudeSimulation, note_simulation
from learnedrecon.data.kspace.slices import (
    CoilMapSpec,
    combined,
    file_scale,
    image_rows,
    maps_of,
    read_slice,
)
from learnedrecon.data.kspace.volumes import KSpaceVolume
from learnedrecon.data.sections import in_section, share_images
from learnedrecon.data.seeds import Split
from learnedrecon.data.splits import FRACTIONS, compiled, groups_by_name, split_ids
from learnedrecon.errors import ConfigError, DataError, ShapeError, describe, require
from learnedrecon.limits import MOST_SAMPLES, refuse_count
from learnedrecon.operators.mri.sampling import MaskSpec, RandomLines
from learnedrecon.operators.mri.sampling_lines import seed_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from learnedrecon.data.kspace.folder import FolderContent
    from learnedrecon.data.kspace.header import KSpaceFile
    from learnedrecon.data.kspace.slices import Slice
    from learnedrecon.recorded import Record

_LOG = logging.getLogger(__name__)

MASKS: Final = 64
"""Number of masks of every training slice, unless another is asked for."""


@dataclass(frozen=True)
class KSpaceSpec:
    """The configuration of :class:`KSpaceSlices`.

    Attributes:
        path: Path of the folder, or of one file.
        split: "train", "validation" or "test", by file; None for all files.
        mask: Family of undersampling masks, with its accelerations and centre fractions.
        masks: Number of masks of every slice. With 1, the mask of a file is drawn from its name, as
            in fastMRI's evaluation; with more, each is drawn from the name, the slice and its
            number. None for 64 in the section "train", and 1 in the others.
        maps: Computation of the coil maps.
        broken: "refuse" or "skip": reaction to files that cannot be read. Both name them.
        fractions: Fractions of the files for train, validation and test; their sum is 1.
        seed: Seed of the split, and of training masks.
        group: Regular expression. Files in whose names it finds the same are never split; files of
            one ``patient_id`` are not either way.
        slices: First slice and the one after the last of every file, or None for all.
        simulation: Simulation of k-space from magnitude images in NIfTI, DICOM, PNG or npy, which
            are then the files of the folder; None for files with k-space.

    Raises:
        ConfigError: Fractions, the group, the number of masks or the slices are not possible.
    """

    path: str
    split: Split | None = None
    mask: MaskSpec = field(default_factory=RandomLines)
    masks: int | None = None
    maps: CoilMapSpec = field(default_factory=CoilMapSpec)
    broken: Literal["refuse", "skip"] = "refuse"
    fractions: tuple[float, float, float] = FRACTIONS
    seed: int = 0
    group: str | None = None
    slices: tuple[int, int] | None = None
    simulation: MagnitudeSimulation | None = None

    def __post_init__(self) -> None:
        require_choices(self)
        if self.group is not None:
            compiled(self.group)
        object.__setattr__(self, "fractions", tuple(float(part) for part in self.fractions))
        good = len(self.fractions) == 3 and all(part >= 0 for part in self.fractions)
        require(
            good and math.isclose(sum(self.fractions), 1.0, abs_tol=1e-6),
            ConfigError,
            expected="three fractions for train, validation and test that add up to 1",
            found=f"fractions = {self.fractions}",
            fix="correct them, for example to [0.8, 0.1, 0.1]",
        )
        first, last = self.slices or (0, 1)
        require(
            (self.masks is None or self.masks >= 1) and 0 <= first < last and self.seed >= 0,
            ConfigError,
            expected="at least one mask, slices [first, end] with 0 <= first < end, a seed >= 0",
            found=f"masks = {self.masks}, slices = {self.slices}, seed = {self.seed}",
            fix="correct or omit them",
        )


@in_section.register(KSpaceSpec)
def _(spec: KSpaceSpec, section: Split) -> KSpaceSpec:
    if spec.masks is not None:
        return spec
    return replace(spec, masks=MASKS if section == "train" else 1)


@share_images.register(KSpaceSpec)
def _(one: KSpaceSpec, other: Record) -> bool:
    """Sections of one folder differ only as other splits by the same fractions and seed."""
    if not isinstance(other, KSpaceSpec) or _place(one) != _place(other):
        return False
    divided = None not in {one.split, other.split} and one.split != other.split
    law = [(each.fractions, each.seed, each.group) for each in (one, other)]
    return not (divided and law[0] == law[1])


def _place(spec: KSpaceSpec) -> Path:
    return Path(spec.path).resolve()


class _Item(NamedTuple):
    """A slice of a file."""

    file: KSpaceFile
    number: int


class KSpaceSlices(SampleDataset):
    """The slices of the files of a folder, undersampled by masks that are drawn.

    A sample has the k-space of a slice with its readout cropped, times a mask, (1, coil, ny, nx);
    the image of all of the slice's k-space, combined by the coil maps, (1, ny, nx), complex, and
    without noise where k-space is simulated; mask and maps. Data and image are divided by one
    number per file, see :func:`learnedrecon.data.kspace.slices.file_scale`, so that images are of
    size 1. Maps are those of the part of k-space that every mask of the family acquires. Slices of
    different shapes or coils are in different batches. Ids are like ``file1000001/012``.

    Files that are undersampled already have no true image, and are omitted.

    Args:
        spec: Folder, masks, maps and split.

    Raises:
        FileFormatError: There is no such path, or a file cannot be read.
        DataError: A file is broken and ``broken`` is "refuse", or a split has no files.
        ShapeError: Some files have one coil without an axis and others several.
    """

    def __init__(self, spec: KSpaceSpec) -> None:
        self.spec = spec
        self.files = _files(spec)
        first, last = spec.slices or (0, max(file.shape[0] for file in self.files))
        self._items = tuple(
            _Item(file, number)
            for file in self.files
            for number in range(first, min(last, file.shape[0]))
            if number not in file.empty
        )
        require(
            self._items,
            DataError,
            expected=f"slices {first} to {last - 1} in {spec.path}",
            found="files with fewer",
            fix="correct 'slices'",
        )
        self.masks = spec.masks or 1
        refuse_count(len(self._items) * self.masks, MOST_SAMPLES, "masks of all slices")

    def __len__(self) -> int:
        return len(self._items) * self.masks

    def __getitem__(self, index: int) -> Sample:
        number, which = divmod(checked_index(index, len(self)), self.masks)
        item = self._items[number]
        part = read_slice(item.file, item.number)
        _refuse_undersampled(part, item)
        centre = calibration(part, self.spec)
        scale = file_scale(item.file, centre)
        kspace = part.kspace / scale
        maps = None if part.spec.coils is None else maps_of(part.kspace, centre, self.spec.maps)
        mask = self._mask(part, item, which) & part.acquired
        clean = kspace if part.clean is None else part.clean / scale
        truth = combined(clean, maps)[None]
        return _sample(self._id(number, which), (kspace * mask, truth), mask, maps, part.spec)

    def _mask(self, part: Slice, item: _Item, which: int) -> Tensor:
        name = item.file.path.name
        if self.masks == 1:
            return self.spec.mask.draw(part.shape, name)
        words = seed_words(name)
        assert isinstance(words, tuple)
        seed = (*words, self.spec.seed % 2**32, item.number, which)
        return self.spec.mask.draw(part.shape, seed)

    def _id(self, number: int, which: int) -> str:
        item = self._items[number]
        name = slice_id(item.file, item.number)
        return name if self.masks == 1 else f"{name}/{which}"

    def _scale(self, file: KSpaceFile) -> float:
        middle = read_slice(file, file.shape[0] // 2)
        return file_scale(file, calibration(middle, self.spec))

    def buckets(self) -> Sequence[Sequence[int]]:
        groups: dict[object, list[int]] = {}
        for number, item in enumerate(self._items):
            key = (item.file.coils, item.file.shape[1:], item.file.matrix)
            own = range(number * self.masks, (number + 1) * self.masks)
            groups.setdefault(key, []).extend(own)
        return tuple(groups.values())

    def volumes(self) -> tuple[KSpaceVolume, ...]:
        if self.masks != 1:
            return ()
        numbers: dict[KSpaceFile, list[int]] = {}
        for item in self._items:
            numbers.setdefault(item.file, []).append(item.number)
        return tuple(
            KSpaceVolume(
                file,
                tuple(own),
                tuple(slice_id(file, n) for n in own),
                partial(self._scale, file),
            )
            for file, own in numbers.items()
        )


def calibration(part: Slice, spec: KSpaceSpec) -> tuple[int, int]:
    """The size (cy, cx) of the part of the centre that every mask acquires, at most that of maps.

    Args:
        part: Slice of k-space.
        spec: Masks and maps.
    """
    centre = spec.mask.centre(part.shape)
    return _side(centre[0], part, 0, spec), _side(centre[1], part, 1, spec)


def slice_id(file: KSpaceFile, number: int) -> str:
    """The name of a slice of a file.

    Args:
        file: Header of the file.
        number: Number of the slice.
    """
    return f"{file.path.stem}/{number:03d}"


def _sample(
    name: str, pair: tuple[Tensor, Tensor], mask: Tensor, maps: Tensor | None, spec: Record
) -> Sample:
    data, truth = pair
    if maps is None:
        return Sample(name, data, truth, tensors=(("mask", mask[None]),), spec=spec)
    tensors = (("mask", mask[None, None]), ("maps", maps[None]))
    return Sample(name, data[None], truth, tensors=tensors, spec=spec)


def _side(size: int, part: Slice, axis: int, spec: KSpaceSpec) -> int:
    """A side of the calibration region, with as many samples on both sides as a mask has."""
    length = part.shape[axis]
    size = min(size, spec.maps.calibration, length)
    return size - 1 if length % 2 and not size % 2 and size > 1 else size


def _refuse_undersampled(part: Slice, item: _Item) -> None:
    """Refuses columns without samples between others: the file has no true image."""
    there = part.acquired.any(dim=0).nonzero().flatten()
    inside = part.acquired[:, int(there[0]) : int(there[-1]) + 1]
    if not bool(inside.all()):
        raise DataError(
            describe(
                expected=f"fully sampled k-space in {item.file.path}, whose image is the truth",
                found=f"slice {item.number} with {100 * float(inside.float().mean()):.0f} % of its "
                "samples",
                fix="remove it from the folder; 'learnedrecon reconstruct' takes it",
            )
        )


def _files(spec: KSpaceSpec) -> tuple[KSpaceFile, ...]:
    """The usable files of the split."""
    found = kspace_folder(Path(spec.path), spec.simulation)
    if spec.simulation is not None:
        note_simulation(spec.path)
    if found.broken and spec.broken == "refuse":
        raise DataError(
            describe(
                expected=f"whole files in {spec.path}",
                found=f"{len(found.broken)} that cannot be read, {_names(found)}",
                fix="repair or remove them, or set 'broken: skip' to use the others",
            )
        )
    whole = tuple(file for file in found.files if file.mask is None or all(file.mask))
    _note_omitted(spec.path, _names(found), len(found.files) - len(whole))
    if not whole:
        raise DataError(
            describe(
                expected=f"fully sampled files with k-space in {spec.path}",
                found=f"{len(found.files)} undersampled and {len(found.broken)} broken ones",
                fix="name the folder of the training files; 'learnedrecon check data' shows each",
            )
        )
    if len({file.coils is None for file in whole}) > 1:
        raise ShapeError(
            describe(
                expected=f"files with an axis of coils in {spec.path}, or files without",
                found="both, single-coil and multi-coil",
                fix="put them into two folders",
            )
        )
    return _of_split(whole, spec)


def _names(found: FolderContent) -> str:
    """The first broken files, with what is wrong with them."""
    return "; ".join(f"{path.name}: {why}" for path, why in list(found.broken.items())[:4])


@lru_cache(maxsize=64)
def _note_omitted(path: str, broken: str, undersampled: int) -> None:
    """Says once which files of a folder are not used."""
    if broken:
        _LOG.warning("Broken files of %s are skipped. %s", path, broken)
    if undersampled:
        _LOG.info(
            "%d files of %s are undersampled, have no true image, and are omitted.",
            undersampled,
            path,
        )


def _of_split(files: tuple[KSpaceFile, ...], spec: KSpaceSpec) -> tuple[KSpaceFile, ...]:
    if spec.split is None:
        return files
    names = {file.path.stem: file for file in files}
    groups = {} if spec.group is None else groups_by_name(tuple(names), spec.group)
    if spec.group is None:
        patients = {name: dict(file.attributes).get("patient_id") for name, file in names.items()}
        groups = {name: patient for name, patient in patients.items() if patient}
    chosen = split_ids(tuple(names), spec.fractions, spec.seed, groups)[spec.split]
    if not chosen:
        raise DataError(
            describe(
                expected=f"at least one file of the split '{spec.split}' in {spec.path}",
                found=f"{len(files)} files in all, in groups that stay together: "
                f"{len({groups.get(name, name) for name in names})}, and fractions "
                f"{spec.fractions}",
                fix="add files, or change 'fractions' or 'group'",
            )
        )
    return tuple(names[name] for name in chosen)


def image_shape(file: KSpaceFile) -> tuple[int, int]:
    """The shape of the images of a file, with cropped readout and whole phase encoding.

    Args:
        file: Header of the file.
    """
    return image_rows(file), file.shape[3]
