"""Reading and writing of arrays in npy, npz, TIFF, PNG and HDF5 files, by the file ending."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from learnedrecon.data.files.hdf5 import (
    get_dataset,
    list_datasets,
    listing,
    open_hdf5,
    read_dataset,
    reading,
    require_finite,
)
from learnedrecon.data.files.header import Header
from learnedrecon.data.files.nifti import is_nifti, nifti_header, read_nifti
from learnedrecon.data.files.npy import npy_header, read_npy, write_npy
from learnedrecon.data.files.npz import npz_header, read_npz
from learnedrecon.data.files.png import png_header, read_png, write_png
from learnedrecon.data.files.tiff import read_tiff, tiff_header, write_tiff
from learnedrecon.errors import DataError, DtypeError, FileFormatError, ShapeError, describe
from learnedrecon.files import atomic_path, require_file, unreadable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

Array = NDArray[Any]
F = TypeVar("F")

HDF5_KEY: Final = "data"
"""The key under which :func:`write_array` stores an array in an HDF5 file."""

_EXPECTED: Final = "one array of numbers"


def read_array(
    path: str | os.PathLike[str], key: str | None = None, *, ndim: int | None = None
) -> Array:
    """An array from a file.

    npy, npz, TIFF and HDF5 keep their dtype (in native byte order). PNG must be greyscale of 8 or
    16 bits, and becomes float32 in [0, 1]: the stored integer over 255 or 65535. NIfTI becomes
    float32, (slice, ny, nx).

    Args:
        path: Path of a file that ends in .npy, .npz, .tif, .tiff, .png, .h5, .hdf5, .hdf, .nxs,
            .nx, .nii or .nii.gz.
        key: Key of the data set in an HDF5 file or the array in npz; needed where there are
            several.
        ndim: Required number of axes, or None for any.

    Raises:
        MissingExtraError: The file is NIfTI, and nibabel is not installed.
        FileFormatError: There is no such file; the ending is unknown; the file is truncated,
            corrupt or of another format than its ending; a picture has colours or pages of several
            shapes; a key is missing or superfluous; values are not numbers, or do not fit into
            memory.
        ShapeError: The array is empty or has another number of axes than ``ndim``.
        DataError: NaN or infinity.
    """
    path = Path(path)
    read = _by_ending(path, _READERS).read
    return numbers(_read(path, key, read), str(path), ndim=ndim)


def array_header(path: str | os.PathLike[str], key: str | None = None) -> Header:
    """Shape and dtype of the array that :func:`read_array` reads, from the header of the file.

    Args:
        path: Path of the file.
        key: Key of the data set in an HDF5 file.

    Raises:
        FileFormatError: As for :func:`read_array`, as far as the header shows.
    """
    path = Path(path)
    return _read(path, key, _by_ending(path, _READERS).header)


def numbers(array: Array, what: str, *, ndim: int | None = None) -> Array:
    """An array of finite numbers in native byte order.

    Args:
        array: Array to check.
        what: Noun for the array in messages.
        ndim: Required number of axes, or None for any.

    Raises:
        FileFormatError: Values are not numbers.
        ShapeError: The array is empty or has another number of axes than ``ndim``.
        DataError: NaN or infinity.
    """
    if array.dtype.kind not in "biufc":
        found = f"values of type {array.dtype}"
        raise unreadable(what, _EXPECTED, found, "write it as an array of numbers")
    _check_axes(what, array, ndim)
    require_finite(array, what)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _read(path: Path, key: str | None, read: Callable[[Path, str | None], F]) -> F:
    require_file(path, _EXPECTED)
    if key is not None and path.suffix.lower() not in KEYED_ENDINGS:
        found = f"the key '{key}' for a file without keys"
        raise unreadable(path, _EXPECTED, found, "omit the key")
    return read(path, key)


def write_array(
    path: str | os.PathLike[str], array: Array, *, window: tuple[float, float] | None = None
) -> None:
    """Atomic write of an array.

    npy and HDF5 (key ``data``) keep the dtype; TIFF stores float32; PNG stores 16-bit grey values,
    where ``window[0]`` and below are black and ``window[1]`` and above are white.

    Args:
        path: Path of a file that ends in .npy, .tif, .tiff, .png, .h5 or .hdf5.
        array: Real numbers with two axes for PNG, real numbers for TIFF, any numbers otherwise.
        window: Grey values of black and white, for PNG only; by default the smallest and the
            largest value.

    Raises:
        FileFormatError: The ending is unknown, or the file cannot be written.
        DtypeError: Values are not numbers, or are complex for TIFF or PNG.
        ShapeError: The array is empty, or does not have two axes for PNG.
        DataError: A value is NaN, infinite or too large for float32, or the window has no width.
    """
    path = Path(path)
    write = _by_ending(path, _WRITERS)
    complex_allowed = write in {write_npy, _write_hdf5}
    if array.dtype.kind not in ("biufc" if complex_allowed else "biuf"):
        raise DtypeError(
            describe(
                expected=f"{'numbers' if complex_allowed else 'real numbers'} for {path}",
                found=str(array.dtype),
                fix="convert the array, or take its magnitude or its real and imaginary parts",
            )
        )
    _check_axes(str(path), array, 2 if write is write_png else None)
    require_finite(array, f"the array for {path}")
    if window is not None and write is not write_png:
        raise DataError(
            describe(
                expected=f"no window for {path}, which keeps the values",
                found=f"window {window}",
                fix="omit the window, or write a PNG",
            )
        )
    stored = _to_grey(array, window) if write is write_png else array
    if write is write_tiff:
        stored = _to_float32(path, array)
    with atomic_path(path) as temporary:
        write(temporary, stored)


class _Format(NamedTuple):
    header: Callable[[Path, str | None], Header]
    read: Callable[[Path, str | None], Array]


def _hdf5_header(path: Path, key: str | None) -> Header:
    with open_hdf5(path) as file:
        dataset = get_dataset(file, _only_key(path, file, key))
        with reading(path):
            return Header(tuple(dataset.shape or ()), dataset.dtype)


def _read_hdf5(path: Path, key: str | None) -> Array:
    with open_hdf5(path) as file:
        return read_dataset(get_dataset(file, _only_key(path, file, key)))


def _only_key(path: Path, file: h5py.File, key: str | None) -> str:
    if key is not None:
        return key
    datasets = list_datasets(file)
    if len(datasets) == 1:
        return next(iter(datasets))
    raise FileFormatError(
        describe(
            expected=f"{path} to have one data set, or a key",
            found=listing(datasets),
            fix="name one of them by its key",
        )
    )


def _write_hdf5(path: Path, array: Array) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset(HDF5_KEY, data=array)


_NPY: Final = _Format(lambda path, _: npy_header(path), lambda path, _: read_npy(path))
_TIFF: Final = _Format(lambda path, _: tiff_header(path), lambda path, _: read_tiff(path))
_PNG: Final = _Format(lambda path, _: png_header(path), lambda path, _: read_png(path))
_NPZ: Final = _Format(npz_header, read_npz)
_HDF5: Final = _Format(_hdf5_header, _read_hdf5)
_NIFTI: Final = _Format(
    lambda path, _: Header(nifti_header(path).shape, np.dtype(np.float32)),
    lambda path, _: read_nifti(path),
)
_READERS: Final[dict[str, _Format]] = {
    ".npy": _NPY,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".png": _PNG,
    ".npz": _NPZ,
    ".h5": _HDF5,
    ".hdf5": _HDF5,
    ".hdf": _HDF5,
    ".nxs": _HDF5,
    ".nx": _HDF5,
    ".nii": _NIFTI,
    ".nii.gz": _NIFTI,
}
_WRITERS: Final[dict[str, Callable[[Path, Array], None]]] = {
    ".npy": write_npy,
    ".tif": write_tiff,
    ".tiff": write_tiff,
    ".png": write_png,
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
}
HDF5_ENDINGS: Final = frozenset(ending for ending, kind in _READERS.items() if kind is _HDF5)
"""By which HDF5 files are known."""

KEYED_ENDINGS: Final = HDF5_ENDINGS | {".npz"}
"""By which files are known whose arrays have names."""


def ending_of(path: Path) -> str:
    """The ending of a file in lower case, of which ``.nii.gz`` is one.

    Args:
        path: Path of a file.
    """
    ending = path.suffix.lower()
    return f".nii{ending}" if ending == ".gz" and is_nifti(path) else ending


def _by_ending(path: Path, table: dict[str, F]) -> F:
    ending = ending_of(path)
    if ending not in table:
        raise FileFormatError(
            describe(
                expected=f"a file that ends in {', '.join(table)}",
                found=str(path),
                fix="rename or convert the file",
            )
        )
    return table[ending]


def _to_grey(array: Array, window: tuple[float, float] | None) -> NDArray[np.uint16]:
    values = array.astype(np.float64)
    low, high = window if window is not None else (values.min(), values.max())
    if not (np.isfinite(high - low) and low < high):
        raise DataError(
            describe(
                expected="a window (low, high) of grey values with low < high",
                found=f"({low}, {high})" + (" from a constant array" if window is None else ""),
                fix="give a window with two different numbers",
            )
        )
    unit = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.rint(65535.0 * unit).astype(np.uint16)


def _to_float32(path: Path, array: Array) -> NDArray[np.float32]:
    largest = float(np.abs(array.astype(np.float64)).max())
    if largest > float(np.finfo(np.float32).max):
        raise DataError(
            describe(
                expected=f"values for {path} that float32 can hold",
                found=f"a magnitude of {largest:.4g}",
                fix="scale the array, or write npy or HDF5",
            )
        )
    return array.astype(np.float32)


def _check_axes(what: str, array: Array, ndim: int | None) -> None:
    if array.size == 0 or (ndim is not None and array.ndim != ndim):
        axes = "any number of" if ndim is None else str(ndim)
        raise ShapeError(
            describe(
                expected=f"an array with {axes} axes and at least one value in {what}",
                found=f"shape {array.shape}",
                fix="choose one slice, or another file or data set",
            )
        )
