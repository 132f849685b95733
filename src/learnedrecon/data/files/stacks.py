"""Stacks of projections, from one file or from a folder of pictures, as they are stored."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learnedrecon.data.files.arrays import HDF5_ENDINGS, KEYED_ENDINGS, numbers, read_array
from learnedrecon.data.files.hdf5 import get_dataset, list_datasets, open_hdf5, read_dataset
from learnedrecon.data.files.png import read_png_integers
from learnedrecon.data.files.scan_frames import Rows, checked_rows
from learnedrecon.errors import FileFormatError, ShapeError, describe

if TYPE_CHECKING:
    import os

FloatArray = NDArray[np.float64]
_PICTURES: Final = (".tif", ".tiff", ".png", ".npy")


class Stack(NamedTuple):
    """Frames of a detector.

    Attributes:
        values: Float64 (frame, row, detector), or (frame, detector) where the file has two axes.
        rows: Number of rows that the file has; 1 for two axes.
    """

    values: FloatArray
    rows: int


class Source(NamedTuple):
    """Place of an array.

    Attributes:
        path: A file or a folder.
        key: Data set in an HDF5 file or array in npz, or None.
    """

    path: Path
    key: str | None = None


def source(text: str | os.PathLike[str]) -> Source:
    """A path, or FILE:KEY for an array in an HDF5 or npz file.

    Args:
        text: Text of the user.
    """
    endings = "|".join(re.escape(ending) for ending in sorted(KEYED_ENDINGS))
    match = re.fullmatch(rf"(?is)(.*(?:{endings})):(.+)", str(text))
    return Source(Path(match[1]), match[2]) if match else Source(Path(text))


def read_stack(path: str | os.PathLike[str], key: str | None = None, rows: Rows = None) -> Stack:
    """Reads frames in the numbers that are stored: PNG gives integers, not [0, 1].

    Args:
        path: A file with all frames, (frame, row, detector) or (frame, detector); or a folder with
            one TIFF, PNG or npy file (row, detector) for each frame, in the order of the numbers in
            their names.
        key: Data set in an HDF5 file or array in npz.
        rows: Detector rows to read of three axes, or None.

    Raises:
        FileFormatError: No such file or folder, nothing in it, or files that cannot be read.
        ShapeError: Another number of axes, pictures of several shapes, or a row that is not there.
        DataError: NaN or infinity.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path, rows)
    if path.suffix.lower() in HDF5_ENDINGS:
        return _hdf5(path, key, rows)
    values = read_png_integers(path) if path.suffix.lower() == ".png" else read_array(path, key)
    return _chosen(path, _real(values, path), rows)


def _folder(path: Path, rows: Rows) -> Stack:
    """One frame for each picture; all have one ending."""
    files = [f for f in path.iterdir() if f.suffix.lower() in _PICTURES and f.name[0] != "."]
    endings = sorted({file.suffix.lower() for file in files})
    if len(endings) != 1:
        raise FileFormatError(
            describe(
                expected=f"pictures of one kind ({', '.join(_PICTURES)}) in the folder {path}",
                found=f"the endings {', '.join(endings)}" if endings else "none",
                fix="put the projections into a folder of their own",
            )
        )
    frames, first = [], None
    for file in sorted(files, key=_natural):
        frame = read_stack(file).values
        first = frame.shape if first is None else first
        if frame.ndim != 2 or frame.shape != first:
            raise ShapeError(
                describe(
                    expected=f"pictures (row, detector) of one shape in {path}",
                    found=f"{first} and, in {file.name}, {frame.shape}",
                    fix="move what is no projection out of the folder",
                )
            )
        frames.append(frame[checked_rows(path, rows, len(frame))])
    return Stack(np.stack(frames), 0 if first is None else first[0])


def _hdf5(path: Path, key: str | None, rows: Rows) -> Stack:
    with open_hdf5(path) as file:
        datasets = list_datasets(file)
        if key is None and len(datasets) != 1:
            return _chosen(path, _real(read_array(path), path), rows)  # names what there is
        dataset = get_dataset(file, next(iter(datasets)) if key is None else key)
        shape = tuple(dataset.shape or ())
        if len(shape) != 3:
            return _chosen(path, _real(read_dataset(dataset), path), rows)
        part = (slice(None), checked_rows(path, rows, shape[1]))
        return Stack(_real(read_dataset(dataset, part), path), shape[1])


def _chosen(path: Path, values: FloatArray, rows: Rows) -> Stack:
    if values.ndim == 1:
        return Stack(values, 1)
    if values.ndim == 2:
        checked_rows(path, rows, 1)
        return Stack(values, 1)
    if values.ndim != 3:
        raise ShapeError(
            describe(
                expected=f"frames (frame, row, detector) or (frame, detector) in {path}",
                found=f"shape {values.shape}",
                fix="choose the data set of the frames",
            )
        )
    return Stack(values[:, checked_rows(path, rows, values.shape[1])], values.shape[1])


def _real(values: NDArray[Any], path: Path) -> FloatArray:
    finite = numbers(values, str(path))
    if finite.dtype.kind == "c":
        raise FileFormatError(
            describe(
                expected=f"real numbers in {path}",
                found=str(finite.dtype),
                fix="name the data set of the counts",
            )
        )
    return finite.astype(np.float64)


def _natural(file: Path) -> tuple[object, ...]:
    """Names in the order of the numbers in them: 2 before 10."""
    parts = re.split(r"(\d+)", file.name)
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)
