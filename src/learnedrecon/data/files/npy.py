"""Arrays in NumPy's own format; no objects, which would run code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from learnedrecon.data.files.header import Header
from learnedrecon.files import reading

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

EXPECTED: Final = "an npy file with one array of numbers"


def npy_header(path: Path) -> Header:
    """Shape and type, of a file that is long enough for them.

    Raises:
        FileFormatError: the file is truncated or corrupt, or has objects.
    """
    with reading(path, EXPECTED):
        mapped = np.lib.format.open_memmap(path, mode="r")
        return Header(tuple(mapped.shape), mapped.dtype)


def read_npy(path: Path) -> NDArray[Any]:
    """The array.

    Raises:
        FileFormatError: as for :func:`npy_header`, or more values than the memory holds.
    """
    npy_header(path).refuse_size(path)
    with reading(path, EXPECTED):
        return np.array(np.lib.format.open_memmap(path, mode="r"))


def write_npy(path: Path, array: NDArray[Any]) -> None:
    """Writes any numbers."""
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
