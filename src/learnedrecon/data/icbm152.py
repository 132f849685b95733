"""Slices of the ICBM152 brain inside the installed package nilearn; nothing is loaded.

The template is an average of 152 adults (Fonov et al. 2011, doi:10.1016/j.neuroimage.2010.07.033),
with maps of grey and white matter, at 1 mm. All slices are of this one brain: scores are on other
places of it, deformed and in other contrasts, not on other people.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from learnedrecon.choices import require_choices
from learnedrecon.data.batch import Sample
from learnedrecon.data.datasets import SampleDataset, checked_index
from learnedrecon.data.files.nifti import read_nifti
from learnedrecon.data.kspace.simulated import (
    MagnitudeSimulation,
    note_simulation,
    simulated_kspace,
)
from learnedrecon.data.sections import in_section, share_images
from learnedrecon.data.seeds import Split, seed_sequence
from learnedrecon.errors import ConfigError, FileFormatError, MissingExtraError, describe, require
from learnedrecon.limits import MOST_SAMPLES, refuse_count
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.mri.sampling import MaskSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from learnedrecon.recorded import Record

Plane = Literal["axial", "coronal", "sagittal"]

LABELS: Final = ("background", "CSF", "grey matter", "white matter")
"""The classes of a label, by number."""

BLOCKS: Final[dict[Split, tuple[tuple[float, float], ...]]] = {
    "train": ((0.0, 0.35), (0.65, 1.0)),
    "validation": ((0.35, 0.5),),
    "test": ((0.5, 0.65),),
}
"""The parts of the slices of every plane, from the first with enough brain to the last."""

_AXES: Final[dict[Plane, int]] = {"axial": 0, "coronal": 1, "sagittal": 2}
_LEAST: Final = 0.2
"""The area of the brain in a slice, relative to that of the largest slice of the plane."""
_LARGEST: Final = 512
_NODES: Final = 6
_BIAS: Final = 0.2
_T2: Final = (0.0, 1.0, 0.6, 0.35)
"""The values of the classes in a contrast like T2, towards which that of T1 is mixed."""


@dataclass(frozen=True)
class Icbm152Spec:
    """The configuration of :class:`Icbm152`.

    Attributes:
        shape: Shape (ny, nx) of the images; the brain is in the middle.
        planes: Orientations of the slices: "axial", "coronal" and "sagittal".
        split: "train", "validation" or "test". None is the section of the configuration that
            contains the spec, and "train" elsewhere.
        length: Number of images.
        seed: Seed of slices, deformations, contrasts, masks and noise.
        gap: Number of slices between blocks of different splits that no split has.
        deformation: Standard deviation of the displacement at 6 x 6 nodes, in mm.
        contrast: Size of the changes of contrast and intensity in [0, 1]; 0 keeps T1.
        mask: Family of undersampling masks; None for true images without data.
        simulation: Coils, noise and phase of k-space, where there is a mask.
        pixel: Side of a pixel in mm, whose value is the mean over its area.

    Raises:
        ConfigError: A number is out of range, or there is no plane.
    """

    shape: tuple[int, int] = (192, 192)
    planes: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
    split: Split | None = None
    length: int = 1_000_000_000
    seed: int = 0
    gap: int = 6
    deformation: float = 2.0
    contrast: float = 0.5
    mask: MaskSpec | None = None
    simulation: MagnitudeSimulation | None = None
    pixel: int = 1

    def __post_init__(self) -> None:
        require_choices(self)
        object.__setattr__(self, "planes", tuple(self.planes))
        object.__setattr__(self, "shape", tuple(self.shape))
        refuse_count(self.length, MOST_SAMPLES, "images of a dataset")
        fits = len(self.shape) == 2 and all(n >= 8 for n in self.shape) and self.pixel >= 1
        fits = fits and max(self.shape) * self.pixel <= _LARGEST
        good = 0 <= self.deformation <= 8 and 0 <= self.contrast <= 1 and 0 <= self.gap <= 12
        require(
            fits and good and self.planes and self.length >= 1,
            ConfigError,
            expected=f"a shape of at least 8 pixels and at most {_LARGEST} mm, at least one plane "
            "and image, a gap of 0 to 12 slices, a deformation of 0 to 8 mm and a contrast of 0 to "
            "1",
            found=f"shape = {self.shape}, pixel = {self.pixel}, planes = {self.planes}, length = "
            f"{self.length}, gap = {self.gap}, deformation = {self.deformation}, contrast = "
            f"{self.contrast}",
            fix="correct them",
        )


@in_section.register(Icbm152Spec)
def _(spec: Icbm152Spec, section: Split) -> Icbm152Spec:
    return spec if spec.split is not None else replace(spec, split=section)


@share_images.register(Icbm152Spec)
def _(one: Icbm152Spec, other: Record) -> bool:
    """Other splits have other slices, whatever else differs."""
    same = isinstance(other, Icbm152Spec)
    return same and (one.split or "train") == (other.split or "train")


class Icbm152(SampleDataset):
    """Slices of the ICBM152 brain, deformed and in changed contrast, drawn on access.

    Item i is of plane i modulo their number, at a random slice of the blocks of its split. The
    label of a pixel is the class of :data:`LABELS` that is most probable there, on the same grid.
    Without a mask the true image is real, (1, ny, nx), about in [0, 1], and there are no data. With
    one it is complex, and the sample has undersampled k-space of birdcage coils, their maps and the
    mask. Slices of different planes cross, and share single lines.

    Args:
        spec: Configuration of the slices.

    Raises:
        MissingExtraError: The package nilearn or nibabel is not installed.
        FileFormatError: The installed nilearn does not contain the template.
    """

    def __init__(self, spec: Icbm152Spec) -> None:
        self.spec = spec
        template()
        if spec.mask is not None:
            note_simulation("icbm152")

    def __len__(self) -> int:
        return self.spec.length

    def __getitem__(self, index: int) -> Sample:
        index = checked_index(index, len(self))
        spec, split = self.spec, self.spec.split or "train"
        seeds = seed_sequence(spec.seed, split, index, purpose="phantom")
        generator = np.random.default_rng(seeds)
        plane = spec.planes[index % len(spec.planes)]
        number = int(generator.choice(block_slices(plane, split, spec.gap)))
        image, label = _drawn(plane, number, spec, generator)
        name = f"{split}-{index:07d}-{plane}-{number:03d}"
        if spec.mask is None:
            return Sample(name, None, image[None], label)
        words = (spec.seed % 2**32, ("train", "validation", "test").index(split), index)
        mask = spec.mask.draw(spec.shape, words)
        noise = np.random.default_rng(seed_sequence(spec.seed, split, index, purpose="noise"))
        return _measured(Sample(name, None, image[None], label), mask, spec, noise)


class Template(NamedTuple):
    """The volumes of the template, (z, y, x), 8 bits.

    Attributes:
        t1: Image weighted by T1, without the skull.
        grey: Probability of grey matter, of 255.
        white: Probability of white matter, of 255.
    """

    t1: NDArray[np.uint8]
    grey: NDArray[np.uint8]
    white: NDArray[np.uint8]


@lru_cache(maxsize=1)
def template() -> Template:
    """The template inside the installed package nilearn, which is not imported.

    Raises:
        MissingExtraError: The package nilearn or nibabel is not installed.
        FileFormatError: The installed nilearn does not contain the template.
    """
    found = find_spec("nilearn")
    if found is None or found.origin is None:
        raise MissingExtraError(
            describe(
                expected="nilearn to be installed, for the ICBM152 template inside it",
                found="no such package",
                fix="run: pip install 'learnedrecon[anatomy]'",
            )
        )
    folder = Path(found.origin).parent / "datasets" / "data"
    volumes = []
    for kind in ("t1", "gm", "wm"):
        path = folder / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"
        require(
            path.is_file(),
            FileFormatError,
            expected=f"{path.name} inside the installed package nilearn",
            found="no file of this name",
            fix="install a version of nilearn that contains it, such as 0.14",
        )
        volumes.append(read_nifti(path).astype(np.uint8))
    return Template(*volumes)


@lru_cache(maxsize=64)
def block_slices(plane: Plane, split: Split, gap: int) -> tuple[int, ...]:
    """The numbers of the slices of a plane that a split has.

    Args:
        plane: Orientation of the slices.
        split: Part of the data set.
        gap: Number of slices between blocks of different splits that no split has.
    """
    others = tuple(axis for axis in range(3) if axis != _AXES[plane])
    area = (template().t1 > 0).sum(axis=others)
    there = np.flatnonzero(area >= _LEAST * area.max())
    first, number = int(there[0]), int(there[-1]) + 1 - int(there[0])
    before, after = gap // 2, gap - gap // 2
    found: list[int] = []
    for low, high in BLOCKS[split]:
        start = math.floor(low * number) + (after if low > 0 else 0)
        end = math.floor(high * number) - (before if high < 1 else 0)
        found += range(first + start, first + end)
    return tuple(found)


def _drawn(
    plane: Plane, number: int, spec: Icbm152Spec, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """The image and the label of a slice, (ny, nx)."""
    parts = _slice(plane, number)
    fields = _warped(parts, spec, generator)
    t1, grey, white = fields
    brain = (t1 > 0).to(t1.dtype)
    csf = (brain - grey - white).clamp(0.0, 1.0)
    classes = torch.stack([1.0 - (csf + grey + white).clamp(0.0, 1.0), csf, grey, white])
    share = float(generator.uniform(0.0, spec.contrast))
    other = sum(value * each for value, each in zip(_T2, classes, strict=True))
    power = math.exp(0.5 * spec.contrast * float(generator.uniform(-1.0, 1.0)))
    size = 1.0 + 0.2 * spec.contrast * float(generator.uniform(-1.0, 1.0))
    bias = torch.exp(_BIAS * spec.contrast * _smooth(tuple(t1.shape), 1, generator)[0])
    image = size * bias * ((1.0 - share) * t1 + share * other).clamp_min(0.0).pow(power)
    coarse = torch.nn.functional.avg_pool2d(torch.cat([image[None], classes]), spec.pixel)
    return coarse[0], coarse[1:].argmax(dim=0)


def _slice(plane: Plane, number: int) -> Tensor:
    """T1, grey and white matter of a slice, (3, rows, columns), in [0, 1], the nose or top up."""
    slices = [np.flip(volume.take(number, axis=_AXES[plane]), axis=0) for volume in template()]
    return torch.from_numpy(np.stack(slices).astype(np.float32) / 255.0)


def _warped(parts: Tensor, spec: Icbm152Spec, generator: np.random.Generator) -> Tensor:
    """The parts at displaced places 1 mm apart, left and right as they are or not."""
    ny, nx = (spec.pixel * n for n in spec.shape)
    rows, columns = parts.shape[-2:]
    shift = spec.deformation * _smooth((ny, nx), 2, generator)
    y = torch.arange(ny)[:, None] - (ny - 1) / 2 + shift[0]
    x = torch.arange(nx) - (nx - 1) / 2 + shift[1]
    x = -x if generator.random() < 0.5 else x
    grid = torch.stack([2.0 * x / (columns - 1), 2.0 * y / (rows - 1)], dim=-1)
    return torch.nn.functional.grid_sample(parts[None], grid[None].float(), align_corners=True)[0]


def _smooth(shape: tuple[int, ...], number: int, generator: np.random.Generator) -> Tensor:
    """Fields (number, ny, nx) of deviation 1 at 6 x 6 nodes, by cubic interpolation between."""
    nodes = torch.from_numpy(generator.normal(size=(1, number, _NODES, _NODES))).float()
    return torch.nn.functional.interpolate(nodes, shape, mode="bicubic", align_corners=True)[0]


def _measured(
    sample: Sample, mask: Tensor, spec: Icbm152Spec, generator: np.random.Generator
) -> Sample:
    """The sample with k-space of random phase, coils and noise."""
    assert sample.truth is not None
    simulation = spec.simulation or MagnitudeSimulation()
    found = simulated_kspace(sample.truth[0].double().numpy(), simulation, generator)
    data = torch.from_numpy(found.kspace.astype(np.complex64)) * mask
    truth = torch.from_numpy(found.image.astype(np.complex64))[None]
    if simulation.coils == 1:
        tensors: tuple[tuple[str, Tensor], ...] = (("mask", mask[None]),)
        own = Cartesian(spec.shape)
        return sample._replace(data=data, truth=truth, tensors=tensors, spec=own)
    maps = torch.from_numpy(found.maps.astype(np.complex64))
    tensors = (("mask", mask[None, None]), ("maps", maps[None]))
    own = Cartesian(spec.shape, coils=simulation.coils)
    return sample._replace(data=data[None], truth=truth, tensors=tensors, spec=own)
