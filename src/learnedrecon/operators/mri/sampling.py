"""Undersampling masks by name: their specs, their registry, and masks found in data.

A spec draws masks for one shape of k-space, and what it draws depends on the seed and nothing else:

    mask = Equispaced((4,), (0.08,)).draw((640, 368), "file1000000.h5")   # fastMRI's, (640, 368)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import PlainSerializer, PlainValidator
from torch import Tensor

from learnedrecon import specs
from learnedrecon.errors import ConfigError, DataError, ShapeError, describe
from learnedrecon.operators.mri.sampling_grid import (
    BoolArray,
    centre_mask,
    poisson_disc_mask,
    radial_mask,
    spiral_mask,
)
from learnedrecon.operators.mri.sampling_lines import LineKind, Seed, check_lines, line_mask
from learnedrecon.specs import Entry, Registry


class Mask(ABC):
    """A law of undersampling masks."""

    def draw(self, shape: tuple[int, int], seed: Seed) -> Tensor:
        """One mask.

        Args:
            shape: (ky, kx) of the k-space.
            seed: an int, a tuple of ints, or a file name (its code points, as fastMRI has it).

        Returns:
            bool of shape (ky, kx), true where a sample is acquired; k = 0 is at n // 2.

        Raises:
            ConfigError: no mask of this shape has the properties.
            ShapeError: ``shape`` is not two positive numbers.
        """
        centre_mask(shape, 0)
        return torch.from_numpy(np.ascontiguousarray(self._draw(shape, seed)))

    @abstractmethod
    def _draw(self, shape: tuple[int, int], seed: Seed) -> BoolArray: ...


@dataclass(frozen=True)
class LineMask(Mask):
    """Whole lines along ky, chosen along kx by a rule of fastMRI.

    See :func:`learnedrecon.operators.mri.sampling_lines.line_mask`.

    Attributes:
        accelerations: R; of several, one is drawn.
        centre_fractions: the part of the lines that the centre takes, one for each acceleration.
    """

    accelerations: tuple[int, ...] = (4,)
    centre_fractions: tuple[float, ...] = (0.08,)
    kind: ClassVar[LineKind]

    def __post_init__(self) -> None:
        check_lines(self.accelerations, self.centre_fractions)

    def _draw(self, shape: tuple[int, int], seed: Seed) -> BoolArray:
        lines = line_mask(
            self.kind,
            shape[1],
            accelerations=self.accelerations,
            centre_fractions=self.centre_fractions,
            seed=seed,
        )
        return np.broadcast_to(lines, shape)


class RandomLines(LineMask):
    """Lines at random, about W/R of them."""

    kind = "random"


class Equispaced(LineMask):
    """Every R-th line and the centre."""

    kind = "equispaced"


class EquispacedFraction(LineMask):
    """Lines at equal steps such that they are about W/R with the centre."""

    kind = "equispaced_fraction"


class Magic(LineMask):
    """Every R-th line, with an offset between k and -k (Defazio 2019)."""

    kind = "magic"


class MagicFraction(LineMask):
    """The same with steps such that the lines are about W/R with the centre."""

    kind = "magic_fraction"


@dataclass(frozen=True)
class PoissonDisc(Mask):
    """Variable-density Poisson disc, see :func:`..sampling_grid.poisson_disc_mask`.

    Attributes:
        acceleration: R, met to the sample.
        calibration: side of the fully sampled square.
        contrast: how much wider the distances are at the border than in the middle.
    """

    acceleration: float = 4.0
    calibration: int = 24
    contrast: float = 4.0

    def _draw(self, shape: tuple[int, int], seed: Seed) -> BoolArray:
        return poisson_disc_mask(
            shape,
            acceleration=self.acceleration,
            centre=self.calibration,
            contrast=self.contrast,
            seed=seed,
        )


@dataclass(frozen=True)
class Radial(Mask):
    """Golden-angle spokes on the grid, see :func:`..sampling_grid.radial_mask`.

    Attributes:
        acceleration: R, met to half a spoke.
        calibration: side of the fully sampled square.
    """

    acceleration: float = 4.0
    calibration: int = 24

    def _draw(self, shape: tuple[int, int], seed: Seed) -> BoolArray:
        return radial_mask(
            shape, acceleration=self.acceleration, centre=self.calibration, seed=seed
        )


@dataclass(frozen=True)
class Spiral(Mask):
    """Archimedean spirals on the grid, see :func:`..sampling_grid.spiral_mask`.

    Attributes:
        acceleration: R, met to about 1 %.
        calibration: side of the fully sampled square.
        arms: number of interleaves.
    """

    acceleration: float = 4.0
    calibration: int = 24
    arms: int = 8

    def _draw(self, shape: tuple[int, int], seed: Seed) -> BoolArray:
        return spiral_mask(
            shape,
            acceleration=self.acceleration,
            centre=self.calibration,
            arms=self.arms,
            seed=seed,
        )


def _as_it_is(mask: Mask) -> Mask:
    return mask


MASKS: Registry[Mask] = MappingProxyType(
    {
        "random": Entry(RandomLines, _as_it_is, "random lines (fastMRI)"),
        "equispaced": Entry(Equispaced, _as_it_is, "every R-th line (fastMRI)"),
        "equispaced_fraction": Entry(EquispacedFraction, _as_it_is, "W/R lines in all (fastMRI)"),
        "magic": Entry(Magic, _as_it_is, "every R-th line, offset between k and -k (fastMRI)"),
        "magic_fraction": Entry(MagicFraction, _as_it_is, "the same, W/R in all (fastMRI)"),
        "poisson_disc": Entry(PoissonDisc, _as_it_is, "variable-density Poisson disc"),
        "radial": Entry(Radial, _as_it_is, "golden-angle spokes on the grid"),
        "spiral": Entry(Spiral, _as_it_is, "Archimedean spirals on the grid"),
    }
)


def _parse(value: Any) -> Mask:  # noqa: ANN401 - whatever a file holds
    return value if isinstance(value, Mask) else specs.named_from_plain(MASKS, value, "mask")


def _dump(mask: Mask) -> dict[str, Any]:
    return specs.named_to_plain(MASKS, mask)


MaskSpec = Annotated[Mask, PlainValidator(_parse), PlainSerializer(_dump)]
"""A mask as a field of a spec: plain data hold it with its ``name``."""


def sampling_mask(kspace: Tensor, *, coil_axis: int | None = -3) -> Tensor:
    """Where k-space was sampled: where some coil is not exactly zero.

    Columns that a scanner filled with zeros count as not sampled.

    Args:
        kspace: (..., coil, ky, kx), or (..., ky, kx) with ``coil_axis`` None.
        coil_axis: over which one non-zero suffices.

    Returns:
        bool, the shape of ``kspace`` with 1 coil: a mask as the operators take it.

    Raises:
        ShapeError: there is no such axis.
        DataError: NaN or infinity, or nothing but zeros.
    """
    if kspace.ndim < (2 if coil_axis is None else 3):
        raise ShapeError(
            describe(
                expected="k-space of shape (..., coil, ky, kx)",
                found=str(tuple(kspace.shape)),
                fix="add a coil axis, or set coil_axis to None",
            )
        )
    if not bool(torch.isfinite(kspace).all()):
        raise DataError(
            describe(
                expected="finite k-space", found="NaN or infinity", fix="look at how it was read"
            )
        )
    mask = kspace != 0
    mask = mask if coil_axis is None else mask.any(dim=coil_axis, keepdim=True)
    if not bool(mask.any()):
        raise DataError(
            describe(
                expected="some sample of k-space that is not zero",
                found="nothing but zeros",
                fix="look at how it was read and scaled",
            )
        )
    return mask


def acceleration(mask: Tensor) -> Tensor:
    """How many times fewer samples than grid points, per mask.

    Args:
        mask: bool, (..., ky, kx).

    Returns:
        float64 of shape (...); infinity where nothing is sampled.

    Raises:
        ShapeError: fewer than two axes.
        ConfigError: not a boolean mask.
    """
    if mask.ndim < 2:
        raise ShapeError(
            describe(
                expected="a mask of shape (..., ky, kx)",
                found=str(tuple(mask.shape)),
                fix="expand a mask of lines to the shape of k-space",
            )
        )
    if mask.dtype != torch.bool:
        raise ConfigError(
            describe(
                expected="a boolean mask",
                found=str(mask.dtype),
                fix="give mask != 0, or the spec's",
            )
        )
    return (mask.shape[-1] * mask.shape[-2]) / mask.sum(dim=(-2, -1)).double()
