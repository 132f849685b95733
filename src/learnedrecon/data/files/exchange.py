"""Synchrotron scans in the Data Exchange layout (De Carlo et al., J. Synchrotron Rad. 21, 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learnedrecon.data.files.angles import to_radians, unit_of
from learnedrecon.data.files.hdf5 import (
    get_dataset,
    get_item,
    list_datasets,
    open_hdf5,
    read_dataset,
    reading,
    require_finite,
)
from learnedrecon.data.files.scan_frames import Rows, ScanFrames, checked_rows
from learnedrecon.data.raw.correction import SMALLEST_TRANSMISSION, Mending, RawScan
from learnedrecon.errors import FileFormatError, ShapeError, describe

if TYPE_CHECKING:
    import os

    import h5py

    from learnedrecon.data.raw.bad_pixels import BadPixels

FloatArray = NDArray[np.float64]

_COUNTS, _WHITE, _DARK, _THETA = (
    f"exchange/{name}" for name in ("data", "data_white", "data_dark", "theta")
)


class LineIntegrals(NamedTuple):
    """The result of :meth:`ExchangeScan.line_integrals`.

    Attributes:
        values: Line integrals (angle, detector), float64, without unit.
        clipped: Number of values whose transmission was below the smallest allowed one.
    """

    values: FloatArray
    clipped: int


@dataclass(frozen=True, eq=False)
class ExchangeScan:
    """One detector row of a parallel-beam scan: raw counts with their flat and dark fields.

    Attributes:
        counts: Raw counts (angle, detector), float64.
        white: Flat field: beam without the object, (frame, detector), float64.
        dark: Dark field: no beam, (frame, detector), float64.
        theta: Angles in radians, (angle,), float64.

    Raises:
        ShapeError: An array has another shape, such as one flat frame without its first axis.
    """

    counts: FloatArray
    white: FloatArray
    dark: FloatArray
    theta: FloatArray

    def __post_init__(self) -> None:
        counts, theta = np.shape(self.counts), np.shape(self.theta)
        frames = np.shape(self.white), np.shape(self.dark)
        fits = len(counts) == 2 and theta == counts[:1] and min(counts) > 0
        if not fits or any(len(f) != 2 or f[0] < 1 or f[1:] != counts[1:] for f in frames):
            raise ShapeError(
                describe(
                    expected="counts (angle, detector), white and dark (frame, detector) and theta "
                    "(angle,)",
                    found=f"counts {counts}, white {frames[0]}, dark {frames[1]}, theta {theta}",
                    fix="give a single frame as frame[None]",
                )
            )

    def raw(self) -> RawScan:
        """The scan with the means of its frames."""
        white, dark = self.white.mean(axis=0), self.dark.mean(axis=0)
        return RawScan(self.counts[:, None], white[None], dark[None])

    def line_integrals(
        self, *, bad: Mending = "auto", min_transmission: float = SMALLEST_TRANSMISSION
    ) -> LineIntegrals:
        """``-ln((counts - dark)/(white - dark))`` with the means of the white and dark frames.

        Bad detector pixels are interpolated, see :meth:`RawScan.line_integrals`, which also says
        how many there were. Transmissions below ``min_transmission``, zero and negative ones among
        them, are set to it, and counted.

        Args:
            bad: "auto", "none" or a mask of the bad pixels.
            min_transmission: Smallest transmission that is allowed.

        Raises:
            DataError: More than a quarter of the pixels are bad, white does not exceed dark in one
                that is not to be interpolated, or ``min_transmission`` is not in (0, 1).
        """
        found = self.raw().line_integrals(bad=bad, min_transmission=min_transmission)
        return LineIntegrals(found.values[:, 0], found.clipped)

    @property
    def bad_pixels(self) -> BadPixels:
        """The bad pixels of the row, as they are found."""
        return self.raw().line_integrals().bad


def read_data_exchange(path: str | os.PathLike[str], row: int = 0) -> ExchangeScan:
    """One detector row of a scan; no other row is loaded.

    Angles are in the unit of the attribute ``units`` of ``exchange/theta``, and in degrees where
    there is none. Degrees beyond four turns are reduced to one turn; radians are not, as they may
    be degrees with a wrong unit, which geometries reject.

    Args:
        path: Path of an HDF5 file with ``exchange/data``, ``exchange/data_white`` and
            ``exchange/data_dark`` of shape (frame, row, detector), and ``exchange/theta`` of shape
            (frame of data,).
        row: Index of the detector row, from 0.

    Raises:
        FileFormatError: There is no such file; it is not HDF5, or truncated; a key is missing (the
            present ones are named); a unit is unknown; or data are not numbers.
        ShapeError: Shapes do not fit together, or there is no such row.
        DataError: NaN or infinity.
    """
    path = Path(path)
    _require_keys(path)
    scan = read_exchange_frames(path, slice(row, row + 1))
    assert scan.white is not None
    assert scan.dark is not None
    assert scan.theta is not None
    return ExchangeScan(scan.counts[:, 0], scan.white[:, 0], scan.dark[:, 0], scan.theta)


def is_data_exchange(path: str | os.PathLike[str]) -> bool:
    """True for an HDF5 file with the counts of a Data Exchange scan.

    Args:
        path: Path of the file.

    Raises:
        FileFormatError: The file is missing, no HDF5 file, or truncated.
    """
    with open_hdf5(path) as file:
        return _COUNTS in list_datasets(file)


def read_exchange_frames(path: str | os.PathLike[str], rows: Rows = None) -> ScanFrames:
    """Reads detector rows with their frames and angles, as far as they are there.

    Args:
        path: Path of an HDF5 file with ``exchange/data`` (frame, row, detector), and perhaps
            ``exchange/data_white``, ``exchange/data_dark`` and ``exchange/theta``.
        rows: Rows of the detector, or None for all.

    Raises:
        FileFormatError: The file cannot be read, or has no counts or an unknown unit.
        ShapeError: Shapes do not fit together, or a row is not there.
        DataError: A value is NaN or infinite.
    """
    path = Path(path)
    with open_hdf5(path) as file:
        stacks = {_COUNTS: get_dataset(file, _COUNTS)}
        for key in (_WHITE, _DARK):
            if _has(file, key):
                stacks[key] = get_dataset(file, key)
        theta = get_dataset(file, _THETA) if _has(file, _THETA) else None
        _check_shapes(path, stacks, theta)
        number = stacks[_COUNTS].shape[1]
        chosen = checked_rows(path, rows, number)
        read = {
            key: _read(path, key, read_dataset(stack, (slice(None), chosen)))
            for key, stack in stacks.items()
        }
        radians: FloatArray | None = None
        notes: tuple[str, ...] = ()
        if theta is not None:
            angles = _read(path, _THETA, read_dataset(theta))
            with reading(path):
                unit = unit_of(theta)
            radians, notes = to_radians(angles, unit or "degrees", f"'{_THETA}' of {path}")
    return ScanFrames(read[_COUNTS], read.get(_WHITE), read.get(_DARK), radians, number, notes)


def _has(file: h5py.File, key: str) -> bool:
    with reading(file.filename):
        return get_item(file, key) is not None


def _require_keys(path: Path) -> None:
    """Refuses a file in which one of the four data sets is not there."""
    with open_hdf5(path) as file:
        for key in (_COUNTS, _WHITE, _DARK, _THETA):
            get_dataset(file, key)


def _read(path: Path, key: str, values: NDArray[np.generic]) -> FloatArray:
    if values.dtype.kind not in "iuf":
        raise FileFormatError(
            describe(
                expected=f"real numbers in '{key}' of {path}",
                found=str(values.dtype),
                fix="write the data set again as integers or floats",
            )
        )
    require_finite(values, f"'{key}' of {path}")
    return values.astype(np.float64)


def _check_shapes(path: Path, stacks: dict[str, h5py.Dataset], theta: h5py.Dataset | None) -> None:
    shapes = {key: tuple(stack.shape or ()) for key, stack in stacks.items()}
    fits = (
        all(len(shape) == 3 and min(shape) > 0 for shape in shapes.values())
        and len({shape[1:] for shape in shapes.values()}) == 1
    )
    if theta is not None:
        shapes[_THETA] = tuple(theta.shape or ())
        fits = fits and shapes[_THETA] == shapes[_COUNTS][:1]
    if not fits:
        raise ShapeError(
            describe(
                expected=f"shapes (frame, row, detector) with the same rows and detectors, and one "
                f"theta for each frame of '{_COUNTS}', in {path}",
                found=", ".join(f"{key} {shape}" for key, shape in shapes.items()),
                fix="check how the file was written",
            )
        )
