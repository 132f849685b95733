"""HDF5 files whose every failure is one clear error."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from learnedrecon.errors import DataError, FileFormatError, describe

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray


@contextmanager
def open_hdf5(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Opens a file for reading.

    Raises:
        FileFormatError: no such file, not HDF5, truncated, or a data set that cannot be read while
            the file is open.
    """
    path = Path(path)
    if not path.is_file():
        raise _unreadable(path, "no such file", "check the path")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        raise _unreadable(
            path,
            f"a file that is not HDF5, or breaks off, or is corrupt ({error})",
            "copy or download the file again",
        ) from error


def list_datasets(file: h5py.File) -> dict[str, tuple[int, ...]]:
    """The shape of every data set in the file by its full key, without the leading slash."""
    found: dict[str, tuple[int, ...]] = {}

    def note(key: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found[key] = tuple(item.shape or ())

    file.visititems(note)
    return found


def get_dataset(file: h5py.File, key: str) -> h5py.Dataset:
    """The data set called ``key``, not yet read.

    Raises:
        FileFormatError: there is none; the message lists those that are there.
    """
    item = file.get(key)
    if isinstance(item, h5py.Dataset):
        return item
    raise FileFormatError(
        describe(
            expected=f"a data set '{key}' in {file.filename}",
            found=listing(list_datasets(file)),
            fix="choose one of these keys, or another file",
        )
    )


def listing(datasets: dict[str, tuple[int, ...]]) -> str:
    """Data sets and their shapes, for a message; a long list is cut."""
    if not datasets:
        return "no data sets"
    shown = [f"{key} {shape}" for key, shape in list(datasets.items())[:20]]
    rest = len(datasets) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def require_finite(values: NDArray[Any], what: str) -> None:
    """Refuses NaN and infinity.

    Raises:
        DataError: with the number of such values and the place of the first.
    """
    wrong = ~np.isfinite(values)
    if wrong.any():
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise DataError(
            describe(
                expected=f"finite values in {what}",
                found=f"{int(wrong.sum())} of {wrong.size} that are NaN or infinite, the first at "
                f"{first}",
                fix="repair or remove these values, or write the file again",
            )
        )


def _unreadable(path: Path, found: str, fix: str) -> FileFormatError:
    return FileFormatError(describe(expected=f"{path} to be an HDF5 file", found=found, fix=fix))
