"""Arrays in NumPy's npy format, without objects, which could execute code."""

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
    """Shape and dtype of a file that is long enough for them.

    Args:
        path: Path of the file.

    Raises:
        FileFormatError: The file is truncated or corrupt, or contains objects.
    """
    with reading(path, EXPECTED):
        mapped = np.lib.format.open_memmap(path, mode="r")
        return Header(tuple(mapped.shape), mapped.dtype)


def read_npy(path: Path) -> NDArray[Any]:
    """The array of a file.

    Args:
        path: Path of the file.

    Raises:
        FileFormatError: As for :func:`npy_header`, or the values do not fit into memory.
    """
    npy_header(path).refuse_size(path)
    with reading(path, EXPECTED):
        return np.array(np.lib.format.open_memmap(path, mode="r"))


def write_npy(path: Path, array: NDArray[Any]) -> None:
    """Writes an array of any numbers.

    Args:
        path: Path of the file.
        array: Array of numbers.
    """
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
