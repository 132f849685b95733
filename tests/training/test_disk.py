"""Disks that are really full: a small file system of its own, and the limit of a file's size."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from learnedrecon.errors import FileFormatError
from learnedrecon.weights.tensorfile import read_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

resource = pytest.importorskip("resource")

STEPS = 9


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB, which only root may mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)]
    try:
        done = subprocess.run(words, capture_output=True, check=False)
    except OSError as error:
        pytest.skip(str(error))
    if done.returncode != 0:
        pytest.skip("mounting is not permitted")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, *, left: int) -> Path:
    """Takes all of a disk but ``left`` bytes."""
    file = disk / "other"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    file.write_bytes(b"0" * (free - left))
    return file


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """In the block no file of this process grows beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("left", [0, 4096, 8192])
def test_a_full_disk_costs_nothing_that_was_saved(
    tiny: ModuleType, tmp_path: Path, small_disk: Path, left: int
) -> None:
    """Wherever it fills up; with space again the run goes on to what it would have been."""
    path = small_disk / "run"
    assert tiny.fit(path, tiny.spec_of(STEPS), loss=tiny.StopAt(8)).step == 4
    run = tiny.folder(path, tiny.spec_of(STEPS))
    other = fill(small_disk, left=left)
    with pytest.raises(FileFormatError, match=r"No space left.*free space on the disk"):
        tiny.fit_in(run, tiny.spec_of(STEPS))
    assert not run.lock.held
    for weights in (run.checkpoints.last, run.checkpoints.best):
        read_tensors(weights)
    assert not list(path.rglob(".learnedrecon-*"))
    other.unlink()
    assert tiny.fit(path, tiny.spec_of(STEPS)).step == STEPS
    tiny.fit(tmp_path / "whole", tiny.spec_of(STEPS))
    tiny.assert_same_run(tmp_path / "whole", path)


@pytest.mark.parametrize("limit", [350, 2000])
def test_a_file_that_may_not_grow_is_told(tiny: ModuleType, tmp_path: Path, limit: int) -> None:
    """The limit ends a write as a quota does: of the records, or of the checkpoint."""
    path = tmp_path / "run"
    assert tiny.fit(path, tiny.spec_of(STEPS), loss=tiny.StopAt(4)).step == 2
    run = tiny.folder(path, tiny.spec_of(STEPS))
    name = "metrics.jsonl" if limit == 350 else "last.safetensors"
    with (
        largest_file(limit),
        pytest.raises(FileFormatError, match=rf"write .*{name}.*too large.*free space"),
    ):
        tiny.fit_in(run, tiny.spec_of(STEPS))
    assert tiny.fit(path, tiny.spec_of(STEPS)).step == STEPS
    tiny.fit(tmp_path / "whole", tiny.spec_of(STEPS))
    tiny.assert_same_run(tmp_path / "whole", path)
