"""Magnitude images through the commands: init, train, evaluate, and a volume with its affine."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from learnedrecon.data.files.arrays import write_array
from learnedrecon.data.files.nifti import read_nifti, write_nifti
from learnedrecon.data.phantoms.shepp_logan import shepp_logan

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

TURNED = ((0.0, -0.9, 0.0, 5.0), (0.8, 0.0, 0.0, -3.0), (0.0, 0.0, 3.0, 1.0), (0.0, 0.0, 0.0, 1.0))
TINY = (
    *("training.steps=2", "model.iterations=1", "model.hidden=4", "training.validate_every=2"),
    *(f"data.{part}.maps.kind=low_resolution" for part in ("train", "validation", "test")),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images")
    image = shepp_logan((24, 28)).clip(0.0)
    for number in range(3):
        volume = np.stack([image, image * (1 + 0.1 * number)])
        write_nifti(path / f"sub{number}.nii.gz", volume, None, TURNED)
    return path


def test_the_path_from_nifti_to_nifti(cli: Run, folder: Path, tmp_path: Path) -> None:
    seen = cli("check", "data", folder)
    assert seen.exit_code == 0, seen.output
    assert "flatter" in seen.output
    config, run = tmp_path / "config.yaml", tmp_path / "run"
    result = cli("init", "--from", folder, "-o", config)
    assert result.exit_code == 0, result.output
    assert "simulation: {coils: 8" in config.read_text()
    words = [word for text in TINY for word in ("--set", text)]
    result = cli("train", config, "-o", run, *words)
    assert result.exit_code == 0, result.output
    assert cli("evaluate", run).exit_code == 0
    results = json.loads((run / "results.json").read_text())["methods"]["run"]
    assert results["volume"]["compared_with_reference_images"] == 1
    output = tmp_path / "image.nii.gz"
    result = cli("reconstruct", run, folder / "sub0.nii.gz", "--simulate", "-o", output)
    assert result.exit_code == 0, result.output
    assert np.allclose(nibabel.Nifti1Image.from_filename(output).affine, TURNED, atol=1e-6)
    assert read_nifti(output).shape == (2, 24, 28)


def test_pictures_are_mri_where_it_is_said(cli: Run, tmp_path: Path) -> None:
    for number in range(3):
        write_array(tmp_path / "in" / f"{number}.png", shepp_logan((24, 28)).clip(0.0))
    config = tmp_path / "config.yaml"
    result = cli("init", "--from", tmp_path / "in", "--as", "kspace", "-o", config)
    assert result.exit_code == 0, result.output
    assert "name: kspace" in config.read_text()
    wrong = cli("init", "--from", tmp_path / "in", "--as", "sound", "-o", tmp_path / "b.yaml")
    assert wrong.exit_code != 0
    assert "kspace, pairs" in wrong.output


def test_simulated_undersampling_is_undone_by_iterations(cli: Run, tmp_path: Path) -> None:
    path, errors = tmp_path / "one.nii", {}
    write_nifti(path, shepp_logan((24, 96)).clip(0.0)[None])
    truth = read_nifti(path)
    for method in ("zero_filled", "cg_sense"):
        output = tmp_path / f"{method}.npy"
        result = cli("reconstruct", method, path, "--simulate", "-o", output)
        assert result.exit_code == 0, result.output
        errors[method] = np.linalg.norm(np.abs(np.load(output)) - truth) / np.linalg.norm(truth)
    assert errors["cg_sense"] < errors["zero_filled"]


def test_a_series_keeps_the_patient_of_its_input(cli: Run, tmp_path: Path) -> None:
    source = tmp_path / "in.dcm"
    shutil.copy(str(get_testdata_file("MR_small.dcm", download=False)), source)
    words = ["reconstruct", "zero_filled", source, "--simulate", "-o"]
    result = cli(*words, tmp_path / "kept.dcm")
    assert result.exit_code == 0, result.output
    assert pydicom.dcmread(tmp_path / "kept.dcm").PatientID == "4MR1"
    result = cli(*words, tmp_path / "none.dcm", "--anonymise")
    assert result.exit_code == 0, result.output
    assert not pydicom.dcmread(tmp_path / "none.dcm").PatientID
    again = cli(*words, tmp_path / "kept.dcm")
    assert again.exit_code != 0, "a file is not overwritten"
