"""A user's own data, from files to an image: init --from, train, evaluate, reconstruct."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pydicom
import pytest
import torch
from pydicom.data import get_testdata_file

from learnedrecon.config.yaml_file import read_config, write_geometry
from learnedrecon.data.files.arrays import read_array, write_array
from learnedrecon.data.phantoms.ellipses import ellipse_phantom, ellipse_preset
from learnedrecon.data.registry import build_dataset
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    Run = Callable[..., Result]

SHAPES = ((20, 20), (24, 16))
DETECTOR = FlatDetector(33, pitch=0.9, axis_offset=1.5)
ANGLES = AngleRange(8)
FILLED = (
    "operator.pixel_size=0.8",
    "operator.detector.pitch=0.9",
    "operator.detector.axis_offset=1.5",
)
SHORT = (
    "training.steps=4",
    "training.validate_every=2",
    "model.iterations=2",
    "model.hidden=8",
    "data.train.fractions=[0.6, 0.2, 0.2]",
    "data.validation.fractions=[0.6, 0.2, 0.2]",
    "data.test.fractions=[0.6, 0.2, 0.2]",
)


def options(*values: str) -> list[str]:
    return [word for value in values for word in ("--set", value)]


def phantom(index: int) -> np.ndarray:
    shape = SHAPES[index % 2]
    return 0.02 * ellipse_phantom(ellipse_preset("dival"), index, shape, seed=1, split="train")


def beam(shape: tuple[int, int]) -> ParallelBeam:
    return ParallelBeam(shape, ANGLES, DETECTOR, pixel_size=0.8)


def measure(image: np.ndarray) -> np.ndarray:
    return RayTransform(beam(image.shape))(torch.from_numpy(image)).numpy()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pairs in several formats, images of two shapes."""
    for index in range(12):
        image = phantom(index)
        ending = ("npy", "tif", "h5")[index % 3]
        for name, values in (("truth", image), ("measurement", measure(image))):
            write_array(tmp_path / "mine" / name / f"scan{index:02d}.{ending}", values)
    return tmp_path / "mine"


def test_from_pairs_of_two_shapes_to_an_image(cli: Run, folder: Path, tmp_path: Path) -> None:
    config, run = tmp_path / "config.yaml", tmp_path / "run"
    written = cli("init", "--from", folder, "-o", config)
    assert written.exit_code == 0, written.output
    for text in ("12 samples", "(20, 20)", "(24, 16)", "FILL_IN"):
        assert text in written.stderr

    unfilled = cli("train", config, "-o", run, *options(*SHORT))
    assert unfilled.exit_code == 2
    assert "Expected operator.pixel_size, operator.detector.pitch in" in unfilled.stderr
    assert "What to do: write the value in place of FILL_IN" in unfilled.stderr

    trained = cli("train", config, "-o", run, *options(*FILLED, *SHORT))
    assert trained.exit_code == 0, trained.output
    settings = read_config(run / "config.yaml")
    assert settings.data.train.image_shapes == "each"
    assert settings.operator.data_shape == (8, 33)
    assert settings.model.image_scale == pytest.approx(0.02, rel=1e-6)

    scored = cli("evaluate", run, "-o", tmp_path / "results.json")
    assert scored.exit_code == 0, scored.output
    (scores,) = json.loads((tmp_path / "results.json").read_text())["methods"].values()
    assert scores["psnr"] > 15

    for index in range(2):
        image = phantom(100 + index)
        np.save(tmp_path / "new.npy", measure(image))
        write_geometry(tmp_path / "g.yaml", beam(image.shape))
        words = ["reconstruct", run, tmp_path / "new.npy", "--geometry", tmp_path / "g.yaml"]
        done = cli(*words, "--force", "-o", tmp_path / "image.tif")
        assert done.exit_code == 0, done.output
        result = read_array(tmp_path / "image.tif")
        assert result.shape == image.shape
        assert np.linalg.norm(result - image) < 0.5 * np.linalg.norm(image)


def test_both_shapes_are_trained_on(cli: Run, folder: Path, tmp_path: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.stem in {"scan00", "scan02", "scan04", "scan06", "scan08"}:
            path.unlink()
    assert cli("init", "--from", folder, "-o", tmp_path / "c.yaml").exit_code == 0
    settings = [*FILLED, *SHORT, *(f"data.{name}.fractions=[1, 0, 0]" for name in ("train",))]
    for name in ("train", "validation", "test"):
        copy = shutil.copytree(folder, tmp_path / name)
        settings += [f"data.{name}.split=null", f"data.{name}.path={json.dumps(str(copy))}"]
    result = cli("train", tmp_path / "c.yaml", "-o", tmp_path / "run", *options(*settings))
    assert result.exit_code == 0, result.output
    scored = cli("evaluate", tmp_path / "run", "-o", tmp_path / "results.json")
    assert scored.exit_code == 0, scored.output
    assert json.loads((tmp_path / "results.json").read_text())["test_images"] == 7


def test_true_images_alone_are_measured_by_simulation(cli: Run, tmp_path: Path) -> None:
    for index in range(6):
        write_array(tmp_path / "images" / f"{index}.npy", phantom(2 * index))
    config, run = tmp_path / "config.yaml", tmp_path / "run"
    written = cli("init", "--from", tmp_path / "images", "-o", config)
    assert written.exit_code == 0, written.output
    text = config.read_text()
    assert "FILL_IN" not in text
    assert f"learnedrecon train {config} -o runs/config" in text
    assert "Split by default: 4 train, 1 validation, 1 test." in written.stderr
    result = cli("train", config, "-o", run, *options(*SHORT))
    assert result.exit_code == 0, result.output
    assert "1 to validate, 1 to test." in result.stderr
    settings = read_config(config)
    assert settings.operator.shape == (20, 20)
    assert settings.data.simulation is not None
    assert settings.data.simulation.grid == (40, 40)


def test_comments_of_a_new_configuration_stand_in_one_column(
    cli: Run, folder: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    assert cli("init", "--from", folder, "-o", config).exit_code == 0
    lines = [line for line in config.read_text().splitlines() if not line.lstrip().startswith("#")]
    pairs = [line.split(" #")[0] for line in lines if " #" in line]
    columns = {len(text) for text in pairs if len(text.rstrip()) < 28}
    assert columns == {28}


def test_ct_slices_are_true_images(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "ct").mkdir()
    for name in "abc":
        ct = pydicom.dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
        ct.PatientID = name
        ct.save_as(tmp_path / "ct" / f"{name}.dcm")
    config = tmp_path / "config.yaml"
    written = cli("init", "--from", tmp_path / "ct", "-o", config)
    assert written.exit_code == 0, written.output
    settings = read_config(config)
    assert "DICOM is read as attenuation, 0.02 (1 + HU/1000) in 1/mm" in config.read_text()
    assert "Slices of one patient share a split: 3 patients or series" in config.read_text()
    assert settings.operator.shape == (128, 128)
    assert settings.operator.pixel == pytest.approx((0.661468, 0.661468))
    detector = settings.operator.detector
    assert detector.pixels * detector.pitch > 128 * 2**0.5 * 0.661468
    assert 0.02 < settings.model.image_scale < 0.2
    simulated = Experiment(settings)
    (batch,) = simulated.batches("test")
    assert batch.truth is not None
    assert batch.truth.max() == pytest.approx(settings.model.image_scale, rel=1e-2)


def test_slices_of_several_objects_are_warned_of(cli: Run, tmp_path: Path) -> None:
    for index in range(12):
        write_array(tmp_path / "images" / f"p{index // 4}s{index % 4}.npy", phantom(0))
    config = tmp_path / "config.yaml"
    written = cli("init", "--from", tmp_path / "images", "-o", config)
    assert written.exit_code == 0, written.output
    warning = "WARNING: these seem to be numbered slices of 3 objects."
    text = config.read_text()
    assert warning in written.stderr
    assert f"# {warning}" in text
    line = "    # group: '.*\\D'\n"
    assert text.count(line) == 1
    config.write_text(text.replace(line, line.replace("# ", "")))
    splits = read_config(config).data
    datasets = [build_dataset(spec) for spec in (splits.train, splits.validation, splits.test)]
    found = [[each[index].id for index in range(len(each))] for each in datasets]
    patients = [{name[:2] for name in ids} for ids in found]
    assert [len(part) for part in patients] == [1, 1, 1]
    assert set().union(*patients) == {"p0", "p1", "p2"}


def test_two_images_leave_none_to_test_on(cli: Run, tmp_path: Path) -> None:
    for index in range(2):
        write_array(tmp_path / "images" / f"{index}.npy", phantom(2 * index))
    seen = cli("check", "data", tmp_path / "images")
    assert "1 train, 1 validation, 0 test. Too few: none for test." in seen.stdout
    config = tmp_path / "config.yaml"
    assert cli("init", "--from", tmp_path / "images", "-o", config).exit_code == 0
    few = options(*(text for text in SHORT if "fractions" not in text))
    result = cli("train", config, "-o", tmp_path / "run", *few)
    assert result.exit_code == 0, result.output
    assert "WARNING: nothing to test on" in result.stderr


def test_pairs_in_one_hdf5_file(cli: Run, tmp_path: Path) -> None:
    images = np.stack([phantom(2 * index) for index in range(6)])
    with h5py.File(tmp_path / "pairs.h5", "w") as file:
        file["truth"] = images
        file["measurement"] = np.stack([measure(image) for image in images])
    seen = cli("check", "data", tmp_path / "pairs.h5")
    assert seen.exit_code == 0, seen.output
    assert "6 measurements: (8, 33) (6x), float32" in seen.stdout
    config = tmp_path / "config.yaml"
    assert cli("init", "--from", tmp_path / "pairs.h5", "-o", config).exit_code == 0
    result = cli("train", config, "-o", tmp_path / "run", *options(*FILLED, *SHORT))
    assert result.exit_code == 0, result.output


def test_geometry_files_of_samples_are_used(cli: Run, tmp_path: Path) -> None:
    for index in range(6):
        image = phantom(2 * index)
        scan = beam(image.shape).with_angles(AngleRange(8 + index % 2))
        data = RayTransform(scan)(torch.from_numpy(image)).numpy()
        write_array(tmp_path / "mine" / "truth" / f"{index}.npy", image)
        write_array(tmp_path / "mine" / "measurement" / f"{index}.npy", data)
        write_geometry(tmp_path / "mine" / "geometry" / f"{index}.yaml", scan)
    config = tmp_path / "config.yaml"
    assert cli("init", "--from", tmp_path / "mine", "-o", config).exit_code == 0
    assert "FILL_IN" not in config.read_text()
    result = cli("train", config, "-o", tmp_path / "run", *options(*SHORT))
    assert result.exit_code == 0, result.output
