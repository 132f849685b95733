from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, UnidentifiedImageError
from tests.data.files.arrays import ENDINGS, KEEPING, example

from learnedrecon.data.files.arrays import array_header, read_array, write_array
from learnedrecon.data.files.hdf5 import get_dataset, list_datasets, open_hdf5, read_dataset
from learnedrecon.data.layout import ArrayRef
from learnedrecon.errors import (
    DataError,
    DtypeError,
    FileFormatError,
    ShapeError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.mark.parametrize("ending", KEEPING)
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float32", "float64", "complex64"])
def test_numbers_and_their_type_survive(tmp_path: Path, ending: str, dtype: str) -> None:
    array = (100 * example().reshape(2, 3, 4, 20)).astype(dtype)
    path = tmp_path / f"a{ending}"
    write_array(path, array)
    again = read_array(path)
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)


@pytest.mark.parametrize("ending", [".tif", ".tiff"])
@pytest.mark.parametrize("shape", [(24, 20), (4, 6, 20), (3, 160), (160, 3), (8, 20, 3)])
def test_tiff_stores_float32_of_any_shape(
    tmp_path: Path, ending: str, shape: tuple[int, ...]
) -> None:
    array = example().astype(np.float64).reshape(shape) / 3.0
    path = tmp_path / f"a{ending}"
    write_array(path, array)
    again = read_array(path)
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, array.astype(np.float32))


def test_tiff_integers_are_not_scaled(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.uint16).reshape(3, 4)
    tifffile.imwrite(tmp_path / "a.tif", array)
    np.testing.assert_array_equal(read_array(tmp_path / "a.tif"), array)
    assert read_array(tmp_path / "a.tif").dtype == np.uint16


@given(
    array=hnp.arrays(np.float64, (5, 4), elements=st.floats(-1e3, 1e3)),
    window=st.none() | st.tuples(st.floats(-900, -1), st.floats(1, 900)),
)
def test_png_is_the_window_in_16_bits(
    tmp_path_factory: pytest.TempPathFactory,
    array: NDArray[np.float64],
    window: tuple[float, float] | None,
) -> None:
    path = tmp_path_factory.mktemp("png") / "a.png"
    array[0, :2] = -1000.5, 1000.5
    write_array(path, array, window=window)
    low, high = window or (-1000.5, 1000.5)
    again = read_array(path)
    assert again.dtype == np.float32
    expected = np.clip((array - low) / (high - low), 0, 1)
    # Half a grey level, and float32's rounding of the quotient.
    np.testing.assert_allclose(again, expected, rtol=0, atol=0.5 / 65535 + 1e-7)


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_png_integers_are_divided_by_white(tmp_path: Path, dtype: type, white: int) -> None:
    stored: NDArray[Any] = np.array([[0, 1, white // 3], [white - 1, white, 7]], dtype=dtype)
    Image.fromarray(stored).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_array(tmp_path / "a.png"), stored / np.float32(white))


def test_endings_in_capitals(tmp_path: Path) -> None:
    for ending in ENDINGS:
        path = tmp_path / f"a{ending.upper()}"
        write_array(path, example())
        assert read_array(path).shape == (24, 20)
    assert len(list(tmp_path.iterdir())) == len(ENDINGS)


def test_order_and_byte_order_become_native(tmp_path: Path) -> None:
    array = np.asfortranarray(example()).astype(">f4")
    np.save(tmp_path / "a.npy", array)
    again = read_array(tmp_path / "a.npy")
    assert again.dtype.isnative
    assert again.flags.c_contiguous
    assert again.flags.writeable
    np.testing.assert_array_equal(again, array)


def test_hdf5_needs_a_key_where_there_are_several(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["scan/kspace"] = np.ones((2, 3))
        file["mask"] = np.zeros(3)
    np.testing.assert_array_equal(read_array(path, "scan/kspace"), np.ones((2, 3)))
    for key in (None, "reconstruction", "scan"):
        with pytest.raises(FileFormatError, match=r"mask \(3,\), scan/kspace \(2, 3\)"):
            read_array(path, key)


def test_hdf5_without_data_sets(tmp_path: Path) -> None:
    h5py.File(tmp_path / "a.h5", "w").close()
    with pytest.raises(FileFormatError, match="no data sets"):
        read_array(tmp_path / "a.h5")


def test_a_key_for_a_file_without_keys(tmp_path: Path) -> None:
    write_array(tmp_path / "a.npy", example())
    with pytest.raises(FileFormatError, match="key 'x'"):
        read_array(tmp_path / "a.npy", "x")


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_truncation_is_one_clear_error(tmp_path: Path, ending: str) -> None:
    whole, part = tmp_path / f"a{ending}", tmp_path / f"b{ending}"
    write_array(whole, example())
    content = whole.read_bytes()
    # All grey values of a PNG come before two checksums and the chunk that marks its end.
    end = len(content) - (24 if ending == ".png" else 0)
    for length in [*range(0, end, max(1, end // 40)), end - 1]:
        part.write_bytes(content[:length])
        with pytest.raises(FileFormatError, match=r"Expected .*b\..* Found .* What to do: "):
            read_array(part)


@pytest.mark.parametrize("ending", ENDINGS)
def test_damage_gives_an_array_or_one_clear_error(tmp_path: Path, ending: str) -> None:
    whole, part = tmp_path / f"a{ending}", tmp_path / f"b{ending}"
    write_array(whole, example())
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(60):
        content = bytearray(whole.read_bytes())
        for place in rng.integers(min(len(content), 300), size=3):
            content[place] = rng.integers(256)
        part.write_bytes(content)
        try:
            assert np.isfinite(read_array(part)).all()
        except (FileFormatError, ShapeError, DataError):
            refused += 1
    assert refused > 5


@pytest.mark.parametrize(
    ("error", "named"),
    [(MemoryError("47 TiB"), "too large.*47 TiB"), (PermissionError("denied"), "denied")],
)
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_whole_file_is_not_called_corrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, error: Exception, named: str
) -> None:
    path = tmp_path / f"a{ending}"
    write_array(path, example())

    def fails(*_: object, **__: object) -> None:
        raise error

    for module, name in (
        (h5py, "File"),
        (np.lib.format, "open_memmap"),
        (tifffile, "TiffFile"),
        (Image, "open"),
    ):
        monkeypatch.setattr(module, name, fails)
    with pytest.raises(FileFormatError, match=rf"Expected .*a\..*{named}.* What to do: ") as caught:
        read_array(path)
    assert "corrupt" not in str(caught.value)


@pytest.mark.parametrize("error", [PermissionError("x"), KeyError("x"), RuntimeError("x")])
def test_an_error_of_the_caller_is_not_the_file_s(tmp_path: Path, error: Exception) -> None:
    write_array(tmp_path / "a.h5", example())
    with pytest.raises(type(error)) as caught, open_hdf5(tmp_path / "a.h5") as file:
        raise error
    assert caught.value is error
    assert not file


def test_values_of_an_hdf5_file_that_break_off_are_named(tmp_path: Path) -> None:
    """A chunk of compressed values is damaged: the file opens, and reading the data set fails."""
    path = tmp_path / "a.h5"
    values = np.random.default_rng(0).standard_normal(4096)
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("data", data=values, chunks=(4096,), compression="gzip")
        chunk = dataset.id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + 64] = bytes(64)
    path.write_bytes(content)
    with open_hdf5(path) as file:
        assert list_datasets(file) == {"data": (4096,)}
        with pytest.raises(FileFormatError, match=r"Expected .*a\.h5.*corrupt.* What to do: "):
            read_dataset(get_dataset(file, "data"))
    with pytest.raises(FileFormatError, match="corrupt"):
        read_array(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_text_and_missing_files_are_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    with pytest.raises(FileFormatError, match="no such file"):
        read_array(path)
    path.write_text("not what its name says")
    with pytest.raises(FileFormatError, match=r"a\..*corrupt"):
        read_array(path)


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.npx"])
def test_unknown_endings_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileFormatError, match=r"\.npy, \.tif, \.tiff, \.png, \.npz, \.h5"):
        read_array(tmp_path / name)
    with pytest.raises(FileFormatError, match=name):
        write_array(tmp_path / name, example())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("ending", ENDINGS)
def test_not_a_number_is_neither_read_nor_written(tmp_path: Path, ending: str, bad: float) -> None:
    array = example()
    array[3, 4] = bad
    path = tmp_path / f"a{ending}"
    with pytest.raises(DataError, match=r"1 of 480 .* the first at \(3, 4\)"):
        write_array(path, array)
    assert not path.exists()
    if ending in {".npy", ".tif", ".h5"}:
        write_unchecked(path, array)
        with pytest.raises(DataError, match=r"1 of 480 .* the first at \(3, 4\)"):
            read_array(path)


def write_unchecked(path: Path, array: NDArray[Any]) -> None:
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        with h5py.File(path, "w") as file:
            file["data"] = array


def test_objects_text_and_records_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    with pytest.raises(FileFormatError, match=r"o\.npy"):
        read_array(tmp_path / "o.npy")
    for array in (np.array(["a", "b"]), np.zeros(2, dtype=[("x", "f4"), ("y", "f4")])):
        np.save(tmp_path / "s.npy", array)
        with pytest.raises(FileFormatError, match="values of type"):
            read_array(tmp_path / "s.npy")
        with pytest.raises(DtypeError, match="numbers"):
            write_array(tmp_path / "t.npy", array)
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["data"] = "a line of text"
    with pytest.raises(FileFormatError, match="values of type"):
        read_array(tmp_path / "s.h5")


@pytest.mark.parametrize("mode", ["1", "LA", "RGB", "RGBA", "P"])
def test_colour_and_transparency_are_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (4, 3)).save(tmp_path / "a.png")
    with pytest.raises(FileFormatError, match=f"mode {mode}"):
        read_array(tmp_path / "a.png")


def test_tiff_with_colours_or_unequal_pages_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((8, 9, 3), np.uint8), photometric="rgb")
    with pytest.raises(FileFormatError, match="RGB"):
        read_array(tmp_path / "c.tif")
    with tifffile.TiffWriter(tmp_path / "p.tif") as file:
        file.write(np.zeros((4, 5), np.float32))
        file.write(np.zeros((6, 7), np.float32))
    with pytest.raises(FileFormatError, match="2 pictures"):
        read_array(tmp_path / "p.tif")


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_number_of_axes_is_checked(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write_array(path, example())
    assert read_array(path, ndim=2).shape == (24, 20)
    with pytest.raises(ShapeError, match=r"3 axes .* Found shape \(24, 20\)"):
        read_array(path, ndim=3)


def test_empty_arrays_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.empty((0, 3)))
    with pytest.raises(ShapeError, match=r"\(0, 3\)"):
        read_array(tmp_path / "a.npy")
    with pytest.raises(ShapeError, match=r"\(0, 3\)"):
        write_array(tmp_path / "b.npy", np.empty((0, 3)))


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    for ending in (".tif", ".png"):
        with pytest.raises(DtypeError, match="complex64"):
            write_array(tmp_path / f"a{ending}", example().astype(np.complex64))
    with pytest.raises(DataError, match=r"1e\+39"):
        write_array(tmp_path / "a.tif", np.array([[1e39, 0.0]]))
    with pytest.raises(ShapeError, match="2 axes"):
        write_array(tmp_path / "a.png", example().reshape(4, 6, 20))
    with pytest.raises(DataError, match="constant"):
        write_array(tmp_path / "a.png", np.ones((3, 3)))
    with pytest.raises(DataError, match=r"\(2\.0, 1\.0\)"):
        write_array(tmp_path / "a.png", example(), window=(2.0, 1.0))
    with pytest.raises(DataError, match="window"):
        write_array(tmp_path / "a.npy", example(), window=(0.0, 1.0))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_failed_write_keeps_the_old_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write_array(path, example())
    before = path.read_bytes()
    with pytest.raises(DataError):
        write_array(path, np.full((2, 2), np.nan))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("stack", [False, True])
def test_tiff_compressed_by_lzw_is_read(tmp_path: Path, dtype: str, stack: bool) -> None:
    """As Pillow's libtiff writes it, which tifffile leaves to another package."""
    pages = [(90 * np.abs(example()) + k).astype(dtype) for k in range(3 if stack else 1)]
    first, *rest = (Image.fromarray(page) for page in pages)
    path = tmp_path / "a.tif"
    first.save(path, compression="tiff_lzw", save_all=True, append_images=rest)
    found = read_array(path)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.stack(pages) if stack else pages[0])
    assert array_header(path) == (found.shape, found.dtype)


def test_a_compression_that_nothing_here_decodes_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(example()).save(tmp_path / "a.tif", compression="tiff_lzw")

    def fails(*_: object, **__: object) -> None:
        raise UnidentifiedImageError

    monkeypatch.setattr(Image, "open", fails)
    with pytest.raises(FileFormatError, match=r"LZW.*pip install imagecodecs") as caught:
        read_array(tmp_path / "a.tif")
    assert "corrupt" not in str(caught.value)


def test_tiff_pages_of_one_shape_are_a_stack(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pages = [example() + k for k in range(3)]
    with tifffile.TiffWriter(path) as file:
        for page in pages:
            file.write(page)
    np.testing.assert_array_equal(read_array(path), np.stack(pages))
    assert array_header(path).shape == ArrayRef(path).shape() == (3, 24, 20)


def test_headers_say_what_is_read(tmp_path: Path) -> None:
    for ending in ENDINGS:
        path = tmp_path / f"a{ending}"
        write_array(path, example())
        found = read_array(path)
        assert array_header(path) == (found.shape, found.dtype)
