"""Slices as samples: what a model sees is the undersampled data and nothing else."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.kspace_files import SMALL, Scan, kspace_of, write_scan

from learnedrecon.data.batch import BatchBuilder
from learnedrecon.data.kspace.dataset import MASKS, KSpaceSlices, KSpaceSpec
from learnedrecon.data.kspace.slices import CoilMapSpec, crop_readout
from learnedrecon.data.registry import DATASETS
from learnedrecon.data.sections import in_section, share_images
from learnedrecon.errors import ConfigError, DataError, ShapeError
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.sampling import Equispaced, PoissonDisc, RandomLines
from learnedrecon.solvers.coils.coil_maps import coil_images, rss
from learnedrecon.specs import named_from_plain, named_to_plain

if TYPE_CHECKING:
    from pathlib import Path

MAPS = CoilMapSpec(cache="none")
MASK = RandomLines((3,), (0.2,))


def spec_of(path: Path, **changes: object) -> KSpaceSpec:
    return replace(KSpaceSpec(str(path), mask=MASK, maps=MAPS), **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six files of two shapes, one of a patient with another."""
    path = tmp_path_factory.mktemp("kspace")
    for number in range(4):
        write_scan(path / f"file{number}.h5", SMALL.but(slices=2), number)
    other = Scan(kspace=(64, 40), coils=3, slices=2, padding=2)
    for number in range(4, 6):
        write_scan(path / f"file{number}.h5", other, number)
    return path


def test_a_sample_is_masked_k_space_with_its_image(folder: Path) -> None:
    sample = KSpaceSlices(spec_of(folder))[1]
    assert sample.id == "file0/001"
    assert sample.data is not None
    assert sample.truth is not None
    tensors = dict(sample.tensors)
    mask = MASK.draw((32, 36), "file0.h5")
    assert torch.equal(tensors["mask"][0, 0], mask)
    whole = crop_readout(torch.from_numpy(kspace_of(SMALL.but(slices=2))[1]), 32)
    scale = float(sample.data[0, 0, 16, 18].abs() / whole[0, 16, 18].abs())
    assert torch.allclose(sample.data[0], scale * whole * mask, atol=1e-6)
    largest = scale * float(rss(coil_images(whole)).max())
    assert float(sample.truth.abs().max()) == pytest.approx(largest, rel=1e-3)


def test_data_are_the_operator_of_the_truth(folder: Path) -> None:
    dataset = KSpaceSlices(spec_of(folder))
    batch = BatchBuilder(CartesianMRI(dataset[0].spec), spec=dataset[0].spec)(
        [dataset[0], dataset[1]]
    )
    assert batch.truth is not None
    data = batch.problem.data
    assert float((batch.problem.forward(batch.truth) - data).norm() / data.norm()) < 0.03


def test_no_sample_outside_of_the_mask_reaches_maps_or_data(folder: Path, tmp_path: Path) -> None:
    """Whatever the unmeasured samples are, the model is given the same."""
    import h5py  # noqa: PLC0415

    mask = MASK.draw((32, 36), "file0.h5")[0].numpy()
    (tmp_path / "file0.h5").write_bytes((folder / "file0.h5").read_bytes())
    with h5py.File(tmp_path / "file0.h5", "r+") as file:
        values = file["kspace"][()]
        values[..., ~mask] *= -3j
        file["kspace"][...] = values
    first, second = (KSpaceSlices(spec_of(path))[1] for path in (folder, tmp_path))
    assert first.data is not None
    assert second.data is not None
    assert torch.allclose(first.data, second.data, atol=1e-6)
    for (_, one), (_, other) in zip(first.tensors, second.tensors, strict=True):
        assert torch.allclose(one.to(torch.complex64), other.to(torch.complex64), atol=1e-5)


def test_masks_of_an_evaluation_are_those_of_the_file_names(folder: Path) -> None:
    dataset = KSpaceSlices(spec_of(folder, mask=Equispaced((4, 8), (0.25, 0.2))))
    masks = [dict(dataset[k].tensors)["mask"][0, 0] for k in range(4)]
    assert torch.equal(masks[0], masks[1])
    drawn = Equispaced((4, 8), (0.25, 0.2)).draw((32, 36), "file1.h5")
    assert torch.equal(masks[2], drawn)


def test_masks_of_a_training_are_many_and_always_the_same(folder: Path) -> None:
    spec = in_section(spec_of(folder), "train")
    assert spec.masks == MASKS
    assert in_section(spec_of(folder), "test").masks == 1
    first, second = KSpaceSlices(spec), pickle.loads(pickle.dumps(KSpaceSlices(spec)))
    assert len(first) == 12 * MASKS
    masks = [dict(first[k].tensors)["mask"] for k in range(6)]
    assert len({tuple(m.flatten().tolist()) for m in masks}) > 3
    again = [dict(second[k].tensors)["mask"] for k in range(6)]
    assert all(torch.equal(one, other) for one, other in zip(masks, again, strict=True))
    assert first[0].id != first[1].id


def test_shapes_go_to_different_batches(folder: Path) -> None:
    dataset = KSpaceSlices(spec_of(folder, masks=3))
    buckets = dataset.buckets()
    assert [len(bucket) for bucket in buckets] == [24, 12]
    assert sorted(k for bucket in buckets for k in bucket) == list(range(36))
    assert {dataset[bucket[0]].spec.coils for bucket in buckets} == {4, 3}
    sample = dataset[buckets[1][0]]
    batch = BatchBuilder(CartesianMRI(dataset[0].spec), spec=dataset[0].spec)([sample])
    assert batch.problem.data.shape == (1, 1, 3, 32, 40)


def test_padding_is_never_measured(folder: Path) -> None:
    sample = KSpaceSlices(spec_of(folder))[10]
    mask = dict(sample.tensors)["mask"]
    assert not mask[..., :2].any()
    assert not mask[..., -2:].any()


@pytest.mark.parametrize("mask", [PoissonDisc(3.0, 12), RandomLines((4,), (0.25,))])
def test_one_coil_needs_no_maps(tmp_path: Path, mask: RandomLines) -> None:
    write_scan(tmp_path / "file1.h5", SMALL.but(coils=None, slices=1))
    sample = KSpaceSlices(spec_of(tmp_path, mask=mask))[0]
    assert [name for name, _ in sample.tensors] == ["mask"]
    operator = CartesianMRI(sample.spec)
    batch = BatchBuilder(operator, spec=sample.spec)([sample])
    assert batch.truth is not None
    assert torch.allclose(batch.problem.forward(batch.truth), batch.problem.data, atol=1e-5)


def test_splits_are_by_file_and_disjoint(folder: Path) -> None:
    parts = [
        {file.path.name for file in KSpaceSlices(spec_of(folder, split=split)).files}
        for split in ("train", "validation", "test")
    ]
    assert all(parts)
    assert len(set.union(*parts)) == sum(map(len, parts)) == 6


def test_files_of_one_patient_stay_together(tmp_path: Path) -> None:
    for number in range(8):
        one = (("patient_id", f"p{number // 2}"),)
        write_scan(tmp_path / f"file{number}.h5", SMALL.but(slices=1, attributes=one), number)
    for split in ("train", "validation", "test"):
        files = KSpaceSlices(spec_of(tmp_path, split=split)).files
        numbers = {int(file.path.stem[4:]) for file in files}
        assert {n ^ 1 for n in numbers} == numbers


def test_sections_of_one_folder_share_nothing(folder: Path) -> None:
    train, test = (spec_of(folder, split=split) for split in ("train", "test"))
    assert not share_images(train, test)
    assert share_images(train, spec_of(folder))
    assert share_images(train, replace(test, seed=1))
    assert not share_images(train, spec_of(folder.parent, split="test"))


def test_broken_files_are_refused_or_skipped_by_name(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = (folder / "file0.h5").read_bytes()
    (tmp_path / "file0.h5").write_bytes(whole)
    (tmp_path / "file9.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"file9.h5"):
        KSpaceSlices(spec_of(tmp_path))
    assert len(KSpaceSlices(spec_of(tmp_path, broken="skip"))) == 2
    assert "file9.h5" in caplog.text


def test_undersampled_files_are_no_truth(tmp_path: Path) -> None:
    mask = tuple(int(k % 2 == 0) for k in range(36))
    write_scan(tmp_path / "file0.h5", SMALL.but(mask=mask))
    with pytest.raises(DataError, match="1 undersampled"):
        KSpaceSlices(spec_of(tmp_path))
    write_scan(tmp_path / "file1.h5")
    assert len(KSpaceSlices(spec_of(tmp_path)).files) == 1
    values = kspace_of(SMALL)[0] * np.asarray(mask, np.float32)
    np.save(tmp_path / "file2.npy", values)
    (tmp_path / "file2.yaml").write_text("axes: [coil, ky, kx]\n")
    with pytest.raises(DataError, match=r"file2.npy.*50 %|file2.npy.*51 %"):
        KSpaceSlices(spec_of(tmp_path))[3]


def test_one_coil_and_several_do_not_mix(tmp_path: Path) -> None:
    write_scan(tmp_path / "file0.h5")
    write_scan(tmp_path / "file1.h5", SMALL.but(coils=None))
    with pytest.raises(ShapeError, match="single-coil and multi-coil"):
        KSpaceSlices(spec_of(tmp_path))


def test_chosen_slices(folder: Path) -> None:
    assert KSpaceSlices(spec_of(folder, slices=(1, 9)))[0].id == "file0/001"
    with pytest.raises(DataError, match="slices 7 to 8"):
        KSpaceSlices(spec_of(folder, slices=(7, 9)))


@pytest.mark.parametrize(
    "wrong", [{"masks": 0}, {"slices": (2, 2)}, {"fractions": (1, 1, 1)}, {"group": "("}]
)
def test_wrong_specs_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        replace(KSpaceSpec("."), **wrong)  # type: ignore[arg-type]


def test_the_spec_goes_to_plain_data_and_back() -> None:
    spec = KSpaceSpec("folder", mask=Equispaced((4, 8), (0.08, 0.04)), slices=(1, 3))
    assert named_from_plain(DATASETS, named_to_plain(DATASETS, spec)) == spec


def test_volumes_have_the_reference_images_of_their_files(folder: Path) -> None:
    """Of all of k-space and all coils, in the scale of the samples."""
    dataset = KSpaceSlices(spec_of(folder))
    volume = dataset.volumes()[0]
    assert volume.ids == ("file0/000", "file0/001")
    reference = volume.reference()
    assert reference is not None
    truth = torch.stack([volume.cropped(dataset[k].truth[0]) for k in range(2)])  # type: ignore[index]
    assert reference.shape == (2, 32, 32)
    assert float((truth - reference).norm() / reference.norm()) < 1e-3
    assert KSpaceSlices(spec_of(folder, masks=2)).volumes() == ()
