"""A folder of fastMRI's files goes through all commands: three shapes, one broken, one bare."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from tests.kspace_files import SIZE, SMALL, Scan, kspace_of, write_scan
from tests.raw_mri_scans import RawScan, write_raw

from learnedrecon.data.files.arrays import read_array

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

WIDE = Scan(kspace=(64, 40), coils=3, slices=2, padding=2, noise=0.01)
LARGE = Scan(matrix=(40, 40), kspace=(80, 44), slices=2, header=False, noise=0.01)
TINY = ("training.steps=2", "model.iterations=1", "model.hidden=4", "training.validate_every=2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scans")
    for number in range(4):
        write_scan(path / f"file1{number}.h5", SMALL.but(slices=2, noise=0.01), number)
        write_scan(path / f"file2{number}.h5", WIDE, number)
    write_scan(path / "file30.h5", LARGE)
    whole = (path / "file10.h5").read_bytes()
    (path / "file40.h5").write_bytes(whole[: len(whole) // 2])
    (path / "notes.txt").write_text("of the scanner")
    return path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEARNEDRECON_CACHE", str(tmp_path / "cache"))


def test_the_whole_path(cli: Run, folder: Path, tmp_path: Path) -> None:
    seen = cli("check", "data", folder)
    assert seen.exit_code == 1, "a broken file is a problem"
    for text in ("9 files", "3 coils, 64 x 40", "PROBLEM: file40.h5", "file30.h5", "init --from"):
        assert text in seen.output
    config, run = tmp_path / "config.yaml", tmp_path / "run"
    assert cli("init", "--from", folder, "-o", config).exit_code == 0
    words = [word for text in TINY for word in ("--set", text)]
    trained = cli("train", config, "-o", run, *words)
    assert trained.exit_code == 0, trained.output
    scored = cli("evaluate", run)
    assert scored.exit_code == 0, scored.output
    assert "test slices" in scored.output
    assert "volume PSNR" in scored.output
    results = json.loads((run / "results.json").read_text())["methods"]["run"]
    assert results["of"] == "slice"
    volumes = results["volume"]
    assert volumes["volumes"] == volumes["compared_with_reference_images"]
    assert results["images"] == 2 * volumes["volumes"]
    assert not {"file40"} & set(volumes["per_volume"])
    output = tmp_path / "image.h5"
    made = cli("reconstruct", run, folder / "file20.h5", "-o", output)
    assert made.exit_code == 0, made.output
    with h5py.File(output) as file:
        assert file["reconstruction"].shape == (2, 32, 32)
        assert file["reconstruction"].dtype == np.float32
    record = json.loads((tmp_path / "image.h5.json").read_text())
    assert record["model"]["name"] == "learned_proximal"
    assert record["config"]["data"]["train"]["broken"] == "skip"
    assert len(record["weights_sha256"]) == 64
    assert 0 < record["data_residual"] < 2


def test_broken_files_stop_a_training_that_refuses_them(
    cli: Run, folder: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    assert cli("init", "--from", folder, "-o", config).exit_code == 0
    text = config.read_text()
    assert "broken: skip" in text
    config.write_text(text.replace("broken: skip", "broken: refuse"))
    result = cli("train", config, "-o", tmp_path / "run")
    assert result.exit_code != 0
    assert "file40.h5" in result.output
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_one_file_is_described(cli: Run, folder: Path) -> None:
    result = cli("check", "data", folder / "file20.h5")
    assert result.exit_code == 0
    for words in ("2 slices, 3 coils, 64 x 40", "32 x 32 pixels of 4.375 x 4.375 mm", "AXT2",
                  "columns 2 to 37", "σ = ", "Missing: nothing"):  # fmt: skip
        assert words in result.output
    assert "the field of view" in cli("check", "data", folder / "file30.h5").output
    broken = cli("check", "data", folder / "file40.h5")
    assert broken.exit_code != 0
    assert "breaks off" in broken.output


def test_a_full_file_is_its_reference_image(cli: Run, folder: Path, tmp_path: Path) -> None:
    """In the unit of the file and in its matrix, by the coils alone and by their maps."""
    with h5py.File(folder / "file10.h5") as file:
        reference = file["reconstruction_rss"][()]
    output = tmp_path / "image.npy"
    result = cli("reconstruct", "zero_filled", folder / "file10.h5", "-o", output)
    assert result.exit_code == 0, result.output
    found = np.load(output)
    assert found.dtype == np.complex64
    assert np.linalg.norm(np.abs(found) - reference) < 0.06 * np.linalg.norm(reference)
    assert "Data residual" in result.output
    again = cli("reconstruct", "zero_filled", folder / "file10.h5", "-o", output)
    assert again.exit_code != 0, "a file is not overwritten"


@pytest.mark.parametrize(
    ("method", "ending"), [("cg_sense", "png"), ("cg_sense", "tif"), ("wavelet_sense", "h5")]
)
def test_an_undersampled_file(cli: Run, tmp_path: Path, method: str, ending: str) -> None:
    mask = tuple(int(k % 2 == 0 or 14 <= k < 22) for k in range(36))
    scan = write_scan(tmp_path / "test.h5", SMALL.but(mask=mask, noise=0.01))
    output = tmp_path / f"image.{ending}"
    result = cli("reconstruct", method, scan, "-o", output)
    assert result.exit_code == 0, result.output
    shape = (64, 64) if ending == "png" else (3, 32, 32)
    read = read_array(output, "reconstruction" if ending == "h5" else None)
    assert read.shape == shape
    with h5py.File(write_scan(tmp_path / "full.h5", SMALL)) as file:
        reference = file["reconstruction_rss"][()]
    if ending != "png":
        assert np.linalg.norm(read - reference) < 0.2 * np.linalg.norm(reference)
    assert (tmp_path / f"image.{ending}.json").exists()


def test_one_coil_and_arrays_with_named_axes(cli: Run, tmp_path: Path) -> None:
    single = write_scan(tmp_path / "single.h5", SMALL.but(coils=None))
    result = cli("reconstruct", "zero_filled", single, "-o", tmp_path / "a.npy")
    assert result.exit_code == 0, result.output
    with h5py.File(single) as file:
        assert np.allclose(
            np.abs(np.load(tmp_path / "a.npy")), file["reconstruction_esc"], atol=1e-9
        )
    np.save(tmp_path / "b.npy", kspace_of(SMALL)[0])
    (tmp_path / "b.yaml").write_text("axes: [coil, ky, kx]\nmatrix: [32, 32]\n")
    result = cli("reconstruct", "cg_sense", tmp_path / "b.npy", "-o", tmp_path / "c.npy")
    assert result.exit_code == 0, result.output
    assert np.load(tmp_path / "c.npy").shape == (1, 32, 32)


def test_a_raw_scan_is_described_and_reconstructed(cli: Run, tmp_path: Path) -> None:
    lines = tuple(k for k in range(36) if k % 2 == 0 or 14 <= k < 22)
    scan = write_raw(tmp_path / "scan.h5", RawScan(lines=lines))
    seen = cli("check", "data", scan)
    assert seen.exit_code == 0, seen.output
    for words in ("an ISMRMRD raw scan", "4 coils", "22 of 35 columns", "9 columns in the centre",
                  "No noise scan", "σ = "):  # fmt: skip
        assert words in seen.output
    result = cli("reconstruct", "cg_sense", scan, "-o", tmp_path / "a.nii")
    assert result.exit_code == 0, result.output
    with h5py.File(write_scan(tmp_path / "full.h5", SMALL.but(slices=2))) as file:
        reference = file["reconstruction_rss"][()] / SIZE
    found = read_array(tmp_path / "a.nii")
    assert np.linalg.norm(found - reference) < 0.2 * np.linalg.norm(reference)


def test_what_k_space_does_not_need_is_refused(cli: Run, folder: Path, tmp_path: Path) -> None:
    words = ["reconstruct", "zero_filled", folder / "file10.h5", "-o", tmp_path / "a.npy"]
    result = cli(*words, "--counts")
    assert result.exit_code != 0
    assert "whose operator follows from it" in result.output
    result = cli(*words[:-1], tmp_path / "a.doc")
    assert result.exit_code != 0
    assert not list(tmp_path.glob("a.*"))
