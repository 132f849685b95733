"""k-space simulated from magnitude images: known in closed form, and the same in every epoch."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
import torch
from pydicom.data import get_testdata_file

from learnedrecon.data.files.arrays import write_array
from learnedrecon.data.files.nifti import write_nifti
from learnedrecon.data.kspace.dataset import KSpaceSlices, KSpaceSpec
from learnedrecon.data.kspace.folder import kspace_folder
from learnedrecon.data.kspace.images import is_magnitude_scan
from learnedrecon.data.kspace.simulated import (
    MagnitudeSimulation,
    note_simulation,
    simulated_file,
    smooth_phase,
)
from learnedrecon.data.kspace.slices import CoilMapSpec, read_slice
from learnedrecon.data.phantoms.shepp_logan import shepp_logan
from learnedrecon.errors import ConfigError, DataError, FileFormatError
from learnedrecon.operators.mri.sampling import RandomLines
from learnedrecon.solvers.coils.coil_maps import coil_images, rss

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LOW = CoilMapSpec("low_resolution")
MASK = RandomLines((3,), (0.3,))
SIMULATION = MagnitudeSimulation(4, 0.01, 2.0)


def volume(slices: int = 3, shape: tuple[int, int] = (24, 28)) -> NDArray[np.float32]:
    values = np.stack([shepp_logan(shape) * (1.0 + k) for k in range(slices)])
    values[-1] = 0.0
    return values.clip(0.0).astype(np.float32)


@pytest.fixture
def nifti(tmp_path: Path) -> Path:
    write_nifti(tmp_path / "sub1.nii.gz", volume(), (3.0, 0.9, 0.8))
    return tmp_path / "sub1.nii.gz"


def test_coil_images_without_noise_have_the_magnitude_of_the_image(nifti: Path) -> None:
    """The root of the sum of squares of normalised maps times the image, whatever its phase."""
    file = simulated_file(nifti, SIMULATION)
    clean = file.clean(1)
    assert clean is not None
    images = coil_images(torch.from_numpy(clean))
    assert torch.allclose(rss(images), torch.from_numpy(volume()[1]), atol=1e-5)
    assert file.voxel == pytest.approx((3.0, 0.9, 0.8))
    assert file.empty == (2,)
    reference = file.reference_image(1)
    assert reference is not None
    assert np.array_equal(reference, volume()[1])


def test_noise_has_the_deviation_that_was_asked_for(nifti: Path) -> None:
    """Of real and imaginary parts, uncorrelated, relative to the largest value of the volume."""
    file = simulated_file(nifti, MagnitudeSimulation(8, 0.05))
    clean = file.clean(0)
    assert clean is not None
    noise = file.slice(0).astype(np.complex128) - clean
    sigma = 0.05 * float(volume().max())
    assert noise.real.std() == pytest.approx(sigma, rel=0.03)
    assert noise.imag.std() == pytest.approx(sigma, rel=0.03)
    assert abs(np.mean(noise.real * noise.imag)) < 0.05 * sigma**2


def test_the_phase_is_smooth_and_bounded() -> None:
    phase = smooth_phase((64, 80), 2.0, np.random.default_rng(0))
    assert np.abs(phase).max() == pytest.approx(2.0)
    assert max(np.abs(np.diff(phase, axis=a)).max() for a in (0, 1)) < 0.4
    fourth = np.diff(phase, 4, axis=1)
    assert np.abs(fourth).max() < 1e-9, "a polynomial of degree 3"


def test_everything_is_drawn_from_the_name_of_the_file(nifti: Path) -> None:
    other = nifti.with_name("sub2.nii.gz")
    shutil.copy(nifti, other)
    moved = nifti.parent / "folder" / nifti.name
    moved.parent.mkdir()
    shutil.copy(nifti, moved)
    one, again, two = (simulated_file(path, SIMULATION) for path in (nifti, moved, other))
    assert np.array_equal(one.slice(0), again.slice(0))
    assert not np.allclose(one.slice(0), two.slice(0), atol=0.1)
    first, second = one.clean(0), one.clean(1)
    assert first is not None
    assert second is not None
    assert not np.allclose(np.angle(first), np.angle(second), atol=0.1)


def test_samples_have_the_image_without_noise_and_skip_empty_slices(nifti: Path) -> None:
    spec = KSpaceSpec(str(nifti.parent), mask=MASK, maps=LOW, masks=1, simulation=SIMULATION)
    dataset = KSpaceSlices(spec)
    assert [dataset[k].id for k in range(len(dataset))] == ["sub1.nii/000", "sub1.nii/001"]
    noisy = KSpaceSlices(
        KSpaceSpec(
            str(nifti.parent), mask=MASK, maps=LOW, masks=1, simulation=MagnitudeSimulation(4, 0.1)
        )
    )
    truth, other = dataset[1].truth, noisy[1].truth
    assert truth is not None
    assert other is not None
    shown = truth[0].abs() / truth.abs().max()
    exact = torch.from_numpy(volume()[1] / volume()[1].max())
    assert float((shown - exact).norm() / exact.norm()) < 0.002
    ratio = other.abs() / other.abs().max()
    assert float((ratio[0] - exact).norm() / exact.norm()) < 0.06, "noise is in the maps alone"


def test_the_log_says_that_simulated_data_flatter(
    nifti: Path, caplog: pytest.LogCaptureFixture
) -> None:
    note_simulation.cache_clear()
    KSpaceSlices(KSpaceSpec(str(nifti.parent), simulation=SIMULATION))
    assert "flatter" in caplog.text
    assert "Shimron" in caplog.text


def test_png_npy_and_dicom_are_images_too(tmp_path: Path) -> None:
    write_array(tmp_path / "a.png", volume()[0])
    np.save(tmp_path / "b.npy", volume())
    shutil.copy(str(get_testdata_file("MR_small.dcm", download=False)), tmp_path / "c.dcm")
    (tmp_path / "notes.txt").write_text("beside")
    np.save(tmp_path / "bad.npy", -volume())
    found = kspace_folder(tmp_path, SIMULATION)
    assert [file.shape[0] for file in found.files] == [1, 3, 1]
    assert "magnitude" in found.broken[tmp_path / "bad.npy"]
    assert [path.name for path in found.beside] == ["notes.txt"]
    dicom = found.files[2]
    assert dict(dicom.attributes)["patient_id"] == "4MR1"
    assert dicom.voxel == pytest.approx((0.8, 0.3125, 0.3125))
    stored = pydicom.dcmread(tmp_path / "c.dcm").pixel_array
    reference = dicom.reference_image(0)
    assert reference is not None
    assert np.array_equal(reference, stored)


def test_scans_of_mri_are_told_from_other_images(tmp_path: Path) -> None:
    for name in ("MR_small.dcm", "CT_small.dcm"):
        shutil.copy(str(get_testdata_file(name, download=False)), tmp_path / name)
    assert is_magnitude_scan(tmp_path / "MR_small.dcm")
    assert not is_magnitude_scan(tmp_path / "CT_small.dcm")
    (tmp_path / "x.dcm").write_bytes(b"no DICOM")
    assert not is_magnitude_scan(tmp_path / "x.dcm")


def test_one_coil_has_no_maps(nifti: Path) -> None:
    file = simulated_file(nifti, MagnitudeSimulation(1))
    assert file.coils is None
    assert read_slice(file, 0).spec.coils is None
    clean = file.clean(0)
    assert clean is not None
    assert torch.allclose(
        coil_images(torch.from_numpy(clean))[0].abs(), torch.from_numpy(volume()[0]), atol=1e-5
    )


def test_what_cannot_be_simulated_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "zero.npy", np.zeros((4, 4)))
    with pytest.raises(DataError, match="not all zero"):
        simulated_file(tmp_path / "zero.npy", SIMULATION)
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(FileFormatError, match="magnitude images in"):
        simulated_file(tmp_path / "a.txt", SIMULATION)
    for wrong in ({"coils": 0}, {"noise": 0.0}, {"phase": float("nan")}):
        with pytest.raises(ConfigError, match="simulation"):
            MagnitudeSimulation(**wrong)
