"""2DeteCT: measured fan-beam data of fruits, nuts and stones, as published.

M. B. Kiss, S. B. Coban, K. J. Batenburg, T. van Leeuwen, F. Lucka, "2DeteCT - A large 2D
expandable, trainable, experimental Computed Tomography dataset for machine learning", Scientific
Data 10, 576 (2023). Constants and conventions are those of the authors'
``Reconstructions_2DeteCT.py`` (github.com/mbkiss/2DeteCTcodes, commit 4c70645).

A folder ``slice00001/mode2`` has ``sinogram.tif`` (3601 views of a full turn, both ends; 1912
pixels of 0.0748 mm), ``dark.tif``, ``flat1.tif`` and ``flat2.tif``; ``reconstruction.tif`` (1024²
pixels, in an archive of its own) is the reference. As the authors do, pairs of detector pixels are
added up, the last view is left out, and the detector of slices 1 to 2830 and 5521 to 5870 is
shifted by one added-up pixel. The reference, in 1/pixel, was cut one pixel beside the middle and
has its first row at the largest y: here it is in 1/mm, its first row is the lowest, and its first
two rows and columns are cut off, which puts the axis into the middle.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from learnedrecon.choices import require_choices
from learnedrecon.data.batch import Sample
from learnedrecon.data.datasets import SampleDataset, checked_index, image_tensor
from learnedrecon.data.files.arrays import array_header, read_array
from learnedrecon.data.raw.correction import RawScan, mean_frame
from learnedrecon.data.raw.masks import mending
from learnedrecon.data.sections import in_section, share_images
from learnedrecon.data.seeds import Split
from learnedrecon.data.splits import split_ids
from learnedrecon.errors import ConfigError, DataError, describe, require
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from learnedrecon.recorded import Record

SOURCE_ORIGIN: Final = 431.019989
SOURCE_DETECTOR: Final = 529.000488
DETECTOR_PIXEL: Final = 0.0748
"""Distances and the pitch of the detector in mm."""

SINOGRAM, DARK, FLATS, REFERENCE = (
    "sinogram.tif",
    "dark.tif",
    ("flat1.tif", "flat2.tif"),
    "reconstruction.tif",
)

_ADDED: Final = 2
_CUT: Final = 2
_SHIFTED: Final = ((1, 2830), (5521, 5870))
_BLOCK: Final = 50
_SLICE: Final = re.compile(r"slice(\d{5})")


@dataclass(frozen=True)
class TwoDetectSpec:
    """2DeteCT in the folders of its authors.

    Attributes:
        path: Folder with ``slice00001/mode1/sinogram.tif`` and so on.
        mode: Acquisition of the data: 1 low dose, 2 clean, 3 beam-hardened.
        reference_mode: Acquisition of the reference image.
        split: "train", "validation" or "test": 8, 1 and 1 of 10 blocks of 50 slices that follow
            each other; None is the section of the configuration, and every slice elsewhere.
        every: Step from one view that is taken to the next.
        bad_pixels: "auto", "none", or a mask in the folder, see ``--bad-pixels``.

    Raises:
        ConfigError: Another mode, or no views.
    """

    path: str
    mode: int = 2
    reference_mode: int = 2
    split: Split | None = None
    every: int = 1
    bad_pixels: str = "auto"

    def __post_init__(self) -> None:
        require_choices(self)
        require(
            {self.mode, self.reference_mode} <= {1, 2, 3} and self.every >= 1,
            ConfigError,
            expected="modes of 1 to 3, and every view or every k-th one",
            found=f"mode {self.mode}, reference_mode {self.reference_mode}, every {self.every}",
            fix="correct them",
        )


class TwoDetect(SampleDataset):
    """2DeteCT: line integrals, and references in 1/mm; see this module.

    Args:
        spec: Record of the dataset.

    Raises:
        FileFormatError: A file that cannot be read.
        DataError: No slice with data and reference.
    """

    def __init__(self, spec: TwoDetectSpec) -> None:
        self.spec = spec
        found = slices(Path(spec.path), spec.mode, spec.reference_mode)
        ids = tuple(found)
        if spec.split is not None:
            blocks = {name: f"{(_number(name) - 1) // _BLOCK}" for name in ids}
            ids = split_ids(ids, groups=blocks)[spec.split]
        require(
            ids,
            DataError,
            expected=f"slices with {SINOGRAM} in mode{spec.mode} and {REFERENCE} in "
            f"mode{spec.reference_mode} in {spec.path}"
            + ("" if spec.split is None else f", of the split '{spec.split}'"),
            found=f"none of {len(found)}" if found else "none",
            fix="unpack data and reference reconstructions into the same folder; a split needs "
            f"slices of several blocks of {_BLOCK}",
        )
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        name = self.ids[checked_index(index, len(self))]
        folder = Path(self.spec.path) / name
        data = line_integrals(folder / f"mode{self.spec.mode}", self.spec.bad_pixels)
        truth = reference(folder, self.spec.mode, self.spec.reference_mode)
        views = np.ascontiguousarray(data[:: self.spec.every])
        return Sample(
            name,
            image_tensor(views, f"{folder}")[None],
            image_tensor(truth, f"{folder}/{REFERENCE}")[None],
        )


@in_section.register(TwoDetectSpec)
def _(spec: TwoDetectSpec, section: Split) -> TwoDetectSpec:
    return spec if spec.split is not None else replace(spec, split=section)


@share_images.register(TwoDetectSpec)
def _(one: TwoDetectSpec, other: Record) -> bool:
    """The splits of one folder share no slice."""
    if not isinstance(other, TwoDetectSpec):
        return False
    same = Path(one.path).resolve() == Path(other.path).resolve()
    return same and (None in {one.split, other.split} or one.split == other.split)


def slices(path: Path, mode: int = 2, reference_mode: int = 2) -> dict[str, Path]:
    """The folders of slices that have data and a reference, by their names.

    Args:
        path: The folder of the slices.
        mode: Acquisition of the data.
        reference_mode: Acquisition of the reference.
    """
    if not path.is_dir():
        return {}
    return {
        folder.name: folder
        for folder in sorted(path.iterdir())
        if _SLICE.fullmatch(folder.name)
        and (folder / f"mode{mode}" / SINOGRAM).is_file()
        and (folder / f"mode{reference_mode}" / REFERENCE).is_file()
    }


def is_mode_folder(path: Path) -> bool:
    """True for a folder that has a sinogram with its dark and flats.

    Args:
        path: Path of the folder.
    """
    return all((path / name).is_file() for name in (SINOGRAM, DARK, *FLATS))


def sinogram_shape(folder: Path) -> tuple[int, ...]:
    """(view, detector) of the raw sinogram of a mode of a slice.

    Args:
        folder: Such as ``slice00001/mode2``.

    Raises:
        FileFormatError: The file cannot be read.
    """
    return array_header(folder / SINOGRAM).shape


def line_integrals(folder: Path, bad_pixels: str = "auto") -> NDArray[np.float64]:
    """The line integrals of a mode of a slice, (angle, detector), as the authors make them.

    Args:
        folder: Such as ``slice00001/mode2``.
        bad_pixels: "auto", "none", or a mask of the added-up pixels, relative to the folder of the
            slices.

    Raises:
        FileFormatError: A file is missing or cannot be read.
        ShapeError: An odd number of detector pixels, or frames that do not fit.
        DataError: A single view, or too many bad pixels.
    """
    counts = _added(folder / SINOGRAM)[:-1]
    require(
        len(counts) > 0,
        DataError,
        expected=f"views of a full turn with both ends in {folder / SINOGRAM}",
        found="one view",
        fix="download the file again",
    )
    shape = (1, counts.shape[1])
    white = mean_frame([_added(folder / name) for name in FLATS], shape, "flats")
    dark = mean_frame(_added(folder / DARK), shape, "darks")
    bad = mending(bad_pixels, shape, folder.parent.parent)
    values = RawScan(counts[:, None], white, dark).line_integrals(bad=bad).values[:, 0]
    return _shifted(values) if is_shifted(folder.parent.name) else values


def reference(folder: Path, mode: int = 2, reference_mode: int = 2) -> NDArray[np.float64]:
    """The reference image of a slice in 1/mm, its axis in the middle.

    Args:
        folder: Such as ``slice00001``.
        mode: Acquisition of the data, whose width gives the pixel size.
        reference_mode: Acquisition of the reference.

    Raises:
        FileFormatError: A file is missing or cannot be read.
        ShapeError: Not two axes.
    """
    image = read_array(folder / f"mode{reference_mode}" / REFERENCE, ndim=2).astype(np.float64)
    pixels = array_header(folder / f"mode{mode}" / SINOGRAM).shape[-1]
    return image[_CUT:, _CUT:][::-1] / pixel_size(pixels // _ADDED, image.shape[1])


def pixel_size(detector_pixels: int, image_pixels: int) -> float:
    """The pixel size of the reference in mm: the field of view over its pixels.

    Args:
        detector_pixels: Number of added-up detector pixels, 956 as published.
        image_pixels: Number of pixels along a side of the published image, 1024.
    """
    pitch = _ADDED * DETECTOR_PIXEL
    return detector_pixels * pitch * SOURCE_ORIGIN / SOURCE_DETECTOR / image_pixels


def geometry(path: str | Path, every: int = 1, mode: int = 2, reference_mode: int = 2) -> FanBeam:
    """The published scan, for files of any size.

    Args:
        path: The folder of the slices.
        every: Step from one view that is taken to the next.
        mode: Acquisition of the data.
        reference_mode: Acquisition of the reference.

    Raises:
        DataError: No slice.
        FileFormatError: A file that cannot be read.
    """
    found = slices(Path(path), mode, reference_mode)
    require(
        found,
        DataError,
        expected=f"a folder slice00001 with mode{mode}/{SINOGRAM} and "
        f"mode{reference_mode}/{REFERENCE} in {path}",
        found="none",
        fix="unpack the archives of 2DeteCT into one folder",
    )
    folder = next(iter(found.values()))
    views, pixels = array_header(folder / f"mode{mode}" / SINOGRAM).shape
    ny, nx = array_header(folder / f"mode{reference_mode}" / REFERENCE).shape
    step = 2 * math.pi / (views - 1)
    number = -(-(views - 1) // every)
    return FanBeam(
        (ny - _CUT, nx - _CUT),
        AngleRange(number, 0.0, (number - 1) * every * step, endpoint=True),
        FlatDetector(pixels // _ADDED, _ADDED * DETECTOR_PIXEL),
        SOURCE_ORIGIN,
        SOURCE_DETECTOR - SOURCE_ORIGIN,
        pixel_size(pixels // _ADDED, nx),
    )


def is_shifted(name: str) -> bool:
    """True for a slice whose detector is shifted by one added-up pixel.

    Args:
        name: Such as "slice00001"; other names are not.
    """
    return any(low <= _number(name) <= high for low, high in _SHIFTED)


def _number(name: str) -> int:
    match = _SLICE.fullmatch(name)
    return int(match[1]) if match else 0


def _added(path: Path) -> NDArray[np.float64]:
    """Counts (frame, detector) with pairs of detector pixels added up."""
    values: NDArray[Any] = np.atleast_2d(read_array(path)).astype(np.float64)
    if values.ndim != 2 or values.shape[1] % _ADDED:
        raise DataError(
            describe(
                expected=f"(view, detector) with an even number of detector pixels in {path}",
                found=f"shape {values.shape}",
                fix="take the published file, or reconstruct it with --flats and --darks",
            )
        )
    return values[:, 0::2] + values[:, 1::2]


def _shifted(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every pixel's value in the place of the one before; the last place keeps its own."""
    return np.concatenate([values[:, 1:], values[:, -1:]], axis=1)
