"""NIfTI files: the offsets of the standard, nifti1.h, and what nibabel itself reads and writes."""

from __future__ import annotations

import gzip
import struct
import sys
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest

from learnedrecon.data.files.arrays import array_header, read_array
from learnedrecon.data.files.nifti import nifti_header, read_nifti, write_nifti
from learnedrecon.data.kspace.outputs import write_volume
from learnedrecon.errors import DataError, FileFormatError, MissingExtraError, ShapeError

if TYPE_CHECKING:
    from pathlib import Path

VOLUME = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
TURNED = ((0.0, -0.7, 0.0, 5.0), (0.6, 0.0, 0.0, -3.0), (0.0, 0.0, 4.5, 1.0), (0.0, 0.0, 0.0, 1.0))


def test_the_header_is_that_of_the_standard(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii", VOLUME, (4.5, 0.7, 0.6))
    content = (tmp_path / "a.nii").read_bytes()
    assert struct.unpack_from("<i", content, 0) == (348,)
    assert struct.unpack_from("<8h", content, 40) == (3, 4, 3, 2, 1, 1, 1, 1)
    assert struct.unpack_from("<2h", content, 70) == (16, 32), "float32"
    assert struct.unpack_from("<4f", content, 76)[1:] == pytest.approx((0.6, 0.7, 4.5))
    assert content[123] == 2, "millimetres"
    assert struct.unpack_from("<2h", content, 252) == (0, 0), "no orientation"
    assert content[344:348] == b"n+1\0"
    (offset,) = struct.unpack_from("<f", content, 108)
    stored = np.frombuffer(content, "<f4", offset=int(offset)).reshape(4, 3, 2, order="F")
    assert stored[3, 1, 1] == VOLUME[1, 1, 3]


def test_compressed_files_are_equal_for_equal_volumes(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz", "c.nii"):
        write_nifti(tmp_path / name, np.ones((1, 2, 2)))
    one, other, plain = (path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert one == other
    assert gzip.decompress(one) == plain
    assert plain[123] == 0, "no unit without voxels"


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("affine", [None, TURNED])
def test_what_is_written_is_read(
    tmp_path: Path, ending: str, affine: tuple[tuple[float, float, float, float], ...] | None
) -> None:
    path = tmp_path / f"a{ending}"
    write_nifti(path, VOLUME, (4.5, 0.7, 0.6), affine)
    assert np.array_equal(read_nifti(path), VOLUME)
    assert np.array_equal(read_array(path), VOLUME)
    assert array_header(path).shape == (2, 3, 4)
    header = nifti_header(path)
    assert header.voxel == pytest.approx((4.5, 0.7, 0.6))
    assert header.affine == (None if affine is None else pytest.approx(np.array(TURNED)))
    theirs = nibabel.Nifti1Image.from_filename(path)
    assert np.array_equal(theirs.get_fdata(), VOLUME.T)
    if affine is not None:
        assert np.allclose(theirs.affine, TURNED)


def test_slope_intercept_byte_order_and_units_of_another_writer(tmp_path: Path) -> None:
    header = nibabel.Nifti2Header(endianness=">")
    header.set_data_dtype(np.int16)
    header.set_xyzt_units("micron")
    image = nibabel.Nifti2Image(VOLUME.T, np.diag([600.0, 700.0, 4500.0, 1.0]), header)
    image.header.set_slope_inter(0.5, 3.0)
    nibabel.save(image, tmp_path / "a.nii")
    assert np.allclose(read_nifti(tmp_path / "a.nii"), 0.5 * VOLUME + 3.0)
    found = nifti_header(tmp_path / "a.nii")
    assert found.voxel == pytest.approx((4.5, 0.7, 0.6))
    assert found.affine is not None
    assert found.affine[2][2] == pytest.approx(4.5)


def test_a_single_slice_and_an_axis_of_one_time(tmp_path: Path) -> None:
    for name, array in (("a", VOLUME[0].T), ("b", VOLUME.T[..., None])):
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / f"{name}.nii")
    assert np.array_equal(read_nifti(tmp_path / "a.nii"), VOLUME[:1])
    assert np.array_equal(read_nifti(tmp_path / "b.nii"), VOLUME)


def test_what_is_no_volume_is_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.ones((2, 2, 2, 3)), np.eye(4)), tmp_path / "time.nii")
    with pytest.raises(ShapeError, match="one volume"):
        read_nifti(tmp_path / "time.nii")
    nibabel.save(nibabel.Nifti1Image(np.ones((2, 2, 2)) * 1j, np.eye(4)), tmp_path / "c.nii")
    with pytest.raises(FileFormatError, match="complex128"):
        nifti_header(tmp_path / "c.nii")
    nibabel.save(nibabel.Nifti1Image(np.full((2, 2, 2), np.nan), np.eye(4)), tmp_path / "n.nii")
    with pytest.raises(DataError, match="NaN"):
        read_nifti(tmp_path / "n.nii")
    write_nifti(tmp_path / "a.nii", VOLUME)
    whole = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "half.nii").write_bytes(whole[:-8])
    with pytest.raises(FileFormatError, match="breaks off"):
        read_nifti(tmp_path / "half.nii")
    (tmp_path / "text.nii").write_text("no volume")
    with pytest.raises(FileFormatError, match="no header of NIfTI"):
        read_nifti(tmp_path / "text.nii")
    pair = whole[:344] + b"ni1\0" + whole[348:]
    (tmp_path / "pair.nii").write_bytes(pair)
    with pytest.raises(FileFormatError, match="pair of files"):
        read_nifti(tmp_path / "pair.nii")


def test_sizes_are_bounded_before_memory_is_taken(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii", VOLUME)
    content = bytearray((tmp_path / "a.nii").read_bytes())
    struct.pack_into("<3h", content, 42, 32767, 32767, 32767)
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(FileFormatError, match="a file with content"):
        read_nifti(tmp_path / "a.nii")


def test_a_missing_extra_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_nifti(tmp_path / "a.nii", VOLUME)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    for act in (
        lambda: read_array(tmp_path / "a.nii"),
        lambda: write_volume(tmp_path / "b.nii.gz", VOLUME.astype(np.complex64)),
    ):
        with pytest.raises(MissingExtraError, match=r"pip install 'learnedrecon\[nifti\]'"):
            act()
    assert not list(tmp_path.glob("*b.nii*"))
