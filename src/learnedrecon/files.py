"""Atomic file writes, and which files a command may write."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from learnedrecon.errors import ConfigError, FileFormatError, describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@contextmanager
def writing(target: str | os.PathLike[str]) -> Iterator[None]:
    """Turns what the system says against writing ``target`` into the message for users.

    Raises:
        FileFormatError: the folder cannot be written, or the disk is full.
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


@contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside ``target`` and renames it onto ``target`` on success.

    The temporary file has the ending of ``target``, is flushed to the disk before the rename, and
    is removed if the block raises: a reader never sees half a file, and a crash never costs the
    old one. What a killed process leaves, :func:`remove_leftovers` removes.

    Raises:
        FileFormatError: the folder cannot be written, or the disk is full.
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
    """Removes the temporary files that killed writes of ``target`` left beside it.

    No other file has their names: ``.learnedrecon-``, the name of the target, a hyphen, and the
    eight characters of ``tempfile``. Nobody else may be writing ``target`` meanwhile.
    """
    target = Path(target)
    name = re.escape(_prefix(target)) + "[a-z0-9_]{8}" + re.escape(target.suffix)
    if target.parent.is_dir():
        for entry in target.parent.iterdir():
            if re.fullmatch(name, entry.name) and entry.is_file():
                entry.unlink(missing_ok=True)


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


def _prefix(target: Path) -> str:
    return f".learnedrecon-{target.stem}-"


def plan_outputs(
    outputs: Iterable[str | os.PathLike[str]],
    *,
    inputs: Iterable[str | os.PathLike[str]] = (),
    own: Iterable[str | os.PathLike[str]] = (),
    force: bool = False,
) -> tuple[Path, ...]:
    """Checks all files that a command is about to write, before it computes anything.

    The one rule for every command: never over an input, whether or not it is forced; never over
    another file unless it is forced; never two results into one file. Links are followed.

    Args:
        outputs: Files to be written; folders that are missing are made when they are.
        inputs: Files and folders that the command reads; of a folder, everything in it is input.
        own: Outputs which the command names itself in a place of its own, such as ``results.json``
            in a run folder: these replace what it wrote there before.
        force: Whether other files may be overwritten.

    Returns:
        The outputs in their order.

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


def refuse_overwriting(path: Path, *, force: bool) -> None:
    """Refuses a file that exists; see :func:`plan_outputs`.

    Raises:
        ConfigError: it does, and ``force`` is not set.
    """
    plan_outputs([path], force=force)


def _refuse_impossible(path: Path, place: Path) -> None:
    fix = "choose another name with -o"
    if place.exists() and not place.is_file():
        kind = "a folder" if place.is_dir() else "a device or pipe"
        raise _refused(f"a file at {path}", kind, fix)
    parents = [each for each in place.parents if each.exists()]
    if not parents[0].is_dir():
        raise _refused(f"a folder at {parents[0]}", "a file", fix)


def _holds(read: Path, place: Path) -> bool:
    """Whether an input is the file ``place``, or a folder with it."""
    return _same(read, place) or (read.is_dir() and place.is_relative_to(read.resolve()))


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _refused(expected: str, found: str, fix: str) -> ConfigError:
    return ConfigError(describe(expected=expected, found=found, fix=fix))
