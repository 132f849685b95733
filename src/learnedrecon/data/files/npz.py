"""Archives of NumPy with one or several arrays; no objects, which would run code."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from learnedrecon.data.files.header import Header
from learnedrecon.errors import FileFormatError, describe
from learnedrecon.files import reading, unreadable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

EXPECTED: Final = "an npz file with arrays of numbers"
_NPY: Final = ".npy"


def npz_header(path: Path, key: str | None) -> Header:
    """Shape and type of an array in the archive.

    Args:
        path: Path of the file.
        key: Name of the array, or None for the only one.

    Raises:
        FileFormatError: The file is truncated or corrupt, has objects, or the key is missing where
            there are several arrays, or is not there.
    """
    with reading(path, EXPECTED), zipfile.ZipFile(path) as archive:
        name = _member(path, archive, key)
        with archive.open(name) as file:
            version = np.lib.format.read_magic(file)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }.get(version)
            if read is None:
                raise unreadable(path, EXPECTED, f"an array of version {version}")
            shape, _, dtype = read(file)
    if dtype.hasobject:
        raise unreadable(path, EXPECTED, "Python objects", "store arrays of numbers")
    return Header(tuple(shape), dtype)


def read_npz(path: Path, key: str | None) -> NDArray[Any]:
    """An array of the archive.

    Args:
        path: Path of the file.
        key: Name of the array, or None for the only one.

    Raises:
        FileFormatError: As for :func:`npz_header`, or more values than the memory holds.
    """
    npz_header(path, key).refuse_size(path)
    with reading(path, EXPECTED), zipfile.ZipFile(path) as archive:
        name = _member(path, archive, key).removesuffix(_NPY)
    with reading(path, EXPECTED), np.load(path, allow_pickle=False) as file:
        return np.asarray(file[name])


def _member(path: Path, archive: zipfile.ZipFile, key: str | None) -> str:
    names = [name for name in archive.namelist() if name.endswith(_NPY)]
    if key is None and len(names) == 1:
        return names[0]
    if key is not None and f"{key}{_NPY}" in names:
        return f"{key}{_NPY}"
    raise FileFormatError(
        describe(
            expected=f"{path} to have one array, or a key of one of several",
            found=f"{len(names)}: {', '.join(name.removesuffix(_NPY) for name in names[:20])}"
            + ("" if key is None else f", and the key '{key[:80]}'"),
            fix="name one of them by its key",
        )
    )
