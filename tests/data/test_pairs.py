from __future__ import annotations

import pickle
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from pydicom.data import get_testdata_file
from tests.data.pair_folders import SCAN, array, folder_of, hdf5_of, values

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
)
from learnedrecon.data.registry import build_dataset
from learnedrecon.data.simulate import Simulation
from learnedrecon.errors import DataError
from learnedrecon.operators.ray.geometry2d import FlatDetector, ParallelBeam
from learnedrecon.operators.ray.grids import with_shape
from learnedrecon.operators.ray.transform2d import RayTransform

if TYPE_CHECKING:
    from pathlib import Path

    from learnedrecon.data.datasets import SampleDataset


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
            batch.problem.forward(batch.truth), batch.problem.data, rtol=1e-6, atol=1e-6
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
