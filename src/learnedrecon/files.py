"""Files that are either whole or not there."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from learnedrecon.errors import ConfigError, FileFormatError, describe

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside ``target`` and renames it onto ``target`` on success.

    The temporary file has the ending of ``target``, is flushed to the disk before the rename, and
    is removed if the block raises: a reader never sees half a file, and a crash never costs the
    old one.

    Raises:
        FileFormatError: the folder cannot be written, or the disk is full.
    """
    target = Path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix
        )
        os.close(handle)
    except OSError as error:
        raise _cannot_write(target, error) from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
        _flush_folder(target.parent)
    except OSError as error:
        raise _cannot_write(target, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Writes ``text`` to ``target`` as UTF-8, atomically; see :func:`atomic_path`."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _flush_folder(folder: Path) -> None:
    """Makes a rename survive a loss of power, where the system can open folders."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _cannot_write(target: Path, error: OSError) -> FileFormatError:
    return FileFormatError(
        describe(
            expected=f"to be able to write {target}",
            found=f"{error.strerror or error}",
            fix="choose another folder, free space on the disk, or change its permissions",
        )
    )


def refuse_overwriting(path: Path, *, force: bool) -> None:
    """Refuses a file that exists.

    Raises:
        ConfigError: it does, and ``force`` is not set.
    """
    if path.exists() and not force:
        raise ConfigError(
            describe(
                expected=f"no file at {path}",
                found="one",
                fix="choose another name with -o, or overwrite it with --force",
            )
        )
