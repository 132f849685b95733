from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.data.pair_folders import SCAN, array, assert_names, folder_of, hdf5_of, opened

from learnedrecon.data.files.arrays import write_array
from learnedrecon.data.pairs import (
    PairFolder,
    PairFolderSpec,
    inspect_folder,
)
from learnedrecon.data.registry import DATASETS
from learnedrecon.errors import ConfigError
from learnedrecon.operators.ray.grids import with_shape
from learnedrecon.specs import named_from_plain, named_to_plain

if TYPE_CHECKING:
    from pathlib import Path

    from learnedrecon.operators.ray.geometry2d import ParallelBeam


def test_missing_partners_are_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["a", "b", "c"])
    (folder / "truth" / "b.npy").unlink()
    (folder / "measurement" / "c.npy").unlink()
    assert_names(opened(folder), "without a true image: 'b'", "without a measurement: 'c'")


def test_unequal_numbers_in_one_file_are_named(tmp_path: Path) -> None:
    path = hdf5_of(tmp_path / "x.h5", measurement=array((3, 4, 13)), truth=array((2, 8, 10)))
    assert_names(opened(path), "without a true image: '0000002'")


def test_two_files_of_one_name_are_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["a"])
    write_array(folder / "truth" / "a.tif", array((8, 10)))
    assert_names(opened(folder), "a.npy", "a.tif")


def test_empty_and_misnamed_folders_are_named(tmp_path: Path) -> None:
    assert_names(opened(tmp_path), str(tmp_path), "no array")
    (tmp_path / "Measurements").mkdir()
    assert_names(opened(tmp_path), "rename 'Measurements'")
    (tmp_path / "truth").mkdir()
    assert_names(opened(tmp_path), str(tmp_path / "truth"), "no array")
    assert_names(opened(tmp_path / "nowhere"), "nowhere", "no such path")
    (tmp_path / "x.csv").write_text("1,2")
    assert_names(opened(tmp_path / "x.csv"), "x.csv", "another kind of file")


def test_keys_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = hdf5_of(tmp_path / "x.h5", sinogram=array((3, 4, 13)))
    assert_names(opened(path), "'measurement'", "sinogram")


@pytest.mark.parametrize("ending", [".npy", ".tif", ".h5"])
def test_truncated_files_are_named(tmp_path: Path, ending: str) -> None:
    folder = folder_of(tmp_path, ["a", "b"], ending)
    broken = folder / "measurement" / f"b{ending}"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    assert_names(opened(folder), str(broken))
    summary = inspect_folder(folder)
    assert len(summary.problems) == 1
    assert str(broken) in summary.problems[0]
    assert not summary.usable


def test_a_truncated_stack_is_named(tmp_path: Path) -> None:
    path = hdf5_of(tmp_path / "x.h5", measurement=array((9, 4, 13)), truth=array((9, 8, 10)))
    path.write_bytes(path.read_bytes()[:3000])
    assert_names(opened(path), str(path))


def test_nan_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "files", ["a"])
    bad = array((8, 10))
    bad[2, 3] = np.nan
    np.save(folder / "truth" / "a.npy", bad)
    assert_names(opened(folder), str(folder / "truth" / "a.npy"), "(2, 3)")
    path = hdf5_of(tmp_path / "x.h5", truth=np.stack([array((8, 10)), bad]))
    assert_names(opened(path), "x.h5 at 'truth'[1]", "(2, 3)")
    assert len(inspect_folder(path).problems) == 1


@pytest.mark.parametrize("operator", [SCAN, None])
def test_a_wrong_number_of_axes_is_named(tmp_path: Path, operator: ParallelBeam | None) -> None:
    folder = folder_of(tmp_path, ["a"])
    np.save(folder / "truth" / "a.npy", array((8,)))
    assert_names(opened(folder, operator), "a.npy", "2 axes", "(8,)")


def test_a_measurement_that_does_not_fit_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["a", "b"])
    np.save(folder / "measurement" / "b.npy", array((13, 4)))
    assert_names(opened(folder), "data of sample 'b'", "(channel, 4, 13)", "(1, 13, 4)")


def test_an_image_of_another_shape_needs_to_be_allowed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["a", "b"])
    np.save(folder / "truth" / "b.npy", array((6, 6)))
    assert_names(opened(folder), "truth of sample 'b'", "(1, 6, 6)", "image_shapes")
    spec = PairFolderSpec(str(folder), image_shapes="each")
    assert PairFolder(spec, SCAN)[1].spec == with_shape(SCAN, (6, 6))
    assert_names(lambda: PairFolder(spec), "tomographic operator")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("name: parallel_beem", "parallel_beam"),
        ("shape: [5, 5]", "name"),
        ("name: [", "YAML"),
        ("name: parallel_beam\nshape: [5, 5]\nangles: {number: 3}\ndetecter: 3", "detector"),
        (
            "name: parallel_beam\nshape: [5, 5]\nangles: {number: 4}\ndetector: {pixels: 13}",
            "(channel, 5, 5)",
        ),
    ],
)
def test_a_wrong_geometry_file_is_named(tmp_path: Path, text: str, word: str) -> None:
    folder = folder_of(tmp_path, ["a"])
    (folder / "geometry").mkdir()
    (folder / "geometry" / "a.yaml").write_text(text)
    assert_names(opened(folder), "a", word)


def test_a_geometry_without_a_sample_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["a"])
    (folder / "geometry").mkdir()
    (folder / "geometry" / "z.yaml").write_text("name: parallel_beam")
    assert_names(opened(folder), "'z'")


@pytest.mark.parametrize("fractions", [(0.5, 0.4, 0.2), (1.1, -0.1, 0.0)])
def test_fractions_that_are_none_are_refused(fractions: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match=r"Expected .* Found .* What to do: "):
        PairFolderSpec("x", fractions=fractions)


def test_a_file_that_changes_while_in_use_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["a"])
    dataset = PairFolder(PairFolderSpec(str(folder)), SCAN)
    np.save(folder / "truth" / "a.npy", array((10, 8)))
    assert_names(lambda: dataset[0], "a.npy", "(1, 8, 10)", "(10, 8)")


def test_specs_survive_plain_data(tmp_path: Path) -> None:
    spec = PairFolderSpec(str(tmp_path), "test", (0.5, 0.25, 0.25), 4, "each", r"^p\d")
    assert named_from_plain(DATASETS, named_to_plain(DATASETS, spec)) == spec
