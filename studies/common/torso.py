"""CT slices of two people: one to learn from, from the shoulders to the abdomen, one to test on.

The files are those of `../shared/data`: TotalSegmentator's test data, Apache-2.0. Both are brought
to pixels of 3 mm by averages over areas, and to 128² by air around them or by cutting off the arms
beyond; the values are attenuation in 1/mm.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import torch
from torch.nn import functional

import learnedrecon as lr
from learnedrecon.data import Sample, SampleDataset
from learnedrecon.data.files.dicom import hounsfield_to_attenuation
from learnedrecon.data.seeds import Split, seed_sequence

if TYPE_CHECKING:
    from torch import Tensor

NAME = "torso"
DATA = Path(__file__).parents[3] / "shared" / "data"
SIZE, PIXEL, WATER = 128, 3.0, 0.02
VALIDATION = slice(60, 84)
"""Slices of the first person for validation; five on either side belong to no split."""
GAP = 5
_SPACINGS = {"torso_ct.h5": 1.5, "abdomen_slices.h5": 0.977}


@lr.register(NAME)
class Torso(SampleDataset):
    """Slices of a torso: "train" and "validation" are of one person, "test" is of another one.

    Images of "train" are turned, scaled and shifted at random, differently for every index.

    Args:
        split: "train", "validation" or "test".
        length: Number of training images.
        seed: Seed of the random changes.
    """

    def __init__(self, split: Split = "train", length: int = 1_000_000, seed: int = 0) -> None:
        self.split: Split = split
        self.length, self.seed = length, seed

    def __len__(self) -> int:
        return self.length if self.split == "train" else len(slices(self.split))

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        images = slices(self.split)
        image = images[index % len(images)]
        if self.split == "train":
            image = _changed(image, self.seed, index)
        return Sample(f"{self.split}-{index:07d}", None, image[None].clone())


@cache
def slices(split: Split) -> Tensor:
    """All slices of a split, (number, 128, 128)."""
    if split == "test":
        return _attenuation("abdomen_slices.h5")
    images = _attenuation("torso_ct.h5")
    if split == "validation":
        return images[VALIDATION]
    return torch.cat([images[: VALIDATION.start - GAP], images[VALIDATION.stop + GAP :]])


@cache
def _attenuation(name: str) -> Tensor:
    with h5py.File(DATA / name) as file:
        values = hounsfield_to_attenuation(file["hu"][:].astype(np.float32), WATER, clip=True)
    images = torch.from_numpy(np.asarray(values, np.float32))[:, None]
    shape = [round(n * _SPACINGS[name] / PIXEL) for n in images.shape[-2:]]
    images = functional.interpolate(images, shape, mode="area")
    (top, bottom), (left, right) = (_margins(n) for n in shape)
    return functional.pad(images, (left, right, top, bottom))[:, 0]


def _margins(pixels: int) -> tuple[int, int]:
    """Pixels to add before and after; negative where some are cut off."""
    missing = SIZE - pixels
    return missing // 2, missing - missing // 2


def _changed(image: Tensor, seed: int, index: int) -> Tensor:
    """Turned by up to 10°, scaled by .85 to 1.15, shifted by up to a tenth of its side."""
    draws = np.random.default_rng(seed_sequence(seed, "train", index, purpose="phantom"))
    angle, scale = np.deg2rad(draws.uniform(-10, 10)), draws.uniform(0.85, 1.15)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
    theta = torch.from_numpy(np.hstack([turn, draws.uniform(-0.1, 0.1, (2, 1))])).float()
    grid = functional.affine_grid(theta[None], [1, 1, SIZE, SIZE], align_corners=False)
    return functional.grid_sample(image[None, None], grid, align_corners=False)[0, 0]
