"""Exclusive locks of run folders."""

from __future__ import annotations

import errno
import json
import os
import socket
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Self

from learnedrecon.errors import ConfigError, FileFormatError, describe

try:
    import fcntl
except ImportError:  # a system without POSIX locks
    fcntl = None  # type: ignore[assignment]  # tested before every use

if TYPE_CHECKING:
    from types import TracebackType

_TAKEN = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}


class FolderLock:
    """An exclusive lock on a folder: the file ``.lock`` in it, which names its owner.

    The kernel releases it when the process ends in any way, and when the object is
    garbage-collected; the file remains without a meaning. A child process that is forked meanwhile
    holds the lock, too.

    Without ``fcntl`` (Windows) the file itself is the lock: it is created and removed at the end,
    so that a killed process leaves it behind, and the message says to remove it. On a file system
    that refuses ``flock`` there is no lock.

    Args:
        folder: Folder to lock, created if missing.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder) / ".lock"
        self._release: weakref.finalize[[int, Path], FolderLock] | None = None

    @property
    def held(self) -> bool:
        """True if this object holds the lock."""
        return self._release is not None

    def acquire(self) -> None:
        """Takes the lock, unless this object holds it already.

        Raises:
            ConfigError: Another process holds the lock; the message names it.
            FileFormatError: The folder cannot be written.
        """
        if self.held:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = _locked_file(self.path)
        except _HeldError as error:
            raise self._taken() from error
        except OSError as error:
            raise FileFormatError(
                describe(
                    expected=f"to be able to write {self.path}",
                    found=error.strerror or str(error),
                    fix="choose another folder, free space on the disk, or change its permissions",
                )
            ) from error
        self._release = weakref.finalize(self, _release, handle, self.path)

    def renew(self) -> None:
        """Takes the lock again where its file was removed.

        Raises:
            ConfigError: Another process holds the lock.
            FileFormatError: The folder cannot be written.
        """
        if self.held and not self.path.exists():
            self.release()
            self.acquire()

    def release(self) -> None:
        """Releases the lock, if it is held."""
        if self._release is not None:
            self._release()
            self._release = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _taken(self) -> ConfigError:
        try:
            holder = json.loads(self.path.read_text(encoding="utf-8"))
            name = f"process {holder['pid']} on {holder['host']}, which is writing there"
        except (OSError, ValueError, KeyError, TypeError):
            name = "another process, which is writing there"
        fix = "wait for it, stop it, or choose another folder"
        if fcntl is None:
            fix += f"; if it is no longer running, remove {self.path}"
        return ConfigError(
            describe(
                expected=f"no other process in the run folder {self.path.parent}",
                found=name,
                fix=fix,
            )
        )


class _HeldError(Exception):
    """Another process holds the lock."""


def _locked_file(path: Path) -> int:
    """An open, locked file that names this process.

    Raises:
        _HeldError: another holds it.
        OSError: the file cannot be written.
    """
    flags = os.O_RDWR | os.O_CREAT | (os.O_EXCL if fcntl is None else 0)
    try:
        handle = os.open(path, flags, 0o666)
    except FileExistsError as error:
        raise _HeldError from error
    try:
        if fcntl is not None:
            _flock(handle)
        os.ftruncate(handle, 0)
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname()})
        os.write(handle, text.encode() + b"\n")
    except BaseException:
        os.close(handle)
        raise
    return handle


def _flock(handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            raise _HeldError from error
        # The file system has no locks: go on without.


def _release(handle: int, path: Path) -> None:
    os.close(handle)
    if fcntl is None:
        path.unlink(missing_ok=True)
