"""Raw scans that the package ismrmrd wrote, against the k-space that went into them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import ismrmrd
import numpy as np
import pytest
import torch
from tests.raw_mri_scans import RawScan, kspace, write_raw

from learnedrecon.data.kspace.facts import kspace_facts
from learnedrecon.data.kspace.files import is_kspace, read_kspace
from learnedrecon.data.kspace.slices import crop_readout, read_slice
from learnedrecon.errors import DataError, FileFormatError, LearnedReconError, ShapeError

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = RawScan()


def test_k_space_is_what_went_in(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "scan.h5")
    assert is_kspace(path)
    file = read_kspace(path)
    assert file.shape == (2, 4, 64, 36)
    assert file.matrix == (32, 32), "the reconstructed field of view, in pixels of the encoded one"
    assert file.voxel == pytest.approx((4.5, 4.375, 4.375))
    assert dict(file.attributes) == {"acquisition": "AXT2", "patient_id": "P7"}
    assert file.notes == ("No noise scan: coils are not whitened.",)
    for number in range(2):
        assert np.array_equal(file.slice(number), kspace(PLAIN)[number])


def test_the_oversampled_readout_is_cropped_by_two_transforms(tmp_path: Path) -> None:
    part = read_slice(read_kspace(write_raw(tmp_path / "scan.h5")), 1)
    assert torch.allclose(
        part.kspace, crop_readout(torch.from_numpy(kspace(PLAIN)[1]), 32), atol=1e-5
    )
    assert bool(part.acquired.all())


def test_whitening_makes_noise_white_and_of_deviation_one(tmp_path: Path) -> None:
    """Against the coupling L that made it, whose diagonal is positive."""
    random = np.random.default_rng(1)
    draws = random.normal(size=(2, 4, 4))
    coupling = np.tril(draws[0] + 1j * draws[1], -1) + np.diag([3.0, 2.0, 4.0, 1.0])
    scan = RawScan(coupling=coupling, dwell=(5.0, 5.0))
    file = read_kspace(write_raw(tmp_path / "scan.h5", scan))
    expected = kspace(RawScan())[0]
    found = file.slice(0)
    phases = found[:, 32, 18] / expected[:, 32, 18]
    assert np.allclose(np.abs(phases), 1.0, atol=0.06)
    assert np.linalg.norm(found - expected) < 0.08 * np.linalg.norm(expected)
    assert "Whitened by 5120 samples" in " ".join(file.notes)
    twice = read_kspace(write_raw(tmp_path / "b.h5", scan.but(dwell=(10.0, 5.0)))).slice(0)
    assert np.allclose(twice, np.sqrt(2.0) * found, rtol=1e-4, atol=1e-5)


def test_averages_contrasts_and_lines_that_are_no_image(tmp_path: Path) -> None:
    flags = (
        ismrmrd.ACQ_IS_NAVIGATION_DATA,
        ismrmrd.ACQ_IS_PHASECORR_DATA,
        ismrmrd.ACQ_IS_DUMMYSCAN_DATA,
    )
    scan = RawScan(averages=2, contrasts=2, extra=flags)
    path = write_raw(tmp_path / "scan.h5", scan)
    file = read_kspace(path)
    assert np.allclose(file.slice(0), kspace(scan)[0], atol=1e-5)
    text = " ".join(file.notes)
    assert "Contrasts 0 to 1: 0 is read." in text
    assert "averages of 2" in text
    (tmp_path / "scan.yaml").write_text("contrast: 1\n")
    assert np.allclose(read_kspace(path).slice(0), 2 * kspace(scan)[0], atol=1e-5)
    (tmp_path / "scan.yaml").write_text("repetition: 3\n")
    with pytest.raises(DataError, match="repetition=3"):
        read_kspace(path)


@pytest.mark.parametrize("mode", ["separate", "embedded"])
def test_the_mask_is_found_from_the_lines(tmp_path: Path, mode: str) -> None:
    """Separate calibration lines are not of the image, those in it are."""
    lines = tuple(k for k in range(36) if k % 2 == 0 or 14 <= k < 22)
    flags = (ismrmrd.ACQ_IS_PARALLEL_CALIBRATION,)
    scan = RawScan(lines=lines, calibration=mode, extra=flags if mode == "separate" else ())
    file = read_kspace(write_raw(tmp_path / "scan.h5", scan))
    assert file.mask is not None
    assert tuple(np.flatnonzero(file.mask)) == lines
    facts = kspace_facts(file, 1)
    assert facts.lines
    assert facts.centre[1] == 9
    assert ("separate calibration" in " ".join(file.notes)) == (mode == "separate")


def test_partial_fourier_is_said(tmp_path: Path) -> None:
    file = read_kspace(write_raw(tmp_path / "scan.h5", RawScan(lines=tuple(range(8, 36)))))
    assert file.mask is None
    assert "Partial Fourier: columns 8 to 35 of 36" in " ".join(file.notes)
    assert not read_slice(file, 0).acquired[:, :8].any()


@pytest.mark.parametrize(
    ("scan", "words"),
    [
        (PLAIN.but(trajectory="radial"), "NonCartesianMRI"),
        (PLAIN.but(depth=8), "third axis"),
        (PLAIN.but(samples=40), "partial echo"),
        (PLAIN.but(flags=(ismrmrd.ACQ_IS_REVERSE,)), "EPI"),
    ],
)
def test_other_scans_are_refused_with_what_to_do(tmp_path: Path, scan: RawScan, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_kspace(write_raw(tmp_path / "scan.h5", scan))


def test_damage_is_one_clear_error(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        row = file["dataset/data"][7]
        row["head"]["number_of_samples"] = 9
        file["dataset/data"][7] = row
    with pytest.raises(ShapeError, match="2 kinds"):
        read_kspace(path)
    other = write_raw(tmp_path / "other.h5")
    with h5py.File(other, "r+") as file:
        row = file["dataset/data"][0]
        row["data"] = np.ones(5, np.float32)
        file["dataset/data"][0] = row
    with pytest.raises(FileFormatError, match="samples of acquisition 0"):
        read_kspace(other).slice(0)
    with h5py.File(tmp_path / "none.h5", "w") as file:
        file["dataset/xml"] = "<a/>"
        file["dataset/data"] = np.zeros(3)
    with pytest.raises(LearnedReconError, match="no encoded matrix"):
        read_kspace(tmp_path / "none.h5")
