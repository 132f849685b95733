"""Datasets of true images: random phantoms, and images in memory.

A dataset is a sequence of samples: item i is always the same, independent of when and in which
process it is loaded.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset

from learnedrecon.choices import require_choices
from learnedrecon.data.batch import Sample
from learnedrecon.data.files.hdf5 import require_finite
from learnedrecon.data.phantoms.ellipses import ellipse_phantom, ellipse_preset
from learnedrecon.data.phantoms.shepp_logan import shepp_logan
from learnedrecon.data.seeds import Split
from learnedrecon.errors import ConfigError, DtypeError, ShapeError, describe
from learnedrecon.limits import MOST_SAMPLES, refuse_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from learnedrecon.data.volumes import Volume


class SampleDataset(Dataset[Sample], ABC):
    """Base class of datasets: a sequence of samples, picklable for workers, without operators."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of samples, which may be far more than anyone will draw."""

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """Sample ``index``.

        Raises:
            IndexError: out of range.
        """

    def buckets(self) -> Sequence[Sequence[int]]:
        """Groups of samples that can share a batch, without loading them.

        Every index is in exactly one group. By default all samples are in one.
        """
        return (range(len(self)),)

    def volumes(self) -> Sequence[Volume]:
        """Groups of samples that are the slices of one volume, for its scores; by default none."""
        return ()


@dataclass(frozen=True)
class EllipseSpec:
    """The configuration of an :class:`EllipseDataset`.

    Attributes:
        preset: Distribution of the ellipses, "adler2017", "adler2018" or "dival"; see
            :mod:`learnedrecon.data.phantoms.ellipses`.
        size: Number of pixels along each side, or ``(ny, nx)``.
        split: "train", "validation" or "test", which share no image. None is the section of the
            configuration that contains the spec, and "train" elsewhere.
        length: Number of images. Nothing is stored, so that a billion costs nothing and no image is
            repeated.
        seed: Seed of the whole data set.
        scale: Factor of every image: the value of 1 in the unit of the image, such as 0.04 for
            attenuation in 1/mm.

    Raises:
        ConfigError: The preset is unknown, the length is below 1, or the scale is not positive.
    """

    preset: str = "adler2018"
    size: int | tuple[int, int] = 128
    split: Split | None = None
    length: int = 1_000_000_000
    seed: int = 0
    scale: float = 1.0

    def __post_init__(self) -> None:
        require_choices(self)
        ellipse_preset(self.preset)
        if not (self.scale > 0 and math.isfinite(self.scale)):
            raise ConfigError(
                describe(
                    expected="a scale > 0",
                    found=f"scale = {self.scale}",
                    fix="give the size of an image value of 1 in the unit of the image",
                )
            )
        refuse_count(self.length, MOST_SAMPLES, "images of a dataset")
        if self.length < 1:
            raise ConfigError(
                describe(
                    expected="a length of at least 1",
                    found=f"length = {self.length}",
                    fix="give the number of images",
                )
            )


class EllipseDataset(SampleDataset):
    """Random ellipse phantoms without data, drawn on access.

    Ids are like ``train-0000012``.

    Args:
        spec: Configuration of the phantoms.
    """

    def __init__(self, spec: EllipseSpec) -> None:
        self.spec = spec
        self._law = ellipse_preset(spec.preset)

    def __len__(self) -> int:
        return self.spec.length

    def __getitem__(self, index: int) -> Sample:
        index = checked_index(index, len(self))
        spec = self.spec
        split = spec.split or "train"
        image = ellipse_phantom(self._law, index, spec.size, seed=spec.seed, split=split)
        image *= np.float32(spec.scale)
        return Sample(f"{split}-{index:07d}", None, torch.from_numpy(image)[None])


class ArrayDataset(SampleDataset):
    """True images in memory, such as CT slices, without data.

    Args:
        images: Images of shape (*space,), or one array (number, *space); stored as float32, or
            complex64 where they are complex.
        name: Prefix of the ids ``name-0000003``.

    Raises:
        ShapeError: There are no images, or images without pixels.
        DtypeError: Values are not numbers.
        DataError: NaN or infinity.
    """

    def __init__(self, images: Sequence[NDArray[Any]] | NDArray[Any], name: str = "image") -> None:
        if len(images) == 0:
            raise ShapeError(
                describe(expected="at least one image", found="none", fix="give some images")
            )
        self.name = name
        self.images = tuple(
            image_tensor(image, f"image {place} of '{name}'")[None]
            for place, image in enumerate(images)
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        index = checked_index(index, len(self))
        return Sample(f"{self.name}-{index:07d}", None, self.images[index])

    def buckets(self) -> Sequence[Sequence[int]]:
        return grouped([tuple(image.shape) for image in self.images])


class SingleImage(ArrayDataset):
    """A dataset of one true image, whose id is its name, so that its noise is always the same.

    Args:
        image: Image of shape (*space,).
        name: Id of the image.
    """

    def __init__(self, image: NDArray[Any], name: str = "image") -> None:
        super().__init__([image], name)

    def __getitem__(self, index: int) -> Sample:
        return super().__getitem__(index)._replace(id=self.name)


@dataclass(frozen=True)
class SheppLoganSpec:
    """The configuration of :class:`SheppLogan`.

    Attributes:
        size: Number of pixels along each side, or ``(ny, nx)``.
    """

    size: int | tuple[int, int] = 128


class SheppLogan(SingleImage):
    """The modified Shepp-Logan phantom as a dataset of one image, for tests as in the papers.

    Args:
        spec: Configuration of the phantom.
    """

    def __init__(self, spec: SheppLoganSpec) -> None:
        super().__init__(shepp_logan(spec.size), "shepp-logan")
        self.spec = spec


def checked_index(index: int, length: int) -> int:
    """An index counted from the front.

    Args:
        index: Index, possibly negative.
        length: Length of the sequence.

    Raises:
        IndexError: The index is out of range.
    """
    if not -length <= index < length:
        raise IndexError(
            describe(
                expected=f"an index in 0..{length - 1}",
                found=str(index),
                fix="ask for a sample that the dataset has",
            )
        )
    return index % length


def grouped(keys: Sequence[Any]) -> tuple[tuple[int, ...], ...]:
    """The indices of equal keys, in the order of first appearance.

    Args:
        keys: Keys, one per index.
    """
    groups: dict[Any, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return tuple(map(tuple, groups.values()))


def image_tensor(values: NDArray[Any], what: str) -> Tensor:
    """An array as a float32 tensor, or complex64 where it is complex.

    Args:
        values: Array of numbers.
        what: Noun for the array in messages.

    Raises:
        ShapeError: The array is empty.
        DtypeError: Values are not numbers.
        DataError: A value is NaN or infinite, before or after the conversion.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "biufc":
        raise DtypeError(
            describe(
                expected=f"numbers in {what}",
                found=str(values.dtype),
                fix="convert it to floats",
            )
        )
    if values.size == 0 or values.ndim == 0:
        raise ShapeError(
            describe(
                expected=f"at least one axis and one value in {what}",
                found=f"shape {values.shape}",
                fix="omit it, or repair it",
            )
        )
    require_finite(values, what)
    with np.errstate(over="ignore"):
        narrow = values.astype(np.complex64 if values.dtype.kind == "c" else np.float32)
    require_finite(narrow, f"{what} as {narrow.dtype}")
    return torch.from_numpy(np.ascontiguousarray(narrow))
