"""A short run of the fuzzer, and that it would find something."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.fuzz import harness
from tests.fuzz.harness import Counts, fuzz
from tests.fuzz.seeds import Seed, seeds

from learnedrecon.errors import ConfigError, LearnedReconError

if TYPE_CHECKING:
    from collections.abc import Callable

linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="memory is measured by Linux's /proc"
)


@linux
def test_damaged_files_are_read_or_refused_in_three_parts() -> None:
    counts = fuzz(range(600), seed=1)
    assert counts.faults == 0, counts
    assert counts.read + counts.refused == counts.cases == 600
    assert counts.read > 60
    assert len(counts.formats) == 15


def test_whole_files_are_read_by_all_their_readers(tmp_path: Path) -> None:
    for seed in seeds(tmp_path):
        path = tmp_path / f"whole{seed.ending}"
        path.write_bytes(seed.content)
        taken = 0
        for read in seed.readers:
            try:
                read(path)
                taken += 1
            except LearnedReconError:  # what is no pair, or has several keys
                continue
        assert taken, seed.name


def _raises(path: Path) -> None:
    raise KeyError(path)


def _says_little(path: Path) -> None:
    raise ConfigError(f"cannot read {path}")


def _takes_memory(path: Path) -> None:
    np.ones(40_000_000, np.uint64).sum()
    del path


def _never_ends(path: Path) -> None:
    while path:
        pass


@linux
@pytest.mark.parametrize("read", [_raises, _says_little, _takes_memory, _never_ends])
def test_what_is_a_fault_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(harness, "SECONDS", 0.5)
    counts, path = Counts(), tmp_path / "a"
    path.write_bytes(b"x")
    harness._check(Seed("any", "", b"x", (read,)), read, path, counts)
    assert counts.faults >= 1
