"""Patches of photographs: the same at every access, and no photograph in two splits."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from learnedrecon.data.noise import GaussianRange, sample_generator
from learnedrecon.data.photographs import PHOTOGRAPHS, Photographs, PhotographSpec, photograph
from learnedrecon.data.sections import in_section, refuse_shared_images
from learnedrecon.errors import ConfigError, FileFormatError


@pytest.mark.parametrize("split", PHOTOGRAPHS)
def test_a_patch_is_a_turned_part_of_its_photograph(split: str) -> None:
    dataset = Photographs(PhotographSpec(24, split, 20, 3))  # type: ignore[arg-type]
    names = PHOTOGRAPHS[split]  # type: ignore[index]
    for index in (0, 1, 13):
        truth = dataset[index].truth
        assert truth is not None
        assert truth.shape == (1, 24, 24)
        whole = photograph(names[index % len(names)])
        windows = np.lib.stride_tricks.sliding_window_view(whole, (24, 24))
        patches = [np.rot90(truth[0].numpy(), -k) for k in range(4)]
        corners = [np.argwhere(windows[:, :, 0, 0] == patch[0, 0]) for patch in patches]
        assert any(
            np.array_equal(windows[y, x], patch)
            for patch, places in zip(patches, corners, strict=True)
            for y, x in places
        )
        again = Photographs(dataset.spec)[index].truth
        assert again is not None
        assert torch.equal(truth, again)


def test_values_are_grey_levels() -> None:
    for name in (name for names in PHOTOGRAPHS.values() for name in names):
        image = photograph(name)
        assert image.ndim == 2
        assert min(image.shape) >= 300
        assert 0 <= image.min() < 0.3 < image.max() <= 1


def test_no_photograph_is_in_two_splits() -> None:
    for one, other in combinations(PHOTOGRAPHS.values(), 2):
        assert not set(one) & set(other)
    plain = PhotographSpec()
    refuse_shared_images({s: in_section(plain, s) for s in ("train", "validation", "test")})
    with pytest.raises(ConfigError, match="sections that share images"):
        refuse_shared_images({"train": plain, "test": replace(plain, size=32, seed=5)})


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match="1 to 256 pixels"):
        PhotographSpec(300)
    with pytest.raises(FileFormatError, match="photograph 'nothing'"):
        photograph("nothing")
    with pytest.raises(ConfigError, match="low <= high"):
        GaussianRange(0.2, 0.1)


def test_the_drawn_deviation_is_uniform() -> None:
    """Its mean and variance over samples, from the residuals of large images."""
    noise, clean = GaussianRange(0.1, 0.5), torch.zeros(400, 2500)
    drawn = noise.apply(clean, [sample_generator(0, "train", k) for k in range(400)])
    sigma = drawn.std(dim=1)
    assert float(sigma.min()) > 0.09
    assert float(sigma.max()) < 0.52
    assert float(sigma.mean()) == pytest.approx(0.3, abs=0.02)
    assert float(sigma.std()) == pytest.approx(0.4 / 12**0.5, abs=0.012)
