from __future__ import annotations

import math
import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from learnedrecon.data.files.dicom import (
    WATER,
    attenuation_to_hounsfield,
    dicom_header,
    hounsfield_to_attenuation,
    read_attenuation,
    read_ct_dicom,
)
from learnedrecon.errors import DataError, FileFormatError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    source = get_testdata_file("CT_small.dcm")
    assert isinstance(source, str)
    return Path(shutil.copy(source, tmp_path / "ct.dcm"))


def change(path: Path, edit: Callable[[pydicom.Dataset], Any]) -> None:
    dataset = pydicom.dcmread(path)
    edit(dataset)
    dataset.save_as(path)


def raw_pixels(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    """The stored integers, without pydicom's decoder: the value of the element 7FE0,0010."""
    content = path.read_bytes()
    start = content.index(b"\xe0\x7f\x10\x00OW\x00\x00") + 12
    return np.frombuffer(content, "<i2", 128 * 128, start).reshape(128, 128)


def test_a_slice_is_rescaled_and_has_its_pixel_size(ct: Path) -> None:
    hounsfield, pixel_size, padding = read_ct_dicom(ct)
    assert hounsfield.dtype == np.float64
    np.testing.assert_array_equal(hounsfield, raw_pixels(ct) - 1024.0)
    assert pixel_size == (0.661468, 0.661468)
    assert not padding.any()


def test_slope_and_unequal_spacing(ct: Path) -> None:
    def edit(dataset: pydicom.Dataset) -> None:
        dataset.RescaleSlope = "0.5"
        dataset.RescaleIntercept = "-1000"
        dataset.PixelSpacing = ["2.0", "0.5"]  # between rows, then between columns

    change(ct, edit)
    hounsfield, pixel_size, _ = read_ct_dicom(ct)
    np.testing.assert_array_equal(hounsfield, 0.5 * raw_pixels(ct) - 1000.0)
    assert pixel_size == (2.0, 0.5)


def test_padding_is_told(ct: Path) -> None:
    def edit(dataset: pydicom.Dataset) -> None:
        pixels = dataset.pixel_array.copy()
        pixels[:, :5] = -2000
        pixels[0, 6] = -1990
        dataset.PixelData = pixels.tobytes()

    change(ct, edit)
    expected = np.zeros((128, 128), dtype=bool)
    expected[:, :5] = True
    np.testing.assert_array_equal(read_ct_dicom(ct).padding, expected)

    def widen(dataset: pydicom.Dataset) -> None:
        dataset.add_new("PixelPaddingRangeLimit", "SS", -1980)

    change(ct, widen)
    expected[0, 6] = True
    np.testing.assert_array_equal(read_ct_dicom(ct).padding, expected)


@pytest.mark.parametrize(
    "tag",
    ["Modality", "Rows", "Columns", "PixelSpacing", "RescaleSlope", "RescaleIntercept"],
)
def test_a_missing_tag_is_named(ct: Path, tag: str) -> None:
    change(ct, lambda dataset: delattr(dataset, tag))
    with pytest.raises(FileFormatError, match=f"no value for {tag}"):
        read_ct_dicom(ct)


@pytest.mark.parametrize(
    ("tag", "value", "named"),
    [
        ("Modality", "MR", "Modality MR"),
        ("NumberOfFrames", 3, "3 frames"),
        ("SamplesPerPixel", 3, "SamplesPerPixel 3"),
        ("RescaleType", "OD", "RescaleType OD"),
        ("PixelSpacing", ["0", "1"], "positive lengths"),
        ("PixelSpacing", "1.5", "not two numbers"),
        ("RescaleSlope", ["1", "2"], "2 values for RescaleSlope"),
        ("RescaleSlope", "", "no value for RescaleSlope"),
    ],
)
def test_a_wrong_tag_is_named(ct: Path, tag: str, value: object, named: str) -> None:
    change(ct, lambda dataset: setattr(dataset, tag, value))
    with pytest.raises(FileFormatError, match=named):
        read_ct_dicom(ct)


def test_a_slope_of_zero_is_refused(ct: Path) -> None:
    change(ct, lambda dataset: setattr(dataset, "RescaleSlope", "0"))
    with pytest.raises(DataError, match=r"RescaleSlope 0\.0"):
        read_ct_dicom(ct)


def test_no_pixel_data(ct: Path) -> None:
    change(ct, lambda dataset: delattr(dataset, "PixelData"))
    with pytest.raises(FileFormatError, match="no PixelData"):
        read_ct_dicom(ct)


def test_every_truncation_is_one_clear_error(ct: Path) -> None:
    content = ct.read_bytes()
    end = content.index(b"\xe0\x7f\x10\x00OW\x00\x00") + 12 + 2 * 128 * 128
    for length in [*range(0, end, 700), end - 1]:
        ct.write_bytes(content[:length])
        with pytest.raises(FileFormatError, match=r"Expected .*ct\.dcm .* Found .* What to do: "):
            read_ct_dicom(ct)


def test_compressed_pixels_that_break_off(ct: Path) -> None:
    def edit(dataset: pydicom.Dataset) -> None:
        dataset.compress(pydicom.uid.RLELossless)
        dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 2]

    change(ct, edit)
    with pytest.raises(FileFormatError, match="pixel data"):
        read_ct_dicom(ct)


def test_compressed_pixels_are_read(ct: Path) -> None:
    expected = raw_pixels(ct) - 1024.0
    change(ct, lambda dataset: dataset.compress(pydicom.uid.RLELossless))
    np.testing.assert_array_equal(read_ct_dicom(ct).hounsfield, expected)


def test_a_slice_as_an_image_to_measure(ct: Path) -> None:
    change(ct, lambda dataset: setattr(dataset, "PixelPaddingValue", int(raw_pixels(ct).flat[0])))
    slice_ = read_ct_dicom(ct)
    assert slice_.padding.any()
    image, pixel = read_attenuation(ct)
    expected = np.maximum(WATER * (1 + slice_.hounsfield / 1000), 0)
    expected[slice_.padding] = 0
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, expected.astype(np.float32))
    assert dicom_header(ct) == (image.shape, pixel) == ((128, 128), slice_.pixel_size)


def test_other_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such file"):
        read_ct_dicom(tmp_path / "none.dcm")
    (tmp_path / "text.dcm").write_text("no image" * 100)
    with pytest.raises(FileFormatError, match="no DICOM header"):
        read_ct_dicom(tmp_path / "text.dcm")
    with pytest.raises(FileFormatError):
        read_ct_dicom(tmp_path)
    magnetic = get_testdata_file("MR_small.dcm")
    assert isinstance(magnetic, str)
    with pytest.raises(FileFormatError, match="Modality MR"):
        read_ct_dicom(magnetic)


def test_water_and_air() -> None:
    hounsfield = np.array([-1000.0, 0.0, 1000.0])
    np.testing.assert_array_equal(hounsfield_to_attenuation(hounsfield), [0.0, WATER, 2 * WATER])
    np.testing.assert_array_equal(hounsfield_to_attenuation(hounsfield, 0.2), [0.0, 0.2, 0.4])


def test_air_is_clipped_only_when_asked() -> None:
    hounsfield = np.array([-1100.0, -1000.0, 50.0])
    free = hounsfield_to_attenuation(hounsfield)
    np.testing.assert_allclose(free[0], -0.1 * WATER, rtol=1e-14)
    np.testing.assert_array_equal(
        hounsfield_to_attenuation(hounsfield, clip=True), [0.0, 0.0, free[2]]
    )


@given(
    hounsfield=st.floats(-3024, 30000),
    water=st.floats(1e-3, 1.0),
)
def test_there_and_back(hounsfield: float, water: float) -> None:
    there = hounsfield_to_attenuation(np.array(hounsfield), water)
    back = attenuation_to_hounsfield(there, water)
    # Five roundings, each at most half an ulp of a number the size of 1000 + |HU|.
    bound = 2.5 * np.finfo(np.float64).eps * (1000 + abs(hounsfield))
    assert abs(back - hounsfield) <= bound


@pytest.mark.parametrize("water", [0.0, -0.02, math.nan, math.inf])
def test_water_must_be_positive(water: float) -> None:
    for convert in (hounsfield_to_attenuation, attenuation_to_hounsfield):
        with pytest.raises(DataError, match="attenuation of water"):
            convert(np.zeros(3), water)


ODD: dict[str, tuple[str, str, bytes]] = {
    "no number of frames": ("NumberOfFrames", "IS", b"x "),
    "two numbers of frames": ("NumberOfFrames", "IS", b"1\\2 "),
    "no slope": ("RescaleSlope", "DS", b"x "),
    "no intercept": ("RescaleIntercept", "DS", b"x "),
    "two units": ("RescaleType", "LO", b"HU\\US "),
    "two colours": ("PhotometricInterpretation", "CS", b"MONOCHROME2\\RGB"),
    "an unknown kind": ("RescaleSlope", "QQ", b"1 "),
    "a length of two bytes": ("PixelPaddingValue", "UL", b"\x01\x02"),
    "pixels of 1e300 mm": ("PixelSpacing", "DS", b"1e300\\1e300 "),
    "rows without end": ("Rows", "UL", b"\xff\xff\xff\x7f"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_values_are_one_clear_error(ct: Path, name: str) -> None:
    """Written byte by byte, as pydicom refuses to write them."""
    tag, kind, value = ODD[name]
    change(ct, lambda dataset: setattr(dataset, "PixelPaddingValue", -2000))
    change(ct, lambda dataset: setattr(dataset, "NumberOfFrames", 1))
    change(ct, lambda dataset: setattr(dataset, "RescaleType", "HU"))
    content, number = ct.read_bytes(), pydicom.datadict.tag_for_keyword(tag)
    assert number is not None
    head = struct.pack("<HH", number >> 16, number & 0xFFFF)
    place = content.index(head)
    end = place + 8 + struct.unpack_from("<H", content, place + 6)[0]
    new = head + kind.encode() + struct.pack("<H", len(value)) + value
    ct.write_bytes(content[:place] + new + content[end:])
    with pytest.raises(FileFormatError, match=r"Expected .*ct\.dcm .* Found .* What to do: "):
        read_ct_dicom(ct)


def test_deflated_data_that_are_damaged(ct: Path) -> None:
    syntax = pydicom.uid.DeflatedExplicitVRLittleEndian
    change(ct, lambda dataset: setattr(dataset.file_meta, "TransferSyntaxUID", syntax))
    assert read_ct_dicom(ct).hounsfield.shape == (128, 128)
    content = ct.read_bytes()
    ct.write_bytes(content[:600] + bytes(64) + content[664:])
    with pytest.raises(FileFormatError, match="corrupt"):
        read_ct_dicom(ct)
