"""LoDoPaB-CT in small files of the published layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
import torch

from learnedrecon.config.yaml_file import read_config
from learnedrecon.data.published.lodopab import SIDE, Lodopab, LodopabSpec, geometry, parts
from learnedrecon.data.sections import in_section, share_images
from learnedrecon.errors import DataError, ShapeError
from learnedrecon.experiments.data_report import look_at
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.experiments.folder_config import config_text
from learnedrecon.operators.ray.transform2d import RayTransform

if TYPE_CHECKING:
    from pathlib import Path

SIZE, ANGLES, PIXELS = 40, 60, 57
SQUARE = 0.26
"""Metres."""


def sample(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A blob u[ix, iy] in [0, 1], and its line integrals over metres by ODL's conventions.

    At angle φ the detector runs along (cos φ, sin φ); angles and pixels are at the midpoints of
    equal parts of [0, π] and of the diagonal.
    """
    rng = np.random.default_rng(seed)
    (a, b), width = np.array([0.05, -0.03]) + rng.uniform(-0.015, 0.015, 2), 0.02
    place = (np.arange(SIZE) + 0.5) * SQUARE / SIZE - SQUARE / 2
    x, y = place[:, None], place[None, :]
    image = np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * width**2))
    phi = (np.arange(ANGLES) + 0.5) * np.pi / ANGLES
    rho = SQUARE / np.sqrt(2)
    s = (np.arange(PIXELS) + 0.5) * 2 * rho / PIXELS - rho
    distance = s - (a * np.cos(phi) + b * np.sin(phi))[:, None]
    return image, width * np.sqrt(2 * np.pi) * np.exp(-(distance**2) / (2 * width**2))


def write(folder: Path, **numbers: tuple[int, ...]) -> Path:
    """Files of each split with these numbers of samples."""
    folder.mkdir(exist_ok=True)
    seed = 0
    for split, counts in numbers.items():
        for place, count in enumerate(counts):
            samples = [sample(seed + k) for k in range(count)]
            seed += count
            for kind, which in (("ground_truth", 0), ("observation", 1)):
                with h5py.File(folder / f"{kind}_{split}_{place:03d}.hdf5", "w") as file:
                    file["data"] = np.stack([each[which] for each in samples]).astype("f4")
    return folder


def test_data_are_the_line_integrals_of_the_images(tmp_path: Path) -> None:
    write(tmp_path, train=(2, 1), validation=(1,))
    data = Lodopab(LodopabSpec(str(tmp_path)))
    scan = geometry(tmp_path, "train")
    assert len(data) == 3
    assert [data[k].id for k in range(3)] == [f"train-{k:07d}" for k in range(3)]
    operator = RayTransform(scan, torch.float64)
    for k in range(3):
        image, lines = sample(k)
        measured, truth = data[k].data, data[k].truth
        assert measured is not None
        assert truth is not None
        np.testing.assert_allclose(truth[0], image, rtol=1e-6)
        np.testing.assert_allclose(measured[0], 1000 * lines, rtol=1e-6, atol=1e-20)
        gap = operator(truth.double()) - measured
        assert gap.norm() < 0.02 * measured.norm()
        for wrong in (measured.flip(-1), measured.flip(-2)):
            assert (operator(truth.double()) - wrong).norm() > 0.3 * wrong.norm()


def test_the_published_sizes_give_the_published_geometry(tmp_path: Path) -> None:
    for kind, shape in (("observation", (128, 1000, 513)), ("ground_truth", (128, 362, 362))):
        with h5py.File(tmp_path / f"{kind}_test_000.hdf5", "w") as file:
            file.create_dataset("data", shape, "f4")
    scan = geometry(tmp_path, "test")
    assert scan.shape == (362, 362)
    assert scan.pixel[0] * 362 == pytest.approx(SIDE)
    assert scan.data_shape == (1000, 513)
    assert scan.detector.pitch * 513 == pytest.approx(260 * 2**0.5)
    angles = np.pi / 2 - np.asarray(scan.angle_values)
    np.testing.assert_allclose(angles, (np.arange(1000) + 0.5) * np.pi / 1000, atol=1e-12)
    assert len(Lodopab(LodopabSpec(str(tmp_path), "test"))) == 128


def test_the_last_file_is_filled_up_with_what_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, test=(2, 2))
    monkeypatch.setitem(Lodopab.__init__.__globals__["SAMPLES"], "test", 3)
    assert len(Lodopab(LodopabSpec(str(tmp_path), "test"))) == 3
    assert len(Lodopab(LodopabSpec(str(tmp_path), "test", length=2))) == 2


def test_sections_take_their_split_and_share_no_image(tmp_path: Path) -> None:
    spec = LodopabSpec(str(tmp_path))
    assert in_section(spec, "test").split == "test"
    assert share_images(spec, LodopabSpec(str(tmp_path), "train"))
    assert not share_images(spec, LodopabSpec(str(tmp_path), "test"))


def test_files_without_partners_and_of_other_shapes_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path, train=(1, 1))
    (folder / "observation_train_001.hdf5").rename(folder / "observation_train_002.hdf5")
    with pytest.raises(DataError, match="without a partner: 001, 002"):
        parts(folder, "train")
    with h5py.File(folder / "observation_train_001.hdf5", "w") as file:
        file["data"] = np.zeros((2, ANGLES, PIXELS))
    (folder / "observation_train_002.hdf5").unlink()
    with pytest.raises(ShapeError, match="as many"):
        parts(folder, "train")
    with pytest.raises(DataError, match="observation_validation_000"):
        parts(folder, "validation")


def test_a_folder_is_recognised_and_goes_into_a_run(tmp_path: Path) -> None:
    folder = write(tmp_path / "lodopab", train=(3,), validation=(2,), test=(1,))
    view = look_at(folder)
    assert view.usable
    text = "\n".join(view.lines)
    assert "LoDoPaB-CT" in text
    assert "train 3, validation 2, test 1" in text
    assert "Next: learnedrecon init --from" in text
    config = tmp_path / "c.yaml"
    config.write_text(config_text(folder, config))
    settings = read_config(config)
    assert settings.operator == geometry(folder, "train")
    experiment = Experiment(settings)
    assert len(experiment.dataset("test")) == 1
    (batch,) = experiment.batches("test")
    assert tuple(batch.problem.data.shape) == (1, 1, ANGLES, PIXELS)


def test_a_folder_of_one_split_has_nothing_to_validate_on(tmp_path: Path) -> None:
    view = look_at(write(tmp_path / "lodopab", train=(3, 3)))
    text = "\n".join(view.lines)
    assert "train 6" in text
    assert "Next:" not in text
    assert "observation_validation_000" in text
