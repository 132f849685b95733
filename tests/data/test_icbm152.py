"""Slices of the template: orientation, blocks with gaps, labels, and their k-space."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import util
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from learnedrecon.data import icbm152
from learnedrecon.data.batch import BatchBuilder
from learnedrecon.data.icbm152 import LABELS, Icbm152, Icbm152Spec, block_slices, template
from learnedrecon.data.kspace.simulated import MagnitudeSimulation
from learnedrecon.data.sections import in_section, share_images
from learnedrecon.errors import ConfigError, MissingExtraError
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.sampling import RandomLines

if TYPE_CHECKING:
    from learnedrecon.data.icbm152 import Plane

PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
STILL = Icbm152Spec((197, 197), ("axial",), deformation=0.0, contrast=0.0)


@pytest.mark.parametrize("plane", PLANES)
def test_blocks_have_gaps_and_share_no_slice(plane: Plane) -> None:
    train, validation, test = (
        np.array(block_slices(plane, split, 6)) for split in ("train", "validation", "test")
    )
    for one, other in ((train, validation), (train, test), (validation, test)):
        assert np.abs(one[:, None] - other).min() == 7, "six slices between"
    assert len(train) > len(test) > 8


def test_a_slice_without_changes_is_that_of_the_template() -> None:
    """Rows from the nose down, in the middle of the grid, mirrored in every other sample or so."""
    sample = Icbm152(STILL)[0]
    number = int(sample.id[-3:])
    whole = template().t1[number, ::-1].astype(np.float32) / 255
    expected = whole[18:215]
    assert sample.truth is not None
    found = sample.truth[0].numpy()
    assert min(np.abs(found - e).max() for e in (expected, expected[:, ::-1])) < 1e-4


def test_labels_are_the_most_probable_class_on_the_same_grid() -> None:
    sample = Icbm152(STILL)[0]
    assert sample.truth is not None
    assert sample.label is not None
    assert set(sample.label.unique().tolist()) == set(range(len(LABELS)))
    outside = sample.truth[0] < 1e-3
    assert float((sample.label[outside] == 0).float().mean()) > 0.99
    means = [float(sample.truth[0][sample.label == k].mean()) for k in range(4)]
    assert means[0] < means[1] < means[2] < means[3], "T1: CSF is dark, white matter bright"


def test_samples_are_deformed_drawn_again_the_same_and_different_from_each_other() -> None:
    spec = Icbm152Spec((64, 64), length=9)
    first, again = Icbm152(spec), Icbm152(spec)
    assert [each.split("-")[2] for each in (first[k].id for k in range(3))] == list(PLANES)
    for k in range(2):
        one, other = first[k].truth, again[k].truth
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)
        assert bool(one.isfinite().all())
        assert 0.3 < float(one.max()) < 2.0
    still = Icbm152(replace(spec, deformation=0.0))[0].truth
    assert still is not None
    assert not torch.allclose(still, first[0].truth, atol=0.05)  # type: ignore[arg-type]
    with pytest.raises(IndexError):
        first[9]


def test_larger_pixels_are_means_over_their_area() -> None:
    """Of the same deformed slice in the same contrast, on a grid of the same extent."""
    fine = Icbm152Spec((64, 48), deformation=2.0, contrast=0.5)
    coarse = replace(fine, shape=(32, 24), pixel=2)
    one, other = Icbm152(fine)[1], Icbm152(coarse)[1]
    assert one.truth is not None
    assert other.truth is not None
    means = one.truth.double().reshape(32, 2, 24, 2).mean(dim=(1, 3))
    assert torch.allclose(other.truth[0].double(), means, atol=1e-6)
    assert other.label is not None
    assert tuple(other.label.shape) == (32, 24)


@pytest.mark.parametrize("coils", [1, 4])
def test_k_space_is_that_of_the_operator_and_noise(coils: int) -> None:
    """Of the deviation that was asked for, on the mask; maps are those that made the data."""
    spec = Icbm152Spec(
        (48, 40),
        split="test",
        mask=RandomLines((3,), (0.2,)),
        simulation=MagnitudeSimulation(coils, 0.02),
    )
    sample = Icbm152(spec)[1]
    batch = BatchBuilder(CartesianMRI(sample.spec), spec=sample.spec)([sample])
    assert batch.truth is not None
    mask = dict(sample.tensors)["mask"].expand(*batch.problem.data.shape[1:])[None]
    noise = (batch.problem.data - batch.problem.forward(batch.truth))[mask]
    assert float(noise.real.std()) == pytest.approx(0.02, rel=5 / (2 * noise.numel()) ** 0.5)
    assert not batch.problem.data[~mask].any()
    magnitude = Icbm152(replace(spec, mask=None))[1].truth
    assert magnitude is not None
    assert torch.allclose(batch.truth[0].abs(), magnitude, atol=1e-5)


def test_sections_are_other_splits() -> None:
    spec = Icbm152Spec()
    train, test = in_section(spec, "train"), in_section(spec, "test")
    assert not share_images(train, test)
    assert share_images(spec, train)


def test_what_is_missing_or_wrong_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ({"shape": (4, 4)}, {"planes": ()}, {"contrast": 2.0}, {"gap": -1}, {"pixel": 0}):
        with pytest.raises(ConfigError, match="shape of at least 8"):
            replace(Icbm152Spec(), **wrong)
    template.cache_clear()
    monkeypatch.setattr(icbm152, "find_spec", lambda name: None if name else util)
    with pytest.raises(MissingExtraError, match=r"learnedrecon\[anatomy\]"):
        Icbm152(Icbm152Spec())
    assert "nilearn" not in sys.modules, "the package is not imported"
