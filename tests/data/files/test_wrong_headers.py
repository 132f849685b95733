from __future__ import annotations

import os
import struct
import tracemalloc
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.data.files.arrays import ENDINGS, example
from tests.helpers import within

from learnedrecon.data.files.arrays import array_header, read_array, write_array
from learnedrecon.data.layout import ArrayRef
from learnedrecon.errors import (
    ConfigError,
    FileFormatError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def npy(path: Path, shape: str) -> Path:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64))
    return path


def png_of(path: Path, side: int) -> Path:
    """A picture whose header promises ``side`` by ``side`` pixels."""
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = side.to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    return path


def hollow(path: Path, shape: tuple[int, ...]) -> Path:
    """A data set without any values in the file."""
    with h5py.File(path, "w") as file:
        file.create_dataset("data", shape, "f8", chunks=(1,) * (len(shape) - 1) + (1024,))
    return path


LYING: dict[str, Callable[[Path], Path]] = {
    "more than numbers count": lambda folder: npy(folder / "a.npy", "(2**70, 16)"),
    "negative": lambda folder: npy(folder / "a.npy", "(-16, 16)"),
    "no shape": lambda folder: npy(folder / "a.npy", "(16, "),
    "a large picture": lambda folder: png_of(folder / "a.png", 30000),
    "a huge picture": lambda folder: png_of(folder / "a.png", 2**31 - 1),
    "an empty file of terabytes": lambda folder: hollow(folder / "a.h5", (1 << 20, 1 << 20)),
    "an empty file of gigabytes": lambda folder: hollow(folder / "a.h5", (1 << 15, 1 << 12)),
}


@pytest.mark.parametrize("name", LYING)
def test_headers_that_promise_too_much_are_refused(tmp_path: Path, name: str) -> None:
    """By the reader and, unlike the header's shape alone, before any memory is taken."""
    path = LYING[name](tmp_path)
    tracemalloc.start()
    with pytest.raises(FileFormatError, match=r"Expected .*a\..* Found .* What to do: "):
        read_array(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 24
    with suppress(FileFormatError):  # whole data sets without values have a shape
        assert ArrayRef(path).shape()


def test_the_bound_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hollow(tmp_path / "a.h5", (1 << 4, 1 << 12))
    assert read_array(path).nbytes == 1 << 19
    monkeypatch.setenv("LEARNEDRECON_MAX_BYTES", str((1 << 19) - 1))
    for file in (path, npy(tmp_path / "a.npy", "(8,)")):
        write_array(file, np.zeros((1 << 4, 1 << 12)))
        with pytest.raises(FileFormatError, match=r"512 KiB, which is too large.*MAX_BYTES"):
            read_array(file)
    monkeypatch.setenv("LEARNEDRECON_MAX_BYTES", "many")
    with pytest.raises(ConfigError, match=r"LEARNEDRECON_MAX_BYTES.*'many'"):
        read_array(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_without_an_end_is_not_read(tmp_path: Path, ending: str) -> None:
    os.mkfifo(tmp_path / f"pipe{ending}")
    (tmp_path / f"zero{ending}").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        for read in (read_array, array_header):
            with within(60), pytest.raises(FileFormatError, match="a pipe or a device"):
                read(tmp_path / f"{name}{ending}")


@pytest.mark.parametrize("kind", ["opaque", "reference", "text", "time"])
def test_hdf5_types_that_are_no_numbers_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        if kind == "opaque":
            file["data"] = np.zeros(3, "datetime64[s]").astype(h5py.opaque_dtype("datetime64[s]"))
        elif kind == "reference":
            file.create_dataset("data", data=[file.ref], dtype=h5py.ref_dtype)
        elif kind == "time":
            space = h5py.h5s.create_simple((3,))
            h5py.h5d.create(file.id, b"data", h5py.h5t.UNIX_D32LE, space)
        else:
            file["data"] = ["a", "b"]
    with pytest.raises(FileFormatError, match=r"a\.h5.* Found .* What to do: "):
        read_array(path)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_tiff_pages_in_a_circle_are_refused(
    tmp_path: Path, bigtiff: bool, byteorder: Literal["<", ">"]
) -> None:
    """The last page names the first as the next one; tifffile alone follows it 2^22 times."""
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, bigtiff=bigtiff, byteorder=byteorder) as file:
        for _ in range(3):
            file.write(example())
    assert read_array(path).shape == (3, 24, 20)
    with tifffile.TiffFile(path) as file:
        first, last = file.pages[0].offset, file.pages[2].offset
    content, (number, offset, entry) = bytearray(path.read_bytes()), ("H", "I", 12)
    if bigtiff:
        number, offset, entry = "Q", "Q", 20
    (entries,) = struct.unpack_from(byteorder + number, content, last)
    place = last + struct.calcsize(byteorder + number) + entry * entries
    assert struct.unpack_from(byteorder + offset, content, place) == (0,)
    struct.pack_into(byteorder + offset, content, place, first)
    path.write_bytes(content)
    for read in (read_array, array_header):
        with pytest.raises(FileFormatError, match="pages in a circle"):
            read(path)


def test_tiff_of_more_strips_than_bytes_is_refused(tmp_path: Path) -> None:
    """A height of two million in a file of a thousand bytes; it would be zeros, after a while."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((7, 9), np.uint16), rowsperstrip=7)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["ImageLength"].overwrite(2_000_000)
    with pytest.raises(FileFormatError, match="strips or tiles"):
        read_array(path)
