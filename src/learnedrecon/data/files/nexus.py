"""Scans in the application definition NXtomo of NeXus: all frames in one stack, with their kind.

``image_key`` says of each frame what it is: 0 a projection, 1 a flat, 2 a dark, 3 invalid.
https://manual.nexusformat.org/classes/applications/NXtomo.html
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import h5py
import numpy as np

from learnedrecon.data.files.angles import to_radians, unit_of
from learnedrecon.data.files.hdf5 import (
    get_dataset,
    get_item,
    list_datasets,
    listing,
    open_hdf5,
    read_dataset,
    reading,
    require_finite,
)
from learnedrecon.data.files.scan_frames import Rows, ScanFrames, checked_rows
from learnedrecon.errors import DataError, FileFormatError, ShapeError, describe

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

_KEY: Final = "image_key"
_ANGLE: Final = "rotation_angle"
_PROJECTION, _FLAT, _DARK = 0, 1, 2


def image_key_of(path: str | os.PathLike[str]) -> str | None:
    """The key of the kinds of frames in an HDF5 file; None where it is no NXtomo.

    Args:
        path: Path of the file.

    Raises:
        FileFormatError: No such file, not HDF5, or truncated.
    """
    with open_hdf5(path) as file:
        found = [name for name in list_datasets(file) if name.split("/")[-1] == _KEY]
    return min(found, key=lambda name: (name.count("/"), name), default=None)


def counts_beside(image_key: str) -> str:
    """The key of the frames whose kinds are at a key.

    Args:
        image_key: Key of the kinds.
    """
    return "/".join([*image_key.split("/")[:-1], "data"])


def read_nxtomo(path: str | os.PathLike[str], rows: Rows = None) -> ScanFrames:
    """Reads the projections with their angles, the flats and the darks.

    The frames are in the data set ``data`` beside ``image_key``, the angles in ``rotation_angle``
    beside it or in ``sample`` of the same entry, in the unit of their attribute ``units`` and in
    degrees where there is none. Frames that are marked as invalid are left out.

    Args:
        path: An HDF5 file with ``image_key``.
        rows: Detector rows to read, or None.

    Raises:
        FileFormatError: No such file, not HDF5, truncated, not NXtomo, or an unknown unit.
        ShapeError: Shapes that do not fit together, or a row that is not there.
        DataError: No projections, NaN or infinity.
    """
    path = Path(path)
    place = image_key_of(path)
    if place is None:
        raise FileFormatError(
            describe(
                expected=f"a data set called {_KEY} in {path}, as NXtomo has it",
                found="none",
                fix="name the data set of the counts with --key",
            )
        )
    with open_hdf5(path) as file:
        group = "/".join(place.split("/")[:-1])
        stack = get_dataset(file, counts_beside(place))
        angles = get_dataset(file, _angle_place(file, group))
        kinds = read_dataset(get_dataset(file, place)).reshape(-1)
        with reading(path):
            unit = unit_of(angles)
        frames, number = _frames(path, stack, rows)
        degrees = _numbers(read_dataset(angles), f"'{_ANGLE}' of {path}").reshape(-1)
    projections = kinds == _PROJECTION
    theta = _theta(path, degrees, kinds, frames.shape)
    radians, odd = to_radians(theta, unit or "degrees", str(path))
    notes = [] if unit else [f"The angles of {path} have no unit: taken as degrees."]
    left = int((~np.isin(kinds, (_PROJECTION, _FLAT, _DARK))).sum())
    if left:
        notes.append(f"{left} frames are marked as invalid, and left out.")
    return ScanFrames(
        frames[projections],
        frames[kinds == _FLAT] if (kinds == _FLAT).any() else None,
        frames[kinds == _DARK] if (kinds == _DARK).any() else None,
        radians,
        number,
        (*notes, *odd),
    )


def _frames(path: Path, stack: h5py.Dataset, rows: Rows) -> tuple[NDArray[np.float64], int]:
    """(frame, row, detector) and how many rows there are."""
    shape = tuple(stack.shape or ())
    if len(shape) != 3 or min(shape) < 1:
        raise ShapeError(
            describe(
                expected=f"frames (frame, row, detector) in {path}",
                found=f"shape {shape}",
                fix="check how the file was written",
            )
        )
    chosen = checked_rows(path, rows, shape[1])
    values = read_dataset(stack, (slice(None), chosen))
    return _numbers(values, f"the frames of {path}"), shape[1]


def _angle_place(file: h5py.File, group: str) -> str:
    """The key of the angles: beside the frames, or in ``sample`` of a group above them."""
    parts = group.split("/")
    tried = [f"{group}/{_ANGLE}".strip("/")]
    for depth in range(len(parts), -1, -1):
        above = "/".join([*parts[:depth], "sample", _ANGLE])
        tried.append(above)
    with reading(file.filename):
        found = [name for name in tried if isinstance(get_item(file, name), h5py.Dataset)]
    if not found:
        raise FileFormatError(
            describe(
                expected=f"the angles at {tried[0]} or sample/{_ANGLE} in {file.filename}",
                found=listing(list_datasets(file)),
                fix="give them with --theta FILE:KEY",
            )
        )
    return found[0]


def _theta(
    path: Path, angles: NDArray[np.float64], kinds: NDArray[np.generic], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """The angles of the projections: each frame has one, or each projection."""
    projections = kinds == _PROJECTION
    number = int(projections.sum())
    if number == 0:
        raise DataError(
            describe(
                expected=f"projections, frames of {_KEY} 0, in {path}",
                found=f"{len(kinds)} frames, none of them",
                fix="name another file",
            )
        )
    if len(kinds) != shape[0] or len(angles) not in {len(kinds), number}:
        raise ShapeError(
            describe(
                expected=f"one {_KEY} for each of {shape[0]} frames in {path}, and one angle for "
                f"each frame or each of {number} projections",
                found=f"{len(kinds)} and {len(angles)}",
                fix="check how the file was written",
            )
        )
    return angles[projections] if len(angles) == len(kinds) else angles


def _numbers(values: NDArray[np.generic], what: str) -> NDArray[np.float64]:
    if values.dtype.kind not in "iuf":
        raise FileFormatError(
            describe(
                expected=f"real numbers in {what}",
                found=str(values.dtype),
                fix="write the data set again as integers or floats",
            )
        )
    require_finite(values, what)
    return values.astype(np.float64)
