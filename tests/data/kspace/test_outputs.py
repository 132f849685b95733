"""Every ending of a volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from learnedrecon.data.files.arrays import read_array
from learnedrecon.data.files.dicom_series import Placement
from learnedrecon.data.files.nifti import nifti_header
from learnedrecon.data.kspace.outputs import montage, write_volume
from learnedrecon.errors import FileFormatError

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = (np.arange(3 * 4 * 5).reshape(3, 4, 5) * (0.6 + 0.8j)).astype(np.complex64)


def test_the_layout_of_the_challenge(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.h5", IMAGES)
    with h5py.File(tmp_path / "a.h5") as file:
        assert list(file) == ["reconstruction"]
        assert file["reconstruction"].dtype == np.float32
        assert np.allclose(file["reconstruction"], np.abs(IMAGES))


def test_the_other_endings(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.npy", IMAGES)
    assert np.array_equal(np.load(tmp_path / "a.npy"), IMAGES)
    write_volume(tmp_path / "a.tif", IMAGES)
    assert np.allclose(read_array(tmp_path / "a.tif"), np.abs(IMAGES))
    write_volume(tmp_path / "a.nii", IMAGES, Placement((3.0, 2.0, 1.0)))
    assert np.allclose(read_array(tmp_path / "a.nii"), np.abs(IMAGES))
    assert nifti_header(tmp_path / "a.nii").voxel == (3.0, 2.0, 1.0)
    write_volume(tmp_path / "a.png", 0 * IMAGES)
    assert read_array(tmp_path / "a.png").shape == (8, 10)
    with pytest.raises(FileFormatError, match="ends in"):
        write_volume(tmp_path / "a.gz", IMAGES)


def test_a_montage_has_all_slices_in_rows() -> None:
    picture = montage(np.abs(IMAGES))
    assert np.allclose(picture[:4, 5:], np.abs(IMAGES[1]))
    assert np.allclose(picture[4:, :5], np.abs(IMAGES[2]))
    assert not picture[4:, 5:].any()
