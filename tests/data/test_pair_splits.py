from __future__ import annotations

from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.data import get_testdata_file
from tests.data.pair_folders import assert_names, folder_of

from learnedrecon.data.pairs import (
    PairFolder,
    PairFolderSpec,
    inspect_folder,
    split_ids,
)
from learnedrecon.data.registry import DATASETS
from learnedrecon.data.splits import NUMBERED, groups_by_name, numbered_objects
from learnedrecon.errors import ConfigError
from learnedrecon.specs import named_from_plain

if TYPE_CHECKING:
    from pathlib import Path


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
