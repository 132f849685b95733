from __future__ import annotations

import pickle
import shutil
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pydicom
import pytest
import torch
from pydicom.data import get_testdata_file

from learnedrecon.config.yaml_file import read_geometry as config_geometry
from learnedrecon.data.batch import BatchBuilder
from learnedrecon.data.files.arrays import read_array, write_array
from learnedrecon.data.files.dicom import read_attenuation
from learnedrecon.data.layout import find_layout
from learnedrecon.data.loader import Loader, evaluation_batches
from learnedrecon.data.noise import NoNoise
from learnedrecon.data.pairs import (
    PairFolder,
    PairFolderSpec,
    inspect_folder,
    read_geometry,
    split_ids,
)
from learnedrecon.data.registry import DATASETS, build_dataset
from learnedrecon.data.simulate import Simulation
from learnedrecon.data.splits import NUMBERED, groups_by_name, numbered_objects
from learnedrecon.errors import ConfigError, DataError, LearnedReconError
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.grids import with_shape
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.specs import named_from_plain, named_to_plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from learnedrecon.data.datasets import SampleDataset

SCAN = ParallelBeam((8, 10), AngleRange(4), FlatDetector(13))
RNG = np.random.default_rng(0)


def array(shape: tuple[int, ...]) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def folder_of(path: Path, names: list[str], ending: str = ".npy") -> Path:
    for name in names:
        write_array(path / "measurement" / f"{name}{ending}", array((4, 13)))
        write_array(path / "truth" / f"{name}{ending}", array((8, 10)))
    return path


def hdf5_of(path: Path, **stacks: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for key, stack in stacks.items():
            file[key.replace("__", "/")] = stack
    return path


def values(tensor: torch.Tensor | None) -> np.ndarray:
    assert tensor is not None
    return tensor.numpy()


# Layouts


def test_ct_slices_are_truths_in_attenuation(tmp_path: Path) -> None:
    source = str(get_testdata_file("CT_small.dcm", download=False))
    for name in ("a.dcm", "b.IMA"):
        shutil.copy(source, tmp_path / name)
    expected, pixel = read_attenuation(source)
    folder = PairFolder(PairFolderSpec(str(tmp_path)))
    assert folder.ids == ("a", "b")
    for sample in (folder[0], folder[1]):
        assert sample.data is None
        np.testing.assert_array_equal(values(sample.truth)[0], expected)
    assert {array.pixel_size() for array in find_layout(tmp_path).truths.values()} == {pixel}
    summary = inspect_folder(tmp_path)
    assert summary.truth is not None
    assert summary.truth.high == pytest.approx(expected.max())


def test_ct_slices_are_no_measurements(tmp_path: Path) -> None:
    folder_of(tmp_path, ["a"])
    source = str(get_testdata_file("CT_small.dcm", download=False))
    shutil.copy(source, tmp_path / "measurement" / "b.dcm")
    with pytest.raises(DataError, match=r"no DICOM files in 'measurement'.*b\.dcm"):
        find_layout(tmp_path)


@pytest.mark.parametrize("ending", [".npy", ".tif", ".h5"])
def test_files_are_matched_by_their_stem(tmp_path: Path, ending: str) -> None:
    folder = folder_of(tmp_path, ["b", "a", "c"], ending)
    (folder / "truth" / "notes.txt").write_text("not an array")
    (folder / "truth" / ".hidden.npy").write_text("not an array")
    dataset = PairFolder(PairFolderSpec(str(folder)), SCAN)
    assert dataset.ids == ("a", "b", "c")
    for index, name in enumerate(dataset.ids):
        sample = dataset[index]
        assert sample.id == name
        assert sample.spec is None
        data = read_array(folder / "measurement" / f"{name}{ending}")
        assert np.array_equal(values(sample.data)[0], data)
        truth = read_array(folder / "truth" / f"{name}{ending}")
        assert np.array_equal(values(sample.truth)[0], truth)
    assert dataset.buckets() == ((0, 1, 2),)


def test_a_stack_in_one_hdf5_file(tmp_path: Path) -> None:
    data, truth = array((3, 4, 13)), array((3, 8, 10)).astype(np.float64)
    hdf5_of(tmp_path / "all.h5", measurement=data, truth=truth)
    for path in (tmp_path / "all.h5", tmp_path):
        dataset = PairFolder(PairFolderSpec(str(path)), SCAN)
        assert dataset.ids == ("0000000", "0000001", "0000002")
        assert np.array_equal(values(dataset[2].data), data[2:])
        assert values(dataset[2].truth).dtype == np.float32
        assert np.array_equal(values(dataset[2].truth), truth[2:].astype(np.float32))


def test_groups_in_one_hdf5_file_may_have_shapes_of_their_own(tmp_path: Path) -> None:
    path = hdf5_of(
        tmp_path / "all.hdf5",
        measurement__p1=array((4, 13)),
        measurement__p2=array((4, 13)),
        truth__p1=array((8, 10)),
        truth__p2=array((6, 6)),
    )
    dataset = PairFolder(PairFolderSpec(str(path), image_shapes="each"), SCAN)
    assert dataset.ids == ("p1", "p2")
    assert dataset[0].spec is None
    assert dataset[1].spec == with_shape(SCAN, (6, 6))


def test_true_images_alone_are_simulated(tmp_path: Path) -> None:
    flat = array((8, 10))
    write_array(tmp_path / "flat" / "x.npy", flat)
    write_array(tmp_path / "sub" / "truth" / "x.npy", flat)
    builder = BatchBuilder(RayTransform(SCAN), measurement=Simulation(NoNoise()))
    for name in ("flat", "sub"):
        dataset = PairFolder(PairFolderSpec(str(tmp_path / name)), SCAN)
        assert dataset[0].data is None
        y = builder([dataset[0]]).problem.data
        expected = RayTransform(SCAN)(torch.from_numpy(flat)[None, None])
        torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)


def test_png_is_read_and_measurements_alone_have_no_truth(tmp_path: Path) -> None:
    grey = np.linspace(0, 1, 80, dtype=np.float32).reshape(8, 10)
    write_array(tmp_path / "a" / "x.png", grey)
    read = values(PairFolder(PairFolderSpec(str(tmp_path / "a")), SCAN)[0].truth)
    assert np.abs(read[0] - grey).max() <= 0.5 / 65535 + 1e-7
    write_array(tmp_path / "b" / "measurement" / "x.npy", array((4, 13)))
    sample = PairFolder(PairFolderSpec(str(tmp_path / "b")), SCAN)[0]
    assert sample.truth is None
    assert sample.data is not None


def test_channels_come_first_and_integers_become_floats(tmp_path: Path) -> None:
    write_array(tmp_path / "truth" / "x.npy", np.arange(160, dtype=np.uint16).reshape(2, 8, 10))
    sample = PairFolder(PairFolderSpec(str(tmp_path)), SCAN)[0]
    assert sample.truth is not None
    assert sample.truth.shape == (2, 8, 10)
    assert sample.truth.dtype == torch.float32


# Shapes and geometries


def test_two_image_shapes_in_one_folder_train_together(tmp_path: Path) -> None:
    for k in range(7):
        shape = (6, 12) if k % 2 else (8, 10)
        scan = with_shape(SCAN, shape)
        truth = array(shape)
        write_array(tmp_path / "truth" / f"{k}.npy", truth)
        data = RayTransform(scan)(torch.from_numpy(truth)[None]).numpy()[0]
        write_array(tmp_path / "measurement" / f"{k}.npy", data)
    dataset = build_dataset(PairFolderSpec(str(tmp_path), image_shapes="each"), SCAN)
    assert sorted(map(tuple, dataset.buckets())) == [(0, 2, 4, 6), (1, 3, 5)]
    for index in range(7):
        first = dataset[dataset.buckets()[index % 2][0]]
        assert dataset[index].bucket == first.bucket
    loader = Loader(dataset, BatchBuilder(RayTransform(SCAN), spec=SCAN), batch_size=2)
    batches = loader.batches()
    seen: list[str] = []
    for _ in range(loader.steps_per_epoch):
        batch = next(batches)
        assert batch.truth is not None
        torch.testing.assert_close(
            batch.problem.forward(batch.truth), batch.problem.data, rtol=1e-4, atol=1e-4
        )
        seen += batch.ids
    assert sorted(seen) == [str(k) for k in range(7)]


def test_a_geometry_file_is_for_its_sample_alone(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["a"])
    write_array(folder / "measurement" / "b.npy", array((3, 9)))
    write_array(folder / "truth" / "b.npy", array((5, 5)))
    (folder / "geometry").mkdir()
    (folder / "geometry" / "b.yaml").write_text(
        "name: parallel_beam\nshape: [5, 5]\nangles: [0.0, 1.0, 2.0]\n"
        "detector: {pixels: 9, pitch: 0.5}\npixel_size: 0.7\n"
    )
    dataset = PairFolder(PairFolderSpec(str(folder)), SCAN)
    assert dataset[0].spec is None
    own = ParallelBeam((5, 5), (0.0, 1.0, 2.0), FlatDetector(9, 0.5), 0.7)
    assert dataset[1].spec == own
    batches = list(evaluation_batches(dataset, BatchBuilder(RayTransform(SCAN)), batch_size=2))
    assert [batch.ids for batch in batches] == [("a",), ("b",)]
    assert batches[1].problem.operator.codomain.shape == (3, 9)


@pytest.mark.parametrize("length", ["3e-3", "3E-3", "+.3e-2", "0.003", "3.0e-3"])
def test_lengths_in_a_geometry_file_may_have_exponents(tmp_path: Path, length: str) -> None:
    """As in a configuration; YAML 1.1 by itself reads the first two as texts."""
    text = (
        f"name: parallel_beam\nshape: [8, 10]\npixel_size: {length}\nangles: {{number: 4}}\n"
        f"detector: {{pixels: 13, pitch: {length}}}\n"
    )
    (tmp_path / "a.yaml").write_text(text)
    spec = read_geometry(tmp_path / "a.yaml")
    assert spec.pixel == (0.003, 0.003)
    assert spec.detector.pitch == 0.003
    assert spec == config_geometry(tmp_path / "a.yaml")


def test_a_dataset_travels_to_a_worker(tmp_path: Path) -> None:
    dataset: SampleDataset = PairFolder(PairFolderSpec(str(folder_of(tmp_path, ["a", "b"]))), SCAN)
    copy = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(values(copy[1].data), values(dataset[1].data))


# Splits


@pytest.mark.parametrize("number", [1, 2, 3, 7, 40])
def test_splits_are_disjoint_and_together_all(tmp_path: Path, number: int) -> None:
    names = [f"p{k}" for k in range(number)]
    folder = folder_of(tmp_path, names)
    parts = split_ids(names, (0.6, 0.2, 0.2), 3)
    assert sorted(name for part in parts.values() for name in part) == sorted(names)
    assert [bool(part) for part in parts.values()] == [number > k for k in range(3)]
    for split, part in parts.items():
        if part:
            spec = PairFolderSpec(str(folder), split, (0.6, 0.2, 0.2), 3)
            assert set(PairFolder(spec).ids) == set(part)


def test_splits_have_their_fractions_and_ignore_the_order() -> None:
    names = [f"p{k}" for k in range(20_000)]
    fractions = (0.7, 0.1, 0.2)
    parts = split_ids(names, fractions, 1)
    for part, fraction in zip(parts.values(), fractions, strict=True):
        sigma = (len(names) * fraction * (1 - fraction)) ** 0.5
        assert abs(len(part) - len(names) * fraction) < 4.5 * sigma
    backwards = split_ids(names[::-1], fractions, 1)
    assert all(set(backwards[split]) == set(part) for split, part in parts.items())
    assert split_ids(names, fractions, 2) != parts


def test_new_samples_move_none_of_the_old() -> None:
    names = [f"p{k}" for k in range(100)]
    before, after = (split_ids(names[:n], (0.8, 0.1, 0.1)) for n in (60, 100))
    assert all(set(before[split]) <= set(after[split]) for split in before)


@pytest.mark.parametrize(
    ("fractions", "empty"), [((0, 0, 1), ["train", "validation"]), ((1, 0, 0), ["test"])]
)
def test_a_fraction_of_zero_is_empty(
    tmp_path: Path, fractions: tuple[float, float, float], empty: list[str]
) -> None:
    names = [f"p{k}" for k in range(30)]
    parts = split_ids(names, fractions)
    assert all(part == () for split, part in parts.items() if split in empty)
    assert max(map(len, parts.values())) == 30
    spec = named_from_plain(
        DATASETS,
        {"name": "pairs", "path": str(tmp_path), "fractions": fractions, "split": empty[0]},
    )
    folder_of(tmp_path, names[:3])
    assert_names(lambda: PairFolder(spec), empty[0], "3 in all")


SLICES = [f"p{patient}_{k:02d}" for patient in range(5) for k in range(40)]


@pytest.mark.parametrize("group", [r"^p\d+", r"^(p\d+)_", r"^(?:(x)|p\d+)", NUMBERED])
def test_every_patient_is_in_one_split(group: str) -> None:
    parts = split_ids(SLICES, groups=groups_by_name(SLICES, group))
    assert sorted(name for part in parts.values() for name in part) == SLICES
    patients = [{name[:2] for name in part} for part in parts.values()]
    assert all(patients)
    assert sum(map(len, patients)) == 5
    scattered = split_ids(SLICES)
    assert sum(len({name[:2] for name in part}) for part in scattered.values()) > 5


def test_new_samples_move_no_group() -> None:
    names = [f"p{patient:03d}_{k}" for patient in range(60) for k in range(3)]
    before, after = (
        split_ids(some, groups=groups_by_name(some, r"^p\d+"))
        for some in ([name for name in names if name < "p040" and not name.endswith("2")], names)
    )
    assert all(before.values())
    assert all(set(before[split]) <= set(after[split]) for split in before)


def test_a_folder_is_split_by_its_groups(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, [f"p{patient}_{k}" for patient in range(3) for k in range(4)])
    plain = {"name": "pairs", "path": str(folder), "group": r"^p\d"}
    for split in ("train", "validation", "test"):
        spec = named_from_plain(DATASETS, {**plain, "split": split})
        dataset = PairFolder(spec)
        assert len(dataset) == 4
        assert len({name[:2] for name in dataset.ids}) == 1


@pytest.mark.parametrize("group", ["^q", "^p1", "^(x?)"])
def test_a_sample_without_a_group_is_named(tmp_path: Path, group: str) -> None:
    folder = folder_of(tmp_path, ["p0_0", "p1_0"])
    spec = PairFolderSpec(str(folder), "train", group=group)
    assert_names(lambda: PairFolder(spec), "'p0_0'", group)


def test_a_group_that_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Expected .*group.* Found .*\(p.* What to do: "):
        PairFolderSpec("x", group="(p")


def ct_slices(path: Path, **tags: list[str]) -> Path:
    """A folder of slices in DICOM, the k-th of which has the k-th value of each tag."""
    dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    path.mkdir()
    for k, row in enumerate(zip(*tags.values(), strict=True)):
        for tag, value in zip(tags, row, strict=True):
            setattr(dataset, tag, value)
        dataset.save_as(path / f"slice{k:02d}.dcm")
    return path


@pytest.mark.parametrize("tag", ["PatientID", "SeriesInstanceUID"])
def test_slices_in_dicom_of_one_patient_share_a_split(tmp_path: Path, tag: str) -> None:
    subjects = [f"1.{k % 3}" for k in range(12)]
    tags = {"PatientID": [""] * 12, tag: subjects}
    folder = ct_slices(tmp_path / "ct", **tags)
    found = []
    for split in ("train", "validation", "test"):
        ids = PairFolder(PairFolderSpec(str(folder), split)).ids
        found += [{subjects[int(name[-2:])] for name in ids}]
        assert len(ids) == 4
    assert [len(part) for part in found] == [1, 1, 1]
    spec = PairFolderSpec(str(folder), "test", group=".+")
    assert PairFolder(spec).ids == split_ids([f"slice{k:02d}" for k in range(12)])["test"]


def test_slices_in_dicom_without_a_subject_are_split_by_file(tmp_path: Path) -> None:
    folder = ct_slices(tmp_path / "ct", PatientID=[""] * 6, SeriesInstanceUID=[""] * 6)
    names = [f"slice{k:02d}" for k in range(6)]
    for split, ids in split_ids(names).items():
        assert PairFolder(PairFolderSpec(str(folder), split)).ids == ids
    assert inspect_folder(folder).groups == {}


@pytest.mark.parametrize(
    ("names", "objects"),
    [
        (SLICES, 5),
        (["a1", "a2", "b1", "b2", "other"], 2),
        ([f"scan{k}" for k in range(9)], 0),
        ([f"{k:07d}" for k in range(9)], 0),
        (["a1", "b1", "c1", "d1"], 0),
        (["walnut", "tooth"], 0),
    ],
)
def test_numbered_slices_of_several_objects_are_noticed(names: list[str], objects: int) -> None:
    assert numbered_objects(names) == objects


# What is wrong is named


def assert_names(action: Callable[[], object], *words: str) -> None:
    with pytest.raises(LearnedReconError) as caught:
        action()
    for part in ("Expected ", "Found ", "What to do: ", *words):
        assert part in str(caught.value)


def opened(path: Path, operator: ParallelBeam | None = SCAN) -> Callable[[], object]:
    """Opens a dataset and reads every sample."""

    def action() -> object:
        dataset = PairFolder(PairFolderSpec(str(path)), operator)
        return [dataset[index] for index in range(len(dataset))]

    return action


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


# The summary


def test_a_summary_says_what_is_there(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["a", "b", "c"])
    np.save(folder / "truth" / "b.npy", np.full((6, 6), 7.0))
    (folder / "truth" / "notes.txt").write_text("hello")
    (folder / "measurement" / "c.npy").unlink()
    summary = inspect_folder(folder)
    assert summary.ids == ("a", "b", "c")
    assert summary.paired
    assert not summary.usable
    assert summary.unmatched == ("without a measurement: 'c'",)
    assert summary.ignored == (folder / "truth" / "notes.txt",)
    assert summary.problems == ()
    assert summary.measurement is not None
    assert summary.truth is not None
    assert summary.measurement.shapes == (((4, 13), 2),)
    assert summary.truth.shapes == (((8, 10), 2), ((6, 6), 1))
    assert summary.truth.dtypes == (("float32", 2), ("float64", 1))
    everything = [np.load(folder / "truth" / f"{name}.npy") for name in "abc"]
    assert summary.truth.low == min(float(each.min()) for each in everything)
    assert summary.truth.high == 7.0
    assert summary.geometries == 0


def test_a_summary_of_true_images_alone_is_usable(tmp_path: Path) -> None:
    write_array(tmp_path / "x.npy", array((8, 10)) * 1j)
    summary = inspect_folder(tmp_path)
    assert summary.measurement is None
    assert summary.usable
    assert not summary.paired
    assert summary.truth is not None
    assert summary.truth.low is not None
    assert summary.truth.low >= 0
