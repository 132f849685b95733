"""Atomic file writes, planning of outputs, and safe reading of files.

Errors that other libraries raise on damaged files become one message in :func:`reading`. Paths
without an end, such as pipes, are refused by :func:`require_file`. Memory is allocated only after
:func:`refuse_size`.
"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from learnedrecon.errors import ConfigError, FileFormatError, LearnedReconError, describe
from learnedrecon.limits import MAX_BYTES, byte_limit, in_bytes, refuse_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@contextmanager
def writing(target: str | os.PathLike[str]) -> Iterator[None]:
    """A context that converts system errors while writing ``target`` into one message for users.

    Args:
        target: Path that is written.

    Raises:
        FileFormatError: The folder cannot be written, or the disk is full.
    """
    try:
        yield
    except OSError as error:
        raise FileFormatError(
            describe(
                expected=f"to be able to write {target}",
                found=f"{error.strerror or error}",
                fix="choose another folder, free space on the disk, or change its permissions",
            )
        ) from error


_DENSEST: Final = 2048
"""Times that an array may be larger than its file: deflate reaches 1032, LZW 1365."""

_SMALL: Final = 1 << 28
"""Bytes that any array may take, however small its file is."""

_COPY: Final = "copy or download the file again, or correct its ending"


@contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """An atomic write: a temporary path beside ``target`` that is renamed onto it on success.

    The temporary file has the ending of ``target``, is flushed to the disk before the rename, and
    is removed if the block raises. A reader therefore never sees half a file, and a crash never
    damages the old one. :func:`remove_leftovers` removes the files of killed processes.

    Args:
        target: Path that is written.

    Raises:
        FileFormatError: The folder cannot be written, or the disk is full.
    """
    target = Path(target)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=_prefix(target), suffix=target.suffix
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(target)
            _flush_folder(target.parent)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def remove_leftovers(target: str | os.PathLike[str]) -> None:
    """Removal of the temporary files that killed writes of ``target`` left beside it.

    No other file has their names: ``.learnedrecon-``, the name of the target, a hyphen, and the
    eight characters of ``tempfile``. No other process may be writing ``target`` at the same time.

    Args:
        target: Path whose temporary files are removed.
    """
    target = Path(target)
    name = re.escape(_prefix(target)) + "[a-z0-9_]{8}" + re.escape(target.suffix)
    if target.parent.is_dir():
        for entry in target.parent.iterdir():
            if re.fullmatch(name, entry.name) and entry.is_file():
                entry.unlink(missing_ok=True)


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Atomic write of a text in UTF-8; see :func:`atomic_path`.

    Args:
        target: Path that is written.
        text: Content.
    """
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


def _prefix(target: Path) -> str:
    return f".learnedrecon-{target.stem}-"


def plan_outputs(
    outputs: Iterable[str | os.PathLike[str]],
    *,
    inputs: Iterable[str | os.PathLike[str]] = (),
    own: Iterable[str | os.PathLike[str]] = (),
    force: bool = False,
) -> tuple[Path, ...]:
    """Check of all files that a command will write, before it computes anything.

    The rule is the same for every command: an input is never overwritten, with or without
    ``force``; another file only with ``force``; and two results never share a file. Links are
    followed.

    Args:
        outputs: Files to write; missing folders are created when they are written.
        inputs: Files and folders that the command reads; all files of a folder are inputs.
        own: Outputs in a place of the command's own, such as ``results.json`` in a run folder,
            which replace what it wrote there before.
        force: True if other files may be overwritten.

    Returns:
        Outputs in their order.

    Raises:
        ConfigError: An output breaks the rule, or is a folder, a device or inside of a file.
    """
    paths = tuple(Path(output) for output in outputs)
    places = [path.resolve() for path in paths]
    read = [Path(each) for each in inputs]
    mine = {Path(each).resolve() for each in own}
    for number, (path, place) in enumerate(zip(paths, places, strict=True)):
        if place in places[:number]:
            raise _refused(
                "a file of its own for every result",
                f"two results for {path}",
                "name it with another ending, such as .json, or choose another name with -o",
            )
        _refuse_impossible(path, place)
        if place in mine and not any(each.is_file() and _same(each, place) for each in read):
            continue
        if place.exists() and any(_holds(each, place) for each in read):
            raise _refused(
                f"another file than the input {path} to write to",
                "the same for both",
                "choose another name with -o",
            )
        if place.exists() and not force:
            raise _refused(
                f"no file at {path}",
                "one",
                "choose another name with -o, or overwrite it with --force",
            )
    return paths


def _refuse_impossible(path: Path, place: Path) -> None:
    fix = "choose another name with -o"
    if place.exists() and not place.is_file():
        kind = "a folder" if place.is_dir() else "a device or pipe"
        raise _refused(f"a file at {path}", kind, fix)
    parents = [each for each in place.parents if each.exists()]
    if not parents[0].is_dir():
        raise _refused(f"a folder at {parents[0]}", "a file", fix)


def _holds(read: Path, place: Path) -> bool:
    """True if an input is the file ``place``, or a folder with it."""
    return _same(read, place) or (read.is_dir() and place.is_relative_to(read.resolve()))


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _refused(expected: str, found: str, fix: str) -> ConfigError:
    return ConfigError(describe(expected=expected, found=found, fix=fix))


@contextmanager
def reading(
    path: str | os.PathLike[str], expected: str, *, corrupt: str | None = None, fix: str = _COPY
) -> Iterator[None]:
    """A context around a library that reads a file, which converts all its errors into one.

    Only calls of the library belong inside. Errors of this package pass unchanged.

    Args:
        path: Name of the file, for the message.
        expected: Noun phrase for the file, such as "an HDF5 file".
        corrupt: Description of the damage; by default that the file is another kind of file or
            damaged.
        fix: Advice for damaged files.

    Raises:
        FileFormatError: The file may not be opened, is damaged, or does not fit into memory.
    """
    try:
        yield
    except LearnedReconError:
        raise
    except PermissionError as error:
        raise unreadable(path, expected, str(error), "change its permissions") from error
    except FileNotFoundError as error:
        raise unreadable(path, expected, "no such file", "check the path") from error
    except MemoryError as error:
        found = f"more than fits into the memory, too large ({error or type(error).__name__})"
        raise unreadable(path, expected, found, _SMALLER) from error
    except Exception as error:  # whatever its decoder raises
        kind = corrupt or "something else, or a file that breaks off or is corrupt"
        raise unreadable(path, expected, f"{kind} ({_reason(error)})", fix) from error


def unreadable(
    path: str | os.PathLike[str], expected: str, found: str, fix: str = _COPY
) -> FileFormatError:
    """The error for a file of another content than expected.

    Args:
        path: Name of the file.
        expected: Noun phrase for the expected file.
        found: Noun phrase for what was found.
        fix: Advice in the message.
    """
    return FileFormatError(
        describe(expected=f"{os.fspath(path)} to be {expected}", found=found, fix=fix)
    )


def require_file(path: str | os.PathLike[str], expected: str) -> Path:
    """The path of an existing regular file.

    Args:
        path: Path to check.
        expected: Noun phrase for the expected file, for the message.

    Raises:
        FileFormatError: There is nothing, or a folder, a pipe or a device, which may never end.
    """
    path = Path(path)
    with reading(path, expected):
        if path.is_file():
            return path
        if path.is_dir():
            raise unreadable(path, expected, "a directory", "name a file in it")
        if path.exists():
            raise unreadable(path, expected, "a pipe or a device", "store it in a file first")
    raise unreadable(path, expected, "no such file", "check the path")


def refuse_size(path: str | os.PathLike[str], needed: int, *, stored: int | None = None) -> None:
    """Check that an allocation fits into memory, and that the file can contain so many bytes.

    A compressed file contains at most about a thousand times its size: a header that announces more
    is damaged, or made to exhaust the memory. Sizes below 256 MiB always pass this second test.

    Args:
        path: File, for its size and for the message.
        needed: Number of bytes to allocate.
        stored: Size in bytes where the content is in another file.

    Raises:
        FileFormatError: ``needed`` is larger than the memory of this machine, or than the
            environment's LEARNEDRECON_MAX_BYTES, which also switches the second test off.
    """
    most = byte_limit()
    if os.environ.get(MAX_BYTES) is None:
        size = Path(path).stat().st_size if stored is None else stored
        most = min(most, max(_SMALL, _DENSEST * size))
    what = f"{os.fspath(path)} to be a file with content"
    refuse_bytes(needed, what, most=most, kind=FileFormatError, fix=_SMALLER)


def read_text(path: str | os.PathLike[str], expected: str, *, most: int = 1 << 23) -> str:
    """The text of a file in UTF-8.

    Args:
        path: Path of the file.
        expected: Noun phrase for the file, for messages.
        most: Largest accepted size in bytes.

    Raises:
        FileFormatError: There is no such file, it is a pipe, is too large, or is not UTF-8.
    """
    path = require_file(path, expected)
    with reading(path, expected, fix="repair the file"):
        with path.open("rb") as file:
            content = file.read(most + 1)
        if len(content) > most:
            found = f"more than {in_bytes(most)}, which is too large for a text"
            raise unreadable(path, expected, found, "name another file")
        return content.decode("utf-8")


_SMALLER: Final = (
    f"use a part of it, or raise {MAX_BYTES} where it is right; if it should be small, its "
    "header is damaged"
)


def _reason(error: Exception) -> str:
    """The message of the library on one line."""
    return " ".join(str(error).split()) or type(error).__name__
