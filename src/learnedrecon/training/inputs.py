"""Digests of a run's data files, which detect changes between two sessions."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class FilesDigest(NamedTuple):
    """A digest of file names and sizes.

    Attributes:
        files: Number of files.
        digest: SHA-256 of the names within the folder and the sizes.
    """

    files: int
    digest: str


def data_digests(config: Mapping[str, Any]) -> dict[str, FilesDigest]:
    """The digest of every section of ``data`` with a ``path``.

    Hidden files are ignored. A change of content without a change of size is not detected.

    Args:
        config: Configuration as plain data.

    Returns:
        Digests by the name of the section, for existing paths.
    """
    sections = config.get("data")
    if not isinstance(sections, Mapping):
        return {}
    paths = {
        name: Path(section["path"])
        for name, section in sections.items()
        if isinstance(section, Mapping) and isinstance(section.get("path"), str)
    }
    return {name: _digest(path) for name, path in paths.items() if path.exists()}


def _digest(path: Path) -> FilesDigest:
    total = hashlib.sha256()
    number = 0
    for name, size in sorted(_files(path)):
        total.update(f"{name}\0{size}\0".encode(errors="surrogateescape"))
        number += 1
    return FilesDigest(number, total.hexdigest())


def _files(path: Path) -> Iterator[tuple[str, int]]:
    if path.is_file():
        yield path.name, path.stat().st_size
        return
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(folder) / name
            if not name.startswith(".") and file.is_file():
                yield file.relative_to(path).as_posix(), file.stat().st_size
