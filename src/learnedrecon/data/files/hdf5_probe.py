"""Opening of a virtual data set of an HDF5 file and of its sources, as a program of its own.

The HDF5 library may crash on the way. Whatever it raises is left to the process that asked.

Usage: ``python hdf5_probe.py FILE KEY``.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import h5py

_MOST_SOURCES: Final = 10_000


def open_with_sources(path: str, key: str) -> None:
    """Opening of a data set, and of its sources and theirs where it is virtual.

    Args:
        path: Path of the file.
        key: Key of the data set.
    """
    waiting, seen = [(path, key)], set[tuple[str, str]]()
    while waiting and len(seen) < _MOST_SOURCES:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        with suppress(Exception), h5py.File(place[0], "r") as file:
            item = file[place[1]]
            if isinstance(item, h5py.Dataset) and item.is_virtual:
                for source in item.virtual_sources():
                    name = source.file_name
                    other = place[0] if name == "." else str(Path(place[0]).parent / name)
                    waiting.append((other, source.dset_name))


if __name__ == "__main__":
    open_with_sources(*sys.argv[1:3])
