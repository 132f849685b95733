"""Folders that are no pairs of images and data, and what 'check data' proposes for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
import tifffile

from learnedrecon.data.layout import find_layout
from learnedrecon.data.pairs import PairFolder, PairFolderSpec
from learnedrecon.data.summary import inspect_folder
from learnedrecon.errors import DataError, FileFormatError
from learnedrecon.experiments.data_report import look_at
from learnedrecon.experiments.folder_config import config_text

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)


def images(folder: Path, number: int, shape: tuple[int, ...] = (16, 16)) -> Path:
    folder.mkdir(exist_ok=True)
    for k in range(number):
        np.save(folder / f"image{k}.npy", RNG.random(shape))
    return folder


@pytest.mark.parametrize("name", ["dark", "flat1", "Flats", "white_02", "dark-field", "flatframe3"])
def test_frames_without_an_object_are_no_true_images(tmp_path: Path, name: str) -> None:
    """As in 2DeteCT: a raw sinogram with a dark frame and two flats."""
    tifffile.imwrite(tmp_path / "scan.tif", RNG.random((20, 19)).astype("f4"))
    tifffile.imwrite(tmp_path / f"{name}.tif", np.ones((1, 19), "f4"))
    with pytest.raises(DataError, match=rf"{name}\.tif, frames without an object"):
        look_at(tmp_path)


@pytest.mark.parametrize("name", ["observation_train_000", "sinogram", "projections-3", "kspace1"])
def test_measurements_among_images_are_no_true_images(tmp_path: Path, name: str) -> None:
    """As in LoDoPaB: observation_*.hdf5 beside ground_truth_*.hdf5."""
    for stem in (name, "ground_truth_train_000"):
        with h5py.File(tmp_path / f"{stem}.hdf5", "w") as file:
            file["data"] = RNG.random((3, 10, 11))
    with pytest.raises(DataError, match=rf"{name}\.hdf5, measurements by the name.*'truth'"):
        find_layout(tmp_path)


@pytest.mark.parametrize("name", ["flatiron", "darker", "white_matter", "sinogrammar", "flat_1_a"])
def test_words_that_only_begin_so_are_names_of_images(tmp_path: Path, name: str) -> None:
    np.save(images(tmp_path, 2) / f"{name}.npy", RNG.random((16, 16)))
    assert name in find_layout(tmp_path).truths


@pytest.mark.parametrize(
    ("number", "shape", "proposed"),
    [(30, (16, 16), True), (1, (16, 16), False), (30, (3, 16, 16), False), (30, (16,), False)],
)
def test_only_what_was_tried_is_proposed(
    tmp_path: Path, number: int, shape: tuple[int, ...], proposed: bool
) -> None:
    """The proposal stands exactly where 'init' and opening the data both work."""
    images(tmp_path, number, shape)
    lines = look_at(tmp_path).lines
    assert any(line.startswith("Next: learnedrecon init") for line in lines) == proposed
    assert any("Nothing can be learned" in line for line in lines) != proposed
    if proposed:
        assert "name: pairs" in config_text(tmp_path, tmp_path / "c.yaml")
        assert len(PairFolder(PairFolderSpec(str(tmp_path), split="train"))) > 0
    else:
        with pytest.raises(ValueError, match=r"Expected .* Found .* What to do: "):
            config_text(tmp_path, tmp_path / "c.yaml")


def test_what_float32_cannot_hold_is_a_problem(tmp_path: Path) -> None:
    np.save(images(tmp_path, 3) / "large.npy", np.full((16, 16), 1e39))
    summary = inspect_folder(tmp_path)
    assert not summary.usable
    assert "large.npy" in summary.problems[0]


def test_texts_in_place_of_images_are_a_problem(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["truth"] = ["a", "b"]
    assert len(inspect_folder(tmp_path / "a.h5").problems) == 2
    with pytest.raises(FileFormatError, match="values of type"):
        find_layout(tmp_path / "a.h5").pairs()[0].truth.read()  # type: ignore[union-attr]
