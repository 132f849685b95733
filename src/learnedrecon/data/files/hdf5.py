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

    What is raised while it is open is left as it is; see :func:`reading` for what reads from it.

    Raises:
        FileFormatError: no such file, one that may not be opened, not HDF5, or truncated.
    """
    path = Path(path)
    if not path.is_file():
        raise _unreadable(path, "no such file", "check the path")
    with reading(path):
        file = h5py.File(path, "r")
    with file:
        yield file


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns what h5py raises for a damaged file into one clear error; for single reads alone.

    Raises:
        FileFormatError: the file may not be opened, is damaged, or holds more than the memory.
    """
    path = Path(path)
    try:
        yield
    except PermissionError as error:
        raise _unreadable(path, str(error), "change the permissions of the file") from error
    except MemoryError as error:
        raise too_large(path, error) from error
    except (OSError, RuntimeError, KeyError) as error:
        raise _unreadable(
            path,
            f"a file that is not HDF5, or breaks off, or is corrupt ({error})",
            "copy or download the file again",
        ) from error


def too_large(path: Path, error: MemoryError) -> FileFormatError:
    """The error for an array that the memory cannot hold."""
    return FileFormatError(
        describe(
            expected=f"an array in {path} that fits into the memory",
            found=f"one that is too large ({str(error) or type(error).__name__})",
            fix="use a part of it or free memory; if it should be small, its header is damaged",
        )
    )


def list_datasets(file: h5py.Group) -> dict[str, tuple[int, ...]]:
    """The shape of every data set in the file or group by its key, without the leading slash.

    Raises:
        FileFormatError: the file is damaged.
    """
    found: dict[str, tuple[int, ...]] = {}

    def note(key: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found[key] = tuple(item.shape or ())

    with reading(file.file.filename):
        file.visititems(note)
    return found


def get_dataset(file: h5py.File, key: str) -> h5py.Dataset:
    """The data set called ``key``, not yet read.

    Raises:
        FileFormatError: there is none; the message lists those that are there. Or the file is
            damaged.
    """
    with reading(file.filename):
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


def read_dataset(dataset: h5py.Dataset, selection: Any = ()) -> NDArray[Any]:  # noqa: ANN401 - h5py's
    """The values of a data set, or of a part of it.

    Raises:
        FileFormatError: the file is damaged, or there are more values than fit into the memory.
    """
    with reading(dataset.file.filename):
        return np.asarray(dataset[selection])


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
