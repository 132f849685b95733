"""Datasets of true images: phantoms without end, and images that are in memory.

A dataset is a sequence of samples: item i is always the same, whoever asks for it and when.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset

from learnedrecon.data.batch import Sample
from learnedrecon.data.files.hdf5 import require_finite
from learnedrecon.data.phantoms.ellipses import ellipse_phantom, ellipse_preset
from learnedrecon.data.phantoms.shepp_logan import shepp_logan
from learnedrecon.data.seeds import Split
from learnedrecon.errors import ConfigError, DtypeError, ShapeError, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor


class SampleDataset(Dataset[Sample], ABC):
    """Samples by number. Picklable, and free of operators, so that workers can have it."""

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
        """Groups of samples that can share a batch, known without loading them.

        Every index is in exactly one group. By default all samples are in one.
        """
        return (range(len(self)),)


@dataclass(frozen=True)
class EllipseSpec:
    """Random ellipses; see :mod:`learnedrecon.data.phantoms.ellipses`.

    Attributes:
        preset: the law: adler2017, adler2018 or dival.
        size: pixels along each side, or ``(ny, nx)``.
        split: "train", "validation" or "test"; no two share an image. None is the section of the
            configuration that it stands in, and "train" elsewhere.
        length: the number of images. As nothing is stored, a billion costs nothing, and then no
            image comes twice.
        seed: Seed of the whole data set.
        scale: what an image value of 1 is in the unit of the image, such as 0.04 for attenuation
            in 1/mm; every image is multiplied by it.

    Raises:
        ConfigError: an unknown preset, a length below 1, or a scale that is not positive.
    """

    preset: str = "adler2018"
    size: int | tuple[int, int] = 128
    split: Split | None = None
    length: int = 1_000_000_000
    seed: int = 0
    scale: float = 1.0

    def __post_init__(self) -> None:
        ellipse_preset(self.preset)
        if not (self.scale > 0 and math.isfinite(self.scale)):
            raise ConfigError(
                describe(
                    expected="a scale > 0",
                    found=f"scale = {self.scale}",
                    fix="give the size of an image value of 1 in the unit of the image",
                )
            )
        if self.length < 1:
            raise ConfigError(
                describe(
                    expected="a length of at least 1",
                    found=f"length = {self.length}",
                    fix="say how many images the dataset has",
                )
            )


class EllipseDataset(SampleDataset):
    """Ellipse phantoms, drawn when they are asked for; data are to be simulated.

    Ids are like ``train-0000012``.
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
    """True images that are in memory, such as CT slices; data are to be simulated.

    Args:
        images: each of shape (*space,), or all in one array (number, *space); stored as float32,
            or complex64 where they are complex.
        name: ids are like ``name-0000003``.

    Raises:
        ShapeError: no images, or images of no pixels.
        DtypeError: values that are not numbers.
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
    """One true image; its id is its name, so its noise is always the same.

    Args:
        image: of shape (*space,).
        name: its id.
    """

    def __init__(self, image: NDArray[Any], name: str = "image") -> None:
        super().__init__([image], name)

    def __getitem__(self, index: int) -> Sample:
        return super().__getitem__(index)._replace(id=self.name)


@dataclass(frozen=True)
class SheppLoganSpec:
    """The modified Shepp-Logan phantom, one image.

    Attributes:
        size: pixels along each side, or ``(ny, nx)``.
    """

    size: int | tuple[int, int] = 128


class SheppLogan(SingleImage):
    """The modified Shepp-Logan phantom as a dataset of one image, for tests as in the papers."""

    def __init__(self, spec: SheppLoganSpec) -> None:
        super().__init__(shepp_logan(spec.size), "shepp-logan")
        self.spec = spec


def checked_index(index: int, length: int) -> int:
    """``index`` counted from the front.

    Raises:
        IndexError: out of range.
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
    """The indices of equal keys, in the order in which the keys first come."""
    groups: dict[Any, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return tuple(map(tuple, groups.values()))


def image_tensor(values: NDArray[Any], what: str) -> Tensor:
    """An array as a float32 tensor, or complex64 where it is complex.

    Raises:
        ShapeError: no values.
        DtypeError: values that are not numbers.
        DataError: NaN or infinity, before or after the conversion.
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
                fix="leave it away, or repair it",
            )
        )
    require_finite(values, what)
    with np.errstate(over="ignore"):
        narrow = values.astype(np.complex64 if values.dtype.kind == "c" else np.float32)
    require_finite(narrow, f"{what} as {narrow.dtype}")
    return torch.from_numpy(np.ascontiguousarray(narrow))
