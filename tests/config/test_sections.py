"""Sections share images exactly where the datasets that they describe do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from learnedrecon.config.schema import DataConfig
from learnedrecon.data.datasets import EllipseDataset, EllipseSpec, SheppLoganSpec
from learnedrecon.data.pairs import PairFolder, PairFolderSpec
from learnedrecon.data.sections import share_images
from learnedrecon.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

ELLIPSES = EllipseSpec("dival", 16, length=2)


@pytest.mark.parametrize(
    "other",
    [
        ELLIPSES,
        replace(ELLIPSES, length=3),
        replace(ELLIPSES, size=(16, 16)),
        replace(ELLIPSES, split="validation"),
        replace(ELLIPSES, seed=1),
        replace(ELLIPSES, preset="adler2017"),
    ],
    ids=str,
)
def test_ellipses_share_images_where_the_pixels_are_equal(other: EllipseSpec) -> None:
    one, two = (EllipseDataset(spec)[0].truth for spec in (ELLIPSES, other))
    assert one is not None
    assert two is not None
    assert share_images(ELLIPSES, other) is bool((one == two).all())


@pytest.fixture
def pairs(tmp_path: Path) -> PairFolderSpec:
    for kind in ("measurement", "truth"):
        (tmp_path / kind).mkdir()
        for index in range(60):
            np.save(tmp_path / kind / f"{index}.npy", np.full((4, 4), index, np.float32))
    return PairFolderSpec(str(tmp_path), "train", (0.5, 0.2, 0.3))


@pytest.mark.parametrize(
    ("changes", "shared"),
    [
        ({"split": "test"}, False),
        ({}, True),
        ({"split": None}, True),
        ({"split": "test", "seed": 1}, True),
        ({"split": "test", "fractions": (0.2, 0.2, 0.6)}, True),
    ],
)
def test_splits_of_a_folder_share_what_their_ids_share(
    pairs: PairFolderSpec, changes: dict[str, Any], *, shared: bool
) -> None:
    other = replace(pairs, **changes)
    folders = [PairFolder(spec) for spec in (pairs, other)]
    ids = [{folder[index].id for index in range(len(folder))} for folder in folders]
    assert bool(ids[0] & ids[1]) is shared
    assert share_images(pairs, other) is share_images(other, pairs) is shared


def test_what_is_of_different_kinds_or_folders_shares_nothing(pairs: PairFolderSpec) -> None:
    assert not share_images(pairs, replace(pairs, path=f"{pairs.path}/other"))
    assert share_images(pairs, replace(pairs, path=f"{pairs.path}/truth/.."))
    assert not share_images(pairs, ELLIPSES)
    assert not share_images(SheppLoganSpec(), ELLIPSES)
    assert share_images(SheppLoganSpec(), SheppLoganSpec())


def test_a_configuration_that_tests_on_its_training_images_is_refused(
    pairs: PairFolderSpec,
) -> None:
    validation = replace(ELLIPSES, split="validation")
    with pytest.raises(ConfigError, match=r"'data.test'.*'data.train'.*split='train'.*split: test"):
        DataConfig(ELLIPSES, validation, replace(ELLIPSES, length=7, split="train"))
    with pytest.raises(ConfigError, match=r"'data.test'.*'data.validation'.*split=None"):
        DataConfig(ELLIPSES, pairs, replace(pairs, split=None))
    DataConfig(ELLIPSES, validation, replace(ELLIPSES, split="test"))


def test_the_critic_sees_other_images_than_those_that_are_measured() -> None:
    """Ellipses of the same law with another seed; the split is that of the training."""
    train, validation, test = (
        replace(ELLIPSES, split=split) for split in ("train", "validation", "test")
    )
    data = DataConfig(train, validation, test, images=replace(ELLIPSES, split=None, seed=1))
    assert data.images.split == "train"
    assert set(data.sections) == {"train", "validation", "test", "images"}
    for section in (train, validation, test):
        with pytest.raises(ConfigError, match=r"other images in 'data.images'"):
            DataConfig(train, validation, test, images=section)
