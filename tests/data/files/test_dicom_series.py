"""Series in DICOM: values, unique identifiers, patients, and the plane in the patient."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from learnedrecon.data.files.dicom_images import read_magnitude_dicom
from learnedrecon.data.files.dicom_series import (
    DicomIdentity,
    Placement,
    series_paths,
    write_series,
)
from learnedrecon.errors import FileFormatError

if TYPE_CHECKING:
    from pathlib import Path

VOLUME = 3e-5 * np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
TURNED = ((0.0, -0.9, 0.0, 5.0), (0.8, 0.0, 0.0, -3.0), (0.0, 0.0, 3.0, 1.0), (0.0, 0.0, 0.0, 1.0))


def test_values_come_back_to_half_a_step(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    write_series(path, VOLUME, Placement((3.0, 0.9, 0.8)), DicomIdentity())
    files = series_paths(path, 3)
    assert [file.name for file in files] == ["a-001.dcm", "a-002.dcm", "a-003.dcm"]
    for number, file in enumerate(files):
        found = read_magnitude_dicom(file)
        assert np.abs(found.values - VOLUME[number]).max() <= 0.51 * VOLUME.max() / 65535
        assert found.voxel == pytest.approx((3.0, 0.9, 0.8))
    write_series(tmp_path / "zero.dcm", 0 * VOLUME[:1], Placement(), DicomIdentity())
    assert not read_magnitude_dicom(tmp_path / "zero.dcm").values.any()


def test_a_series_is_derived_and_has_new_identifiers(tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        write_series(tmp_path / f"{name}.dcm", VOLUME, Placement(), DicomIdentity())
        found += [pydicom.dcmread(p) for p in series_paths(tmp_path / f"{name}.dcm", 3)]
    assert {each.ImageType[0] for each in found} == {"DERIVED"}
    assert [each.InstanceNumber for each in found] == [1, 2, 3, 1, 2, 3]
    assert len({each.SOPInstanceUID for each in found}) == 6
    assert len({each.SeriesInstanceUID for each in found}) == 2
    assert all("ImagePositionPatient" not in each for each in found)


@pytest.mark.parametrize("anonymise", [False, True])
def test_the_patient_is_kept_or_not(tmp_path: Path, anonymise: bool) -> None:
    source = tmp_path / "source.dcm"
    shutil.copy(str(get_testdata_file("MR_small.dcm", download=False)), source)
    identity = DicomIdentity(source, anonymise=anonymise)
    write_series(tmp_path / "a.dcm", VOLUME[:1], Placement(), identity)
    theirs, ours = (pydicom.dcmread(tmp_path / f"{n}.dcm") for n in ("source", "a"))
    assert (ours.PatientName == theirs.PatientName) is not anonymise
    assert (ours.PatientID == theirs.PatientID) is not anonymise
    assert (ours.StudyInstanceUID == theirs.StudyInstanceUID) is not anonymise
    assert ours.SeriesInstanceUID != theirs.SeriesInstanceUID
    assert ours.SOPInstanceUID != theirs.SOPInstanceUID
    if anonymise:
        assert ours.PatientIdentityRemoved == "YES"
        assert str(theirs.PatientName).encode() not in (tmp_path / "a.dcm").read_bytes()


def test_pixels_lie_where_the_affine_puts_them(tmp_path: Path) -> None:
    """P = position + X·dx·column + Y·dy·row, with x and y of NIfTI reversed."""
    write_series(tmp_path / "a.dcm", VOLUME, Placement((3.0, 0.9, 0.8), TURNED), DicomIdentity())
    for k, path in enumerate(series_paths(tmp_path / "a.dcm", 3)):
        image = pydicom.dcmread(path)
        across, down = np.reshape(np.array(image.ImageOrientationPatient, float), (2, 3))
        dy, dx = map(float, image.PixelSpacing)
        found = np.array(image.ImagePositionPatient, float) + 4 * dx * across + 2 * dy * down
        x, y, z = (np.array(TURNED) @ [4, 2, k, 1])[:3]
        assert np.allclose(found, [-x, -y, z], atol=1e-6)


def test_a_source_that_is_no_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.dcm").write_bytes(b"text")
    with pytest.raises(FileFormatError, match="of the patient"):
        write_series(tmp_path / "a.dcm", VOLUME, Placement(), DicomIdentity(tmp_path / "x.dcm"))
    assert not (tmp_path / "a-001.dcm").exists()
