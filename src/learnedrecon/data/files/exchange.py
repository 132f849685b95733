"""Synchrotron scans in the Data Exchange layout (De Carlo et al., J. Synchrotron Rad. 21, 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learnedrecon.data.files.hdf5 import (
    get_dataset,
    open_hdf5,
    read_dataset,
    reading,
    require_finite,
)
from learnedrecon.errors import DataError, FileFormatError, ShapeError, describe, shown

if TYPE_CHECKING:
    import os

    import h5py

FloatArray = NDArray[np.float64]

_COUNTS, _WHITE, _DARK, _THETA = (
    f"exchange/{name}" for name in ("data", "data_white", "data_dark", "theta")
)
_MANY_TURNS: Final = 4 * 360.0
_RADIANS_PER_UNIT: Final = {
    "deg": np.pi / 180.0,
    "degree": np.pi / 180.0,
    "degrees": np.pi / 180.0,
    "rad": 1.0,
    "radian": 1.0,
    "radians": 1.0,
}


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

    def line_integrals(self, *, min_transmission: float = 1e-6) -> LineIntegrals:
        """Line integrals ``-ln((counts - dark)/(white - dark))`` with the means of both fields.

        Transmissions below ``min_transmission``, also zero and negative ones, are set to it and
        counted.

        Raises:
            DataError: White does not exceed dark at a detector pixel, or ``min_transmission`` is
                not in (0, 1).
        """
        if not 0.0 < min_transmission < 1.0:
            raise DataError(
                describe(
                    expected="a smallest transmission between 0 and 1",
                    found=str(min_transmission),
                    fix="use a value far below the smallest true transmission, such as 1e-6",
                )
            )
        dark = self.dark.mean(axis=0)
        beam = self.white.mean(axis=0) - dark
        _refuse_dead_pixels(beam)
        transmission = (self.counts - dark) / beam
        clipped = int(np.count_nonzero(transmission < min_transmission))
        return LineIntegrals(-np.log(np.maximum(transmission, min_transmission)), clipped)


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
    with open_hdf5(path) as file:
        stacks = {key: get_dataset(file, key) for key in (_COUNTS, _WHITE, _DARK)}
        theta = get_dataset(file, _THETA)
        _check_shapes(path, stacks, theta)
        _check_row(path, row, stacks[_COUNTS].shape[1])
        counts, white, dark = (
            _read(path, key, read_dataset(stack, (slice(None), row)))
            for key, stack in stacks.items()
        )
        radians = _read(path, _THETA, read_dataset(theta))
        unit = _radians_per_unit(path, theta)
        if unit < 1.0 and np.abs(radians).max() > _MANY_TURNS:
            radians = np.remainder(radians, 360.0)
        radians = radians * unit
    return ExchangeScan(counts, white, dark, radians)


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


def _radians_per_unit(path: Path, theta: h5py.Dataset) -> float:
    with reading(path):
        unit = theta.attrs.get("units", "degrees")
    name = unit.decode("ascii", "replace") if isinstance(unit, bytes) else str(unit)
    name = name.strip().lower()
    if name not in _RADIANS_PER_UNIT:
        raise FileFormatError(
            describe(
                expected=f"the attribute units of '{_THETA}' in {path} to be degrees or radians",
                found=shown(unit),
                fix="correct the attribute",
            )
        )
    return float(_RADIANS_PER_UNIT[name])


def _check_shapes(path: Path, stacks: dict[str, h5py.Dataset], theta: h5py.Dataset) -> None:
    shapes = {key: tuple(stack.shape or ()) for key, stack in stacks.items()}
    shapes[_THETA] = tuple(theta.shape or ())
    fits = (
        all(len(shapes[key]) == 3 and min(shapes[key]) > 0 for key in stacks)
        and len({shapes[key][1:] for key in stacks}) == 1
        and shapes[_THETA] == shapes[_COUNTS][:1]
    )
    if not fits:
        raise ShapeError(
            describe(
                expected=f"shapes (frame, row, detector) with the same rows and detectors, and one "
                f"theta for each frame of '{_COUNTS}', in {path}",
                found=", ".join(f"{key} {shape}" for key, shape in shapes.items()),
                fix="check how the file was written",
            )
        )


def _check_row(path: Path, row: int, rows: int) -> None:
    if not 0 <= row < rows:
        raise ShapeError(
            describe(
                expected=f"a row from 0 to {rows - 1} of {path}",
                found=f"row {row}",
                fix="choose a row of the detector",
            )
        )


def _refuse_dead_pixels(beam: FloatArray) -> None:
    dead = np.flatnonzero(beam <= 0.0)
    if dead.size:
        raise DataError(
            describe(
                expected="white frames that are brighter than the dark frames in every pixel",
                found=f"{dead.size} of {beam.size} detector pixels where they are not, the first "
                f"being pixel {dead[0]}",
                fix="check that white and dark are not exchanged, or remove or interpolate these "
                "pixels in counts, white and dark",
            )
        )
