"""One process at a time: the kernel's lock, and what is said about who holds it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from learnedrecon.errors import ConfigError, FileFormatError
from learnedrecon.training import lock as module
from learnedrecon.training.lock import FolderLock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLD = """
import sys
from learnedrecon.training.lock import FolderLock
lock = FolderLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_is_named(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(ConfigError, match=rf"process {holder.pid} on .*wait for it"):
        FolderLock(tmp_path).acquire()


def test_a_killed_process_leaves_nothing_locked(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with FolderLock(tmp_path) as lock:
        assert lock.held
        assert str(os.getpid()) in (tmp_path / ".lock").read_text()


def test_it_is_taken_once_and_given_back(tmp_path: Path) -> None:
    one, other = FolderLock(tmp_path / "new"), FolderLock(tmp_path / "new")
    with one:
        one.acquire()
        with pytest.raises(ConfigError, match=f"process {os.getpid()} on"):
            other.acquire()
    one.release()
    with other:
        assert (one.held, other.held) == (False, True)


def test_it_ends_with_the_object(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    lock.acquire()
    del lock
    FolderLock(tmp_path).acquire()


@pytest.mark.parametrize("text", ["", "[1]", "{}"])
def test_a_holder_that_cannot_be_read_is_not_named(tmp_path: Path, text: str) -> None:
    with FolderLock(tmp_path) as held:
        held.path.write_text(text)
        with pytest.raises(ConfigError, match="Found another process"):
            FolderLock(tmp_path).acquire()


def test_without_fcntl_the_file_is_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "fcntl", None)
    with FolderLock(tmp_path) as held:
        with pytest.raises(ConfigError, match=r"no longer running, remove .*\.lock"):
            FolderLock(tmp_path).acquire()
        assert held.path.exists()
    assert not held.path.exists()
    FolderLock(tmp_path).acquire()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileFormatError, match=r"to be able to write .*\.lock"):
        FolderLock(tmp_path / "file").acquire()
