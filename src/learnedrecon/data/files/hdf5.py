"""Reading of HDF5 files, with one clear error for every failure, and with links followed.

Data sets are found through hard, soft and external links, under all their names. A broken link is
named where it matters. Content in other files (external links, virtual and external data sets) must
be in existing files: HDF5 itself would read zeros in its place. A virtual data set is opened in a
child process first, as the HDF5 library crashes at damaged ones.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from learnedrecon.data.files import hdf5_probe
from learnedrecon.data.files.hdf5_layout import may_be_virtual
from learnedrecon.errors import DataError, FileFormatError, describe, shown
from learnedrecon.files import reading as reading_as
from learnedrecon.files import refuse_size, require_file, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_EXPECTED: Final = "an HDF5 file"
_MOST_NAMES: Final = 200_000
_MOST_GROUPS: Final = 5_000
_MOST_LINKS: Final = 16
"""Links from one to the next, as the HDF5 library follows them."""
_SECONDS: Final = 60.0


@contextmanager
def open_hdf5(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """A context with a file open for reading.

    Errors inside of the context are not converted; use :func:`reading` around reads.

    Args:
        path: Path of the file.

    Raises:
        FileFormatError: There is no such file, it may not be opened, is not HDF5, or is truncated.
    """
    path = require_file(path, _EXPECTED)
    with reading(path):
        file = h5py.File(path, "r")
    with file:
        yield file


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """A context around a single read that converts all errors of h5py into one clear error.

    Args:
        path: Path of the file, for the message.

    Raises:
        FileFormatError: The file may not be opened, is damaged, or does not fit into memory.
    """
    with reading_as(path, _EXPECTED):
        yield


def list_datasets(group: h5py.Group) -> dict[str, tuple[int, ...]]:
    """The shape of every data set of a file or group, by its key without the leading slash.

    Links are followed; broken ones are omitted, see :func:`broken_links`.

    Args:
        group: File or group.

    Raises:
        FileFormatError: The file is damaged, or has more names than a valid file.
    """
    with reading(group.file.filename):
        found = {
            key: tuple(item.shape or ())
            for key, item in _walk(group)
            if isinstance(item, h5py.Dataset)
        }
    return dict(sorted(found.items()))


def broken_links(group: h5py.Group) -> tuple[str, ...]:
    """The keys of broken links.

    Args:
        group: File or group.

    Raises:
        FileFormatError: The file is damaged.
    """
    with reading(group.file.filename):
        return tuple(key for key, item in _walk(group) if item is None)


def get_dataset(file: h5py.File, key: str) -> h5py.Dataset:
    """The data set of a key, not yet read.

    Args:
        file: Open file.
        key: Key of the data set.

    Raises:
        FileFormatError: There is none (the message lists the present ones), or the file, or one
            that it takes the data from, is damaged or missing.
    """
    with reading(file.filename):
        item = get_item(file, key)
        if isinstance(item, h5py.Dataset):
            _refuse_missing_sources(item)
            return item
        link = _link_text(file, key) if item is None else None
    raise FileFormatError(
        describe(
            expected=f"a data set {shown(key)} in {file.filename}",
            found=listing(list_datasets(file)) if link is None else f"a link to {link}",
            fix="choose one of these keys, or another file"
            if link is None
            else "put what it leads to in its place",
        )
    )


def get_item(group: h5py.Group, key: str) -> h5py.Group | h5py.Dataset | None:
    """The object at ``key``, with links followed part by part; None where there is nothing.

    Call it within :func:`reading`.

    Args:
        group: File or group.
        key: Path within the group.
    """
    item: Any = group
    for part in key.strip("/").split("/"):
        if not isinstance(item, h5py.Group) or not part:
            return None
        item = _followed(item, part)
    return item


def read_dataset(dataset: h5py.Dataset, selection: Any = ()) -> NDArray[Any]:  # noqa: ANN401 - h5py's
    """The values of a data set or a part of it.

    Args:
        dataset: Data set from :func:`get_dataset`.
        selection: Index of the first axis, slices and indices of the first axes, or all.

    Raises:
        FileFormatError: The file is damaged, or the values do not fit into memory.
    """
    path = dataset.file.filename
    with reading(path):
        parts = selection if isinstance(selection, tuple) else (selection,)
        shape = tuple(dataset.shape or ())
        whole = [n for n, part in zip(shape, parts, strict=False) if isinstance(part, slice)]
        needed = dataset.dtype.itemsize * math.prod((*whole, *shape[len(parts) :]))
        # A chunk is decoded as a whole, whatever part of it is asked for.
        needed = max(needed, dataset.dtype.itemsize * math.prod(dataset.chunks or ()))
        stored = None
        if dataset.is_virtual or dataset.external:
            stored = sum(source.stat().st_size for source in _sources(dataset))
        refuse_size(path, needed, stored=stored)
        return np.asarray(dataset[selection])


def listing(datasets: dict[str, tuple[int, ...]]) -> str:
    """Data sets and their shapes as text for a message; a long list is shortened.

    Args:
        datasets: Shapes by key.
    """
    if not datasets:
        return "no data sets"
    shown_ = [f"{key[:80]} {shape}" for key, shape in list(datasets.items())[:20]]
    rest = len(datasets) - len(shown_)
    return ", ".join(shown_) + (f" and {rest} more" if rest else "")


def require_finite(values: NDArray[Any], what: str) -> None:
    """Check for an array without NaN and infinity.

    Args:
        values: Array to check.
        what: Noun for the array in the message.

    Raises:
        DataError: A value is not finite; the message gives their number and the position of the
            first.
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


def _walk(group: h5py.Group) -> Iterator[tuple[str, Any]]:
    """Every name below ``group`` and what it leads to: a data set, a group, or None for nothing.

    A group is not entered again below itself; what several links lead to comes under each name.
    """
    waiting: list[tuple[str, h5py.Group, frozenset[Any]]] = [("", group, frozenset())]
    names = groups = 0
    while waiting:
        prefix, inner, above = waiting.pop()
        groups, names = groups + 1, names + len(inner)
        if names > _MOST_NAMES or groups > _MOST_GROUPS:
            found = f"more than {_MOST_NAMES} names or {_MOST_GROUPS} groups, or links in circles"
            raise unreadable(group.file.filename, _EXPECTED, found, "write fewer into one file")
        here = above | {_identity(inner)}
        for name in inner:
            item = _followed(inner, name)
            yield prefix + name, item
            if isinstance(item, h5py.Group) and _identity(item) not in here:
                waiting.append((f"{prefix}{name}/", item, here))


def _identity(group: h5py.Group) -> tuple[Any, ...]:
    """A key that is equal for all names of a group."""
    info = h5py.h5o.get_info(group.id)
    return info.fileno, info.addr


def _followed(group: h5py.Group, name: str) -> Any:  # noqa: ANN401 - h5py's
    """The member of a group, None for a link to nothing or no member; opens no pipe or device."""
    link = group.get(name, getlink=True)
    if link is None or (isinstance(link, h5py.ExternalLink) and not _outside(group, link).exists()):
        return None
    try:
        _refuse_crash(group, name)
        return group[name]
    except (KeyError, OSError, RuntimeError):  # as for a link to itself
        if isinstance(link, h5py.HardLink):
            raise
        return None


def _outside(group: h5py.Group, link: h5py.ExternalLink) -> Path:
    return Path(group.file.filename).parent / link.filename


def _refuse_crash(group: h5py.Group, path: str, links: int = 0) -> None:
    """Refuses a path to a virtual data set at which the HDF5 library crashes, link by link.

    The library may open what a link leads to when it is asked about it. Pipes are refused too.
    """
    item: Any = group.file["/"] if path.startswith("/") else group
    parts = [part for part in path.split("/") if part not in {"", "."}]
    for number, part in enumerate(parts):
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
        if link is None or links > _MOST_LINKS:
            return
        if isinstance(link, h5py.SoftLink):
            _refuse_crash(item, link.path, links + 1)
        elif isinstance(link, h5py.ExternalLink):
            if not _outside(item, link).exists():
                return
            target = require_file(_outside(item, link), "the file of an external link")
            with h5py.File(target, "r") as other:
                _refuse_crash(other, link.path, links + 1)
        else:
            _refuse_crashing(item, part)
        if number + 1 < len(parts):
            item = item[part]


def _refuse_crashing(group: h5py.Group, name: str) -> None:
    info = h5py.h5o.get_info(group.id, name.encode("utf-8", "surrogateescape"))
    if info.type != h5py.h5o.TYPE_DATASET:
        return
    file = group.file
    path = Path(file.filename)
    if not may_be_virtual(path, info.addr, file.userblock_size):
        return
    state, key = path.stat(), f"{group.name}/{name}"
    if not _opens(str(path.resolve()), key, state.st_mtime_ns, state.st_size):
        found = f"a virtual data set {shown(key)} at which the HDF5 library crashes"
        raise unreadable(path, _EXPECTED, found)


@lru_cache(maxsize=4096)
def _opens(path: str, key: str, _changed: int, _size: int) -> bool:
    """True if a child process survives the opening of a data set and of its sources."""
    if not sys.executable:
        return True
    words = [sys.executable, "-P", hdf5_probe.__file__, path, key]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    silent = subprocess.DEVNULL
    try:
        child = subprocess.run(  # noqa: S603 (a fixed command)
            words,
            env=environment,
            stdin=silent,
            stdout=silent,
            stderr=silent,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return child.returncode in {0, 1}


def _link_text(file: h5py.File, key: str) -> str | None:
    """The target of the broken link at ``key``, or on the way to it; None where there is none."""
    item: Any = file
    for part in key.strip("/").split("/"):
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) and part else None
        if link is None:
            return None
        item = _followed(item, part)
        if item is None:
            outside = f"{link.filename}:" if isinstance(link, h5py.ExternalLink) else ""
            return f"{outside}{link.path}, where nothing is"
    return None


def _refuse_missing_sources(dataset: h5py.Dataset) -> None:
    for source in _sources(dataset):
        require_file(source, f"a part of the data set '{dataset.name}' of {dataset.file.filename}")


def _sources(dataset: h5py.Dataset) -> list[Path]:
    """The other files that a virtual or an external data set takes its values from."""
    folder = Path(dataset.file.filename).parent
    names = [name for name, _, _ in dataset.external or ()]
    if dataset.is_virtual:
        names += [source.file_name for source in dataset.virtual_sources()]
    return [folder / name for name in {*names} if name != "."]
