"""The files with k-space in a folder: which can be used, which are broken, who is on them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from learnedrecon.data.files.arrays import HDF5_ENDINGS
from learnedrecon.data.files.hdf5 import open_hdf5
from learnedrecon.data.kspace.files import PLAIN_ENDINGS, is_kspace, read_kspace
from learnedrecon.errors import FileFormatError, LearnedReconError, describe

if TYPE_CHECKING:
    from pathlib import Path

    from learnedrecon.data.kspace.header import KSpaceFile


class FolderContent(NamedTuple):
    """The content of a folder.

    Attributes:
        files: Headers of the files with k-space, by name.
        broken: Errors of files that seem to hold k-space and cannot be read, by path.
        beside: Files of other kinds.
    """

    files: tuple[KSpaceFile, ...]
    broken: dict[Path, str]
    beside: tuple[Path, ...]


def kspace_folder(path: Path) -> FolderContent:
    """The files of a folder, or a single file.

    An HDF5 file that cannot be opened counts as broken, since it cannot be told from one with
    k-space.

    Args:
        path: Path of a folder or file.

    Raises:
        FileFormatError: There is no such path.
    """
    if not path.exists():
        raise FileFormatError(
            describe(
                expected=f"a folder of files with k-space, {path}",
                found="no such path",
                fix="check the path",
            )
        )
    places = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
    state = tuple((place, place.stat().st_mtime_ns, place.stat().st_size) for place in places)
    return _content(state)


@lru_cache(maxsize=8)
def _content(state: tuple[tuple[Path, int, int], ...]) -> FolderContent:
    """The content of files that have not changed, read once by a process."""
    places = [place for place, _, _ in state]
    files: list[KSpaceFile] = []
    broken: dict[Path, str] = {}
    beside: list[Path] = []
    for place in places:
        if place.name.startswith(".") or place.suffix.lower() not in PLAIN_ENDINGS:
            beside.append(place)
            continue
        try:
            if is_kspace(place) or not _opens(place):
                files.append(read_kspace(place))
            else:
                beside.append(place)
        except LearnedReconError as error:
            broken[place] = str(error)
    return FolderContent(tuple(files), broken, tuple(beside))


def holds_kspace(path: Path) -> bool:
    """True if a folder has a file with k-space, or the path is one.

    Args:
        path: Path of a folder or file.
    """
    if path.is_dir():
        candidates = (each for each in path.iterdir() if each.suffix.lower() in PLAIN_ENDINGS)
        return any(is_kspace(each) for each in sorted(candidates))
    return is_kspace(path)


def _opens(place: Path) -> bool:
    """True for a file of another content that is whole as far as its format goes."""
    if place.suffix.lower() not in HDF5_ENDINGS:
        return True
    with open_hdf5(place):
        return True
