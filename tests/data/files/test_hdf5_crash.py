"""Damaged virtual data sets, at which the HDF5 library itself ends the process."""

from __future__ import annotations

import struct
import subprocess
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import h5py
import numpy as np
import pytest

from learnedrecon.data.files import hdf5
from learnedrecon.data.files.arrays import read_array
from learnedrecon.data.files.hdf5 import list_datasets, open_hdf5
from learnedrecon.data.files.hdf5_layout import may_be_virtual
from learnedrecon.errors import FileFormatError

if TYPE_CHECKING:
    from pathlib import Path

X = np.random.default_rng(0).random((5, 6))
READ = """
import sys
from learnedrecon.data.files.hdf5 import get_dataset, list_datasets, open_hdf5
from learnedrecon.errors import FileFormatError
for read in (list_datasets, lambda file: get_dataset(file, sys.argv[2])):
    try:
        with open_hdf5(sys.argv[1]) as file:
            read(file)
    except FileFormatError as error:
        print(error)
"""


def write_virtual(path: Path, source: str, key: str = "x") -> Path:
    """A file with one virtual data set, ``virtual``, the whole of ``key`` in ``source``."""
    layout = h5py.VirtualLayout(X.shape, "f8")
    layout[:] = h5py.VirtualSource(source, key, X.shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("virtual", layout)
    return path


def damage(path: Path) -> None:
    """Gives the selection of the target 258 axes, where HDF5 2.0.0 reads past an array of 32."""
    content = path.read_bytes()
    start, end = (0, 0), (X.shape[0] - 1, X.shape[1] - 1)
    selection = struct.pack("<10I", 2, 1, 0, 24, 2, 1, *start, *end)
    assert content.count(selection) == 1
    other = struct.pack("<10I", 2, 1, 0, 24, 258, 0, *start, *end)
    path.write_bytes(content.replace(selection, other))


def messages(path: Path, key: str) -> list[str]:
    """What the readers say of a file, in a process that may crash."""
    words = [sys.executable, "-c", READ, str(path), key]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout.splitlines()


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["x"] = X
    path = write_virtual(tmp_path / "virtual.h5", "plain.h5")
    damage(path)
    return path


@pytest.mark.parametrize(
    "way", ["itself", "external link", "soft to external", "source of another"]
)
def test_a_damaged_virtual_data_set_is_one_clear_error(damaged: Path, way: str) -> None:
    path, key = damaged.with_name("outer.h5"), "virtual"
    if way == "itself":
        path = damaged
    elif "external" in way:
        key = "link" if way == "external link" else "soft"
        with h5py.File(path, "w") as file:
            file["link"] = h5py.ExternalLink(damaged.name, "/virtual")
            file["soft"] = h5py.SoftLink("link")
    else:
        write_virtual(path, damaged.name, "virtual")
    said = messages(path, key)
    assert len(said) == 2
    for text in said:
        assert "a virtual data set" in text
        assert "the HDF5 library crashes" in text
        assert "What to do" in text


@pytest.mark.parametrize("version", ["earliest", "latest"])
@pytest.mark.parametrize("block", [0, 512])
def test_virtual_data_sets_are_known_by_their_headers(
    tmp_path: Path, version: Literal["earliest", "latest"], block: int
) -> None:
    """As the library says of open ones, whatever the layout, and with headers of several blocks."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=version, userblock_size=block) as file:
        file["whole"], file["text"], file["scalar"] = X, ["a", "b"], 3.0
        file.create_dataset("chunked", data=X, chunks=(2, 3), compression="gzip")
        file.create_dataset("empty", shape=(0, 3), dtype="f8")
        file.create_dataset("timed", data=X, track_times=True, track_order=True)
        layout = h5py.VirtualLayout(X.shape, "f8")
        layout[:] = h5py.VirtualSource(".", "whole", X.shape)
        file.create_virtual_dataset("virtual", layout)
        for name in ("whole", "virtual", "timed"):
            for number in range(40):
                file[name].attrs[f"note{number}"] = "x" * 50
    with h5py.File(path, "r") as file:
        for name, item in file.items():
            address = h5py.h5o.get_info(item.id).addr
            assert may_be_virtual(path, address, block) == item.is_virtual, name
    np.testing.assert_array_equal(read_array(path, "virtual"), X)


def test_what_is_no_header_counts_as_virtual(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for content in (b"", b"OHDR", b"\x01" + bytes(40), b"OHDR\x02" + b"\xff" * 40, bytes(40)):
        path.write_bytes(content)
        assert may_be_virtual(path, 0)
        assert may_be_virtual(path, 1 << 70)


def test_only_virtual_data_sets_cost_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        for number in range(20):
            file[f"{number}/x"] = X
    write_virtual(tmp_path / "virtual.h5", "plain.h5", "3/x")
    started = []
    run = hdf5._opens.__wrapped__

    def counted(*key: Any) -> bool:
        started.append(key)
        return run(*key)

    monkeypatch.setattr(hdf5, "_opens", lru_cache(counted))
    for _ in range(3):
        for name, count in (("plain.h5", 20), ("virtual.h5", 1)):
            with open_hdf5(tmp_path / name) as file:
                assert len(list_datasets(file)) == count
    assert len(started) == 1


def test_a_process_that_does_not_end_is_an_error(
    damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5, "_SECONDS", 0.0)
    hdf5._opens.cache_clear()
    with open_hdf5(damaged) as file, pytest.raises(FileFormatError, match="a virtual data set"):
        list_datasets(file)
