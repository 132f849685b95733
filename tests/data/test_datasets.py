from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from learnedrecon.data.datasets import (
    ArrayDataset,
    EllipseDataset,
    EllipseSpec,
    SampleDataset,
    SheppLogan,
    SheppLoganSpec,
    SingleImage,
    image_tensor,
)
from learnedrecon.data.phantoms.ellipses import ELLIPSE_PRESETS, ellipse_phantom
from learnedrecon.data.phantoms.shepp_logan import shepp_logan
from learnedrecon.data.registry import DATASETS, build_dataset
from learnedrecon.errors import ConfigError, DataError, DtypeError, ShapeError
from learnedrecon.specs import named_from_plain, named_to_plain


def test_ellipses_are_the_phantoms_of_their_seed_and_split() -> None:
    dataset = EllipseDataset(EllipseSpec("dival", (20, 24), "validation", 10**9, 5))
    assert len(dataset) == 10**9
    sample = dataset[12]
    assert sample.id == "validation-0000012"
    assert sample.data is None
    expected = ellipse_phantom(ELLIPSE_PRESETS["dival"], 12, (20, 24), seed=5, split="validation")
    assert sample.truth is not None
    assert sample.truth.dtype == torch.float32
    assert np.array_equal(sample.truth[0].numpy(), expected)


def test_splits_and_seeds_share_no_image() -> None:
    truths = [
        EllipseDataset(EllipseSpec(size=16, split=split, length=2, seed=seed))[index].truth
        for split in ("train", "validation", "test")
        for seed in (0, 1)
        for index in (0, 1)
    ]
    images = {tuple(truth.flatten().tolist()) for truth in truths if truth is not None}
    assert len(images) == 12


@pytest.mark.parametrize(
    "dataset",
    [
        EllipseDataset(EllipseSpec(size=8, length=4)),
        SheppLogan(SheppLoganSpec(8)),
        ArrayDataset([np.ones((3, 4)), np.zeros((5, 2))], "slice"),
    ],
)
def test_a_dataset_travels_to_a_worker(dataset: SampleDataset) -> None:
    copy = pickle.loads(pickle.dumps(dataset))
    assert len(copy) == len(dataset)
    for index in range(len(dataset)):
        first, second = dataset[index].truth, copy[index].truth
        assert first is not None
        assert torch.equal(first, second)
        assert dataset[index].id == copy[index].id
    assert sorted(i for bucket in dataset.buckets() for i in bucket) == list(range(len(dataset)))


def test_indices_are_those_of_a_sequence() -> None:
    dataset = EllipseDataset(EllipseSpec(size=8, length=4))
    assert dataset[-1].id == "train-0000003"
    for index in (4, -5):
        with pytest.raises(IndexError, match=r"Expected .* Found .* What to do: "):
            dataset[index]


def test_images_in_memory_are_grouped_by_shape() -> None:
    images = [np.full(shape, 7, dtype=np.int16) for shape in ((3, 4), (5, 2), (3, 4))]
    dataset = ArrayDataset(images, "slice")
    assert dataset.buckets() == ((0, 2), (1,))
    sample = dataset[1]
    assert sample.id == "slice-0000001"
    assert sample.truth is not None
    assert sample.truth.shape == (1, 5, 2)
    assert sample.truth.dtype == torch.float32
    stacked = ArrayDataset(np.ones((2, 3, 4), dtype=np.complex128))
    assert stacked[0].truth is not None
    assert stacked[0].truth.dtype == torch.complex64


def test_one_image_is_called_by_its_name() -> None:
    sample = SheppLogan(SheppLoganSpec(32))[0]
    assert sample.id == "shepp-logan"
    assert sample.truth is not None
    assert np.array_equal(sample.truth[0].numpy(), shepp_logan(32))
    assert SingleImage(np.ones((2, 2)), "tooth")[0].id == "tooth"


@pytest.mark.parametrize(
    ("values", "error", "word"),
    [
        (np.array([[1.0, np.nan]]), DataError, "(0, 1)"),
        (np.array([[np.inf]]), DataError, "infinite"),
        (np.array([[1e300]]), DataError, "float32"),
        (np.array([["a"]]), DtypeError, "<U1"),
        (np.ones((0, 3)), ShapeError, "(0, 3)"),
        (np.float64(3.0), ShapeError, "()"),
    ],
)
def test_arrays_that_are_no_image_are_refused(
    values: np.ndarray, error: type[Exception], word: str
) -> None:
    with pytest.raises(error) as caught:
        image_tensor(values, "slice 4")
    for part in ("Expected ", "Found ", "What to do: ", "slice 4", word):
        assert part in str(caught.value)


def test_no_images_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"Expected .* Found .* What to do: "):
        ArrayDataset([])


@pytest.mark.parametrize("spec", [EllipseSpec("dival", (5, 6), "test", 3, 2), SheppLoganSpec(9)])
def test_specs_survive_plain_data_and_build(spec: EllipseSpec | SheppLoganSpec) -> None:
    again = named_from_plain(DATASETS, named_to_plain(DATASETS, spec))
    assert again == spec
    assert build_dataset(spec)[0].id == build_dataset(again)[0].id


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"name": "elipses"}, "ellipses"),
        ({"name": "ellipses", "preset": "adler2019"}, "adler2018"),
        ({"name": "ellipses", "length": 0}, "length"),
        ({"name": "ellipses", "split": "dev"}, "split"),
        ({"name": "ellipses", "sed": 0}, "seed"),
    ],
)
def test_wrong_specs_are_named(values: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        named_from_plain(DATASETS, values, "data")
    for part in ("Expected ", "Found ", "What to do: ", word):
        assert part in str(caught.value)


def test_the_scale_multiplies_every_ellipse_image() -> None:
    plain = EllipseDataset(EllipseSpec("dival", 32, "test", 3))
    scaled = EllipseDataset(EllipseSpec("dival", 32, "test", 3, scale=0.04))
    for k in range(3):
        truth = plain[k].truth
        assert truth is not None
        torch.testing.assert_close(scaled[k].truth, 0.04 * truth)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_is_not_positive_is_refused(scale: float) -> None:
    with pytest.raises(ConfigError, match=r"Expected a scale > 0\. Found scale = .*What to do"):
        EllipseSpec("dival", scale=scale)
