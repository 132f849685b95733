"""Grey patches of the photographs inside the installed package scikit-image; nothing is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from learnedrecon.choices import require_choices
from learnedrecon.data.batch import Sample
from learnedrecon.data.datasets import SampleDataset, checked_index
from learnedrecon.data.seeds import Split, seed_sequence
from learnedrecon.errors import ConfigError, FileFormatError, describe
from learnedrecon.limits import MOST_SAMPLES, refuse_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

PHOTOGRAPHS: Final[Mapping[Split, tuple[str, ...]]] = {
    "train": ("astronaut", "brick", "coffee", "coins", "grass", "gravel", "motorcycle_left"),
    "validation": ("rocket", "moon"),
    "test": ("camera", "chelsea"),
}
"""The photographs of each split; no two splits share one, or show the same scene."""

MOST_PIXELS: Final = 256
"""The largest side of a patch: the photographs have at least 300 pixels along each side."""


@dataclass(frozen=True)
class PhotographSpec:
    """The configuration of :class:`Photographs`.

    Attributes:
        size: Number of pixels along each side of a patch, at most 256.
        split: "train", "validation" or "test", which share no photograph. None is the section of
            the configuration that contains the spec, and "train" elsewhere.
        length: Number of patches.
        seed: Seed of the places of the patches.

    Raises:
        ConfigError: The size or the length is out of range.
    """

    size: int = 64
    split: Split | None = None
    length: int = 1_000_000_000
    seed: int = 0

    def __post_init__(self) -> None:
        require_choices(self)
        refuse_count(self.length, MOST_SAMPLES, "patches of a dataset")
        if self.length < 1 or not 1 <= self.size <= MOST_PIXELS:
            raise ConfigError(
                describe(
                    expected=f"at least one patch, of 1 to {MOST_PIXELS} pixels along each side",
                    found=f"length = {self.length}, size = {self.size}",
                    fix="correct 'length' or 'size'",
                )
            )


class Photographs(SampleDataset):
    """Random grey patches of photographs with values in [0, 1], without data, cut on access.

    Item i is from photograph i modulo their number, at a random place, turned by a random multiple
    of 90 degrees. Ids are like ``train-0000012``.

    Args:
        spec: Configuration of the patches.
    """

    def __init__(self, spec: PhotographSpec) -> None:
        self.spec = spec

    def __len__(self) -> int:
        return self.spec.length

    def __getitem__(self, index: int) -> Sample:
        index = checked_index(index, len(self))
        split, size = self.spec.split or "train", self.spec.size
        names = PHOTOGRAPHS[split]
        whole = photograph(names[index % len(names)])
        seeds = seed_sequence(self.spec.seed, split, index, purpose="phantom")
        generator = np.random.default_rng(seeds)
        y, x = (int(generator.integers(n - size + 1)) for n in whole.shape)
        patch = np.rot90(whole[y : y + size, x : x + size], int(generator.integers(4)))
        image = torch.from_numpy(np.ascontiguousarray(patch))[None]
        return Sample(f"{split}-{index:07d}", None, image)


@lru_cache(maxsize=16)
def photograph(name: str) -> NDArray[np.float32]:
    """A photograph of scikit-image in grey, (ny, nx), values in [0, 1].

    Args:
        name: Name of a file in the package, without ``.png`` or ``.jpg``.

    Raises:
        FileFormatError: The installed scikit-image does not contain it.
    """
    import skimage.color  # noqa: PLC0415 - few need it
    import skimage.data  # noqa: PLC0415 - few need it
    import skimage.io  # noqa: PLC0415 - few need it

    folder = Path(skimage.data.__file__).parent
    found = [path for end in ("png", "jpg") if (path := folder / f"{name}.{end}").is_file()]
    if not found:
        raise FileFormatError(
            describe(
                expected=f"the photograph '{name}' inside the installed package scikit-image",
                found="no file of this name",
                fix="install a version of scikit-image that contains it",
            )
        )
    image = skimage.io.imread(found[0])
    grey = skimage.color.rgb2gray(image[..., :3]) if image.ndim == 3 else image / 255
    values: NDArray[np.float32] = np.asarray(grey, dtype=np.float32)
    values.flags.writeable = False
    return values
