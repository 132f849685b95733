"""Angles of a scan: from text, npy and HDF5, in a unit that is declared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from learnedrecon.data.files.arrays import HDF5_ENDINGS, read_array
from learnedrecon.data.files.hdf5 import get_dataset, open_hdf5, reading
from learnedrecon.errors import DataError, FileFormatError, ShapeError, describe, shown
from learnedrecon.files import read_text, unreadable

if TYPE_CHECKING:
    import os

    import h5py

FloatArray = NDArray[np.float64]
Unit = Literal["degrees", "radians"]

TEXT_ENDINGS: Final = frozenset({".txt", ".csv", ".dat", ".tsv", ".ang"})
"""By which text files with angles are known."""

_EXPECTED: Final = "numbers, one a line"
_RADIANS_PER_UNIT: Final = {
    "deg": np.pi / 180.0,
    "degree": np.pi / 180.0,
    "degrees": np.pi / 180.0,
    "rad": 1.0,
    "radian": 1.0,
    "radians": 1.0,
}
_TURN: Final = 360.0
_MANY_TURNS: Final = 4 * _TURN
_SMALL_ARC: Final = 7.0
_MANY_VIEWS: Final = 20


def read_angles(
    path: str | os.PathLike[str], key: str | None = None, unit: Unit | None = None
) -> tuple[FloatArray, tuple[str, ...]]:
    """Reads the angles of a scan.

    Args:
        path: Text with one number a line (a first line of words is skipped, as is what follows a
            #), or an array (angle,) in npy, npz or HDF5.
        key: Data set in an HDF5 or npz file.
        unit: "degrees" or "radians"; None takes the attribute ``units`` of an HDF5 data set.

    Returns:
        Radians, float64 (angle,), and what is odd about them in sentences.

    Raises:
        FileFormatError: No such file, text that is not numbers, or no unit.
        ShapeError: More than one axis, or no angle.
        DataError: NaN or infinity, or radians of more than four turns.
    """
    path = Path(path)
    declared: str | None = unit
    if path.suffix.lower() in TEXT_ENDINGS:
        values = read_column(path)
    else:
        array = read_array(path, key)
        values = _one_axis(array, path)
        if unit is None and path.suffix.lower() in HDF5_ENDINGS:
            declared = _attribute(path, key)
    if declared is None:
        raise FileFormatError(
            describe(
                expected=f"the unit of the angles in {path}",
                found=f"none, and {len(values)} angles from {values.min():.6g} to "
                f"{values.max():.6g}, which look like {_likely(values)}",
                fix="say --degrees or --radians",
            )
        )
    radians, notes = to_radians(values, declared, str(path))
    if float(np.abs(radians).max()) > np.deg2rad(_MANY_TURNS):
        raise DataError(
            describe(
                expected=f"angles in radians in {path}, of at most four turns",
                found=f"angles from {values.min():.6g} to {values.max():.6g}, which look like "
                "degrees",
                fix="say --degrees",
            )
        )
    return radians, notes


def to_radians(values: FloatArray, unit: str, what: str) -> tuple[FloatArray, tuple[str, ...]]:
    """Angles in radians.

    Degrees of more than four turns are reduced to one turn; radians are not, as they may be degrees
    by another name.

    Args:
        values: Angles (angle,).
        unit: Unit in the spelling of files, such as "deg" or "radians".
        what: Meaning of the angles, for messages.

    Returns:
        Radians, and what is odd about them in sentences.

    Raises:
        FileFormatError: An unknown unit.
    """
    name = unit.strip().lower()
    if name not in _RADIANS_PER_UNIT:
        raise FileFormatError(
            describe(
                expected=f"the unit of the angles in {what} to be degrees or radians",
                found=shown(unit),
                fix="correct the attribute units, or say --degrees or --radians",
            )
        )
    factor = _RADIANS_PER_UNIT[name]
    if factor == 1.0:
        return values, ()
    low, high = float(values.min()), float(values.max())
    notes: tuple[str, ...] = ()
    if _likely(values) == "radians":
        arc = f"{len(values)} views of an arc of {high - low:.3g} degrees"
        odd = f"The angles in {what} go from {low:.6g} to {high:.6g}, taken as degrees: {arc}."
        notes = (f"{odd} If these are radians, say --radians.",)
    if max(abs(low), abs(high)) > _MANY_TURNS:
        values = np.remainder(values, _TURN)
    return values * factor, notes


def unit_of(dataset: h5py.Dataset) -> str | None:
    """The attribute ``units`` of a data set as text, or None; call it within ``reading``.

    Args:
        dataset: Data set in an open file.
    """
    unit = dataset.attrs.get("units")
    if unit is None:
        return None
    return unit.decode("ascii", "replace") if isinstance(unit, bytes) else str(unit)


def _likely(values: FloatArray) -> str:
    """Likely unit: radians for many views over at most about one turn of radians."""
    arc = float(values.max() - values.min())
    return "radians" if 0 < arc < _SMALL_ARC and len(values) >= _MANY_VIEWS else "degrees"


def _attribute(path: Path, key: str | None) -> str | None:
    with open_hdf5(path) as file:
        names = [key] if key is not None else list(file)
        dataset = get_dataset(file, names[0])
        with reading(path):
            return unit_of(dataset)


def _one_axis(values: NDArray[np.generic], path: Path) -> FloatArray:
    squeezed = np.squeeze(values)
    if squeezed.ndim > 1 or values.dtype.kind not in "iuf":
        raise ShapeError(
            describe(
                expected=f"real angles (angle,) in {path}",
                found=f"{values.dtype} of shape {values.shape}",
                fix="name the data set of the angles",
            )
        )
    return np.atleast_1d(squeezed).astype(np.float64)


def read_column(path: Path) -> FloatArray:
    """Numbers in a text, one a line or all in one line; a first line of words is skipped.

    Args:
        path: Path of the text.

    Raises:
        FileFormatError: No such file, several columns, or what is no number.
        DataError: NaN or infinity.
    """
    lines = [line.split("#")[0] for line in read_text(path, _EXPECTED).splitlines()]
    rows = [
        words for line in lines if (words := re.split(r"[\s,;]+", line.strip(" \t,;\ufeff")))[0]
    ]
    if rows and not _is_number(rows[0][0]):
        rows = rows[1:]
    if len(rows) == 1:
        rows = [[word] for word in rows[0]]
    if not rows or any(len(row) != 1 for row in rows):
        many = next((len(row) for row in rows if len(row) != 1), 0)
        found = f"{many} numbers in a line" if rows else "none"
        raise unreadable(path, _EXPECTED, found, "keep one column")
    wrong = next((row[0] for row in rows if not _is_number(row[0])), None)
    if wrong is not None:
        raise unreadable(path, _EXPECTED, shown(wrong), "remove what is no number")
    values = np.array([float(row[0]) for row in rows])
    if not np.isfinite(values).all():
        raise DataError(
            describe(
                expected=f"finite numbers in {path}",
                found="NaN or infinity",
                fix="remove or correct these lines",
            )
        )
    return values


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
