"""The files with k-space in a folder: which can be used, which are broken, who is on them."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

from learnedrecon.data.files.arrays import HDF5_ENDINGS, ending_of
from learnedrecon.data.files.hdf5 import open_hdf5
from learnedrecon.data.kspace.files import PLAIN_ENDINGS, is_kspace, read_kspace
from learnedrecon.data.kspace.images import MAGNITUDE_ENDINGS, is_magnitude_scan
from learnedrecon.data.kspace.simulated import simulated_file
from learnedrecon.errors import FileFormatError, LearnedReconError, MissingExtraError, describe

if TYPE_CHECKING:
    from pathlib import Path

    from learnedrecon.data.kspace.header import KSpaceFile
    from learnedrecon.data.kspace.simulated import MagnitudeSimulation


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


def kspace_folder(path: Path, simulation: MagnitudeSimulation | None = None) -> FolderContent:
    """The files of a folder, or a single file.

    An HDF5 file that cannot be opened counts as broken, since it cannot be told from one with
    k-space.

    Args:
        path: Path of a folder or file.
        simulation: Simulation of k-space from magnitude images, which are then the files; None for
            files with k-space.

    Raises:
        FileFormatError: There is no such path.
        MissingExtraError: A file is NIfTI, and nibabel is not installed.
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
    return _content(state, simulation)


@lru_cache(maxsize=8)
def _content(
    state: tuple[tuple[Path, int, int], ...], simulation: MagnitudeSimulation | None
) -> FolderContent:
    """The content of files that have not changed, read once by a process."""
    places = [place for place, _, _ in state]
    read = _header if simulation is None else partial(_simulated, simulation)
    files: list[KSpaceFile] = []
    broken: dict[Path, str] = {}
    beside: list[Path] = []
    for place in places:
        try:
            found = None if place.name.startswith(".") else read(place)
        except MissingExtraError:
            raise
        except LearnedReconError as error:
            broken[place] = str(error)
            continue
        if found is None:
            beside.append(place)
        else:
            files.append(found)
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


def holds_magnitude_scans(path: Path) -> bool:
    """True if a folder has a scan of MRI in NIfTI or DICOM, or the path is one.

    Args:
        path: Path of a folder or file.
    """
    if path.is_dir():
        return any(is_magnitude_scan(each) for each in sorted(path.iterdir()))
    return is_magnitude_scan(path)


def _header(place: Path) -> KSpaceFile | None:
    """The header of a file with k-space; None for a file of another content."""
    if place.suffix.lower() not in PLAIN_ENDINGS:
        return None
    return read_kspace(place) if is_kspace(place) or not _opens(place) else None


def _simulated(simulation: MagnitudeSimulation, place: Path) -> KSpaceFile | None:
    """The header of simulated k-space; None for a file that holds no images."""
    if ending_of(place) not in MAGNITUDE_ENDINGS:
        return None
    return simulated_file(place, simulation)


def _opens(place: Path) -> bool:
    """True for a file of another content that is whole as far as its format goes."""
    if place.suffix.lower() not in HDF5_ENDINGS:
        return True
    with open_hdf5(place):
        return True
