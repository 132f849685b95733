"""Arrays from and to npy, TIFF, PNG and HDF5 files, chosen by the ending of the name."""

from __future__ import annotations

import struct
import tokenize
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import h5py
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from learnedrecon.data.files.hdf5 import (
    get_dataset,
    list_datasets,
    listing,
    open_hdf5,
    read_dataset,
    require_finite,
    too_large,
)
from learnedrecon.errors import DataError, DtypeError, FileFormatError, ShapeError, describe
from learnedrecon.files import atomic_path

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

Array = NDArray[Any]
F = TypeVar("F")

HDF5_KEY: Final = "data"
"""The key under which :func:`write_array` stores an array in an HDF5 file."""

# What the decoders of damaged files are known to raise.
_DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    OverflowError,
    ZeroDivisionError,
    struct.error,
    tokenize.TokenError,
    zlib.error,
    Image.DecompressionBombError,
    tifffile.TiffFileError,
)


def read_array(
    path: str | os.PathLike[str], key: str | None = None, *, ndim: int | None = None
) -> Array:
    """Reads one array.

    npy, TIFF and HDF5 keep their type of number (in native byte order). PNG must be greyscale of 8
    or 16 bits, and becomes float32 in [0, 1]: the stored integer over 255 or 65535.

    Args:
        path: ends in .npy, .tif, .tiff, .png, .h5 or .hdf5.
        key: of the data set in an HDF5 file; needed where there are several.
        ndim: the number of axes to insist on, or None for any.

    Raises:
        FileFormatError: no such file, an unknown ending, a file that is truncated, corrupt or not
            what its ending says, a picture with colours or of several shapes, a missing or
            needless key, values that are not numbers, or more of them than fit into the memory.
        ShapeError: the array is empty or has another number of axes than ``ndim``.
        DataError: NaN or infinity.
    """
    path = Path(path)
    read = _by_ending(path, _READERS)
    if not path.is_file():
        raise _unreadable(path, "no such file", "check the path")
    if key is not None and read is not _read_hdf5:
        raise _unreadable(path, f"the key '{key}' for a file without keys", "leave the key away")
    array = read(path, key)
    if array.dtype.kind not in "biufc":
        raise _unreadable(path, f"values of type {array.dtype}", "write it as an array of numbers")
    _check_axes(path, array, ndim)
    require_finite(array, str(path))
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def write_array(
    path: str | os.PathLike[str], array: Array, *, window: tuple[float, float] | None = None
) -> None:
    """Writes one array, atomically.

    npy and HDF5 (key ``data``) keep the type of number; TIFF stores float32; PNG stores 16 bits of
    grey, where ``window[0]`` and below is black and ``window[1]`` and above is white.

    Args:
        path: ends in .npy, .tif, .tiff, .png, .h5 or .hdf5.
        array: real numbers of two axes for PNG, real numbers for TIFF, any numbers otherwise.
        window: for PNG only; by default the smallest and the largest value.

    Raises:
        FileFormatError: an unknown ending, or the file cannot be written.
        DtypeError: values that are not numbers, or complex ones for TIFF or PNG.
        ShapeError: an empty array, or not two axes for PNG.
        DataError: NaN or infinity, numbers too large for float32, or a window of no width.
    """
    path = Path(path)
    write = _by_ending(path, _WRITERS)
    complex_allowed = write in {_write_npy, _write_hdf5}
    if array.dtype.kind not in ("biufc" if complex_allowed else "biuf"):
        raise DtypeError(
            describe(
                expected=f"{'numbers' if complex_allowed else 'real numbers'} for {path}",
                found=str(array.dtype),
                fix="convert the array, or take its magnitude or its real and imaginary parts",
            )
        )
    _check_axes(path, array, 2 if write is _write_png else None)
    require_finite(array, f"the array for {path}")
    if window is not None and write is not _write_png:
        raise DataError(
            describe(
                expected=f"no window for {path}, which keeps the values",
                found=f"window {window}",
                fix="leave the window away, or write a PNG",
            )
        )
    stored = _to_grey(array, window) if write is _write_png else array
    if write is _write_tiff:
        stored = _to_float32(path, array)
    with atomic_path(path) as temporary:
        write(temporary, stored)


def _read_npy(path: Path, key: str | None) -> Array:  # noqa: ARG001 - one signature for all readers
    with _decoding(path, "npy"):
        # Mapping compares the size of the file with its header before any memory is taken.
        return np.array(np.lib.format.open_memmap(path, mode="r"))


def _read_tiff(path: Path, key: str | None) -> Array:  # noqa: ARG001 - one signature for all readers
    with _decoding(path, "TIFF"), tifffile.TiffFile(path) as file:
        photometric = tifffile.PHOTOMETRIC(file.pages.first.photometric).name
        series = len(file.series)
        array = np.asarray(file.asarray())
    if photometric != "MINISBLACK":
        raise _unreadable(
            path, f"colours or inverted grey ({photometric})", "convert it to greyscale"
        )
    if series != 1:
        raise _unreadable(path, f"{series} pictures of unequal shape or type", "split the file")
    return array


def _read_png(path: Path, key: str | None) -> Array:  # noqa: ARG001 - one signature for all readers
    with _decoding(path, "PNG"), Image.open(path, formats=("PNG",)) as file:
        mode, picture = file.mode, np.asarray(file)
    if mode not in {"L", "I;16"}:
        raise _unreadable(
            path,
            f"a picture of mode {mode}",
            "convert it to greyscale of 8 or 16 bits without transparency",
        )
    return picture.astype(np.float32) / np.float32(np.iinfo(picture.dtype).max)


def _read_hdf5(path: Path, key: str | None) -> Array:
    with open_hdf5(path) as file:
        if key is None:
            datasets = list_datasets(file)
            if len(datasets) != 1:
                raise FileFormatError(
                    describe(
                        expected=f"{path} to have one data set, or a key",
                        found=listing(datasets),
                        fix="name one of them by its key",
                    )
                )
            (key,) = datasets
        return read_dataset(get_dataset(file, key))


def _write_npy(path: Path, array: Array) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def _write_tiff(path: Path, array: Array) -> None:
    tifffile.imwrite(path, array, photometric="minisblack")


def _write_png(path: Path, array: Array) -> None:
    Image.fromarray(array).save(path, format="PNG")


def _write_hdf5(path: Path, array: Array) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset(HDF5_KEY, data=array)


_READERS: Final[dict[str, Callable[[Path, str | None], Array]]] = {
    ".npy": _read_npy,
    ".tif": _read_tiff,
    ".tiff": _read_tiff,
    ".png": _read_png,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
}
_WRITERS: Final[dict[str, Callable[[Path, Array], None]]] = {
    ".npy": _write_npy,
    ".tif": _write_tiff,
    ".tiff": _write_tiff,
    ".png": _write_png,
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
}


def _by_ending(path: Path, table: dict[str, F]) -> F:
    ending = path.suffix.lower()
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


def _check_axes(path: Path, array: Array, ndim: int | None) -> None:
    if array.size == 0 or (ndim is not None and array.ndim != ndim):
        axes = "any number of" if ndim is None else str(ndim)
        raise ShapeError(
            describe(
                expected=f"an array with {axes} axes and at least one value in {path}",
                found=f"shape {array.shape}",
                fix="choose one slice, or another file or data set",
            )
        )


@contextmanager
def _decoding(path: Path, kind: str) -> Iterator[None]:
    """Names what is wrong with the file, for decoders alone."""
    try:
        yield
    except PermissionError as error:
        raise _unreadable(path, str(error), "change the permissions of the file") from error
    except MemoryError as error:
        raise too_large(path, error) from error
    except _DECODER_ERRORS as error:
        reason = str(error) or type(error).__name__
        raise _unreadable(
            path,
            f"a file that is not {kind}, or breaks off, or is corrupt ({reason})",
            "copy or download the file again, or correct its ending",
        ) from error


def _unreadable(path: Path, found: str, fix: str) -> FileFormatError:
    return FileFormatError(
        describe(expected=f"{path} to hold one array of numbers", found=found, fix=fix)
    )
