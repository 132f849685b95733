"""Undersampling masks by name: specs, registry, and masks recovered from data.

A spec draws masks for a shape of k-space. The mask depends only on the spec, the shape and the
seed:

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
from learnedrecon.operators.mri.cartesian_checks import require_finite_kspace
from learnedrecon.operators.mri.sampling_grid import (
    BoolArray,
    centre_mask,
    poisson_disc_mask,
    radial_mask,
    spiral_mask,
)
from learnedrecon.operators.mri.sampling_lines import (
    LineKind,
    Seed,
    centre_lines,
    check_lines,
    line_mask,
)
from learnedrecon.specs import Entry, Registry


class Mask(ABC):
    """Base class of random undersampling masks."""

    def draw(self, shape: tuple[int, int], seed: Seed) -> Tensor:
        """One mask, determined by the seed.

        Args:
            shape: Shape (ky, kx) of k-space.
            seed: An int, a tuple of ints, or a file name (its code points, as in fastMRI).

        Returns:
            Boolean mask (ky, kx), true where a sample is acquired; k = 0 is at n // 2.

        Raises:
            ConfigError: No mask of this shape has the required properties.
            ShapeError: ``shape`` is not two positive numbers.
        """
        centre_mask(shape, 0)
        return torch.from_numpy(np.ascontiguousarray(self._draw(shape, seed)))

    @abstractmethod
    def centre(self, shape: tuple[int, int]) -> tuple[int, int]:
        """The size (cy, cx) of the centre that every mask of the family acquires.

        Args:
            shape: Shape (ky, kx) of k-space.
        """

    @abstractmethod
    def _draw(self, shape: tuple[int, int], seed: Seed) -> BoolArray: ...


@dataclass(frozen=True)
class LineMask(Mask):
    """Base class of masks of whole lines along ky, selected along kx by a rule of fastMRI.

    See :func:`learnedrecon.operators.mri.sampling_lines.line_mask`.

    Attributes:
        accelerations: Acceleration factors R, one of which is drawn.
        centre_fractions: Fraction of the lines in the fully sampled centre, one per acceleration.
        kind: Name of the rule.
    """

    accelerations: tuple[int, ...] = (4,)
    centre_fractions: tuple[float, ...] = (0.08,)
    kind: ClassVar[LineKind]

    def __post_init__(self) -> None:
        check_lines(self.accelerations, self.centre_fractions)

    def centre(self, shape: tuple[int, int]) -> tuple[int, int]:
        width = shape[1]
        pairs = zip(self.accelerations, self.centre_fractions, strict=True)
        return shape[0], min(centre_lines(self.kind, width, *pair) for pair in pairs)

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
    """Random lines, about W/R of them."""

    kind = "random"


class Equispaced(LineMask):
    """Every R-th line, and the centre."""

    kind = "equispaced"


class EquispacedFraction(LineMask):
    """Lines at equal steps, about W/R of them including the centre."""

    kind = "equispaced_fraction"


class Magic(LineMask):
    """Every R-th line with an offset between k and -k (Defazio 2019), and the centre."""

    kind = "magic"


class MagicFraction(LineMask):
    """Lines of :class:`Magic` with steps that give about W/R lines including the centre."""

    kind = "magic_fraction"


@dataclass(frozen=True)
class PoissonDisc(Mask):
    """Variable-density Poisson disc masks, see :func:`..sampling_grid.poisson_disc_mask`.

    Attributes:
        acceleration: Acceleration factor R, met exactly in the number of samples.
        calibration: Side of the fully sampled square, in samples.
        contrast: Ratio of the distances at the border to those in the centre.
    """

    acceleration: float = 4.0
    calibration: int = 24
    contrast: float = 4.0

    def centre(self, shape: tuple[int, int]) -> tuple[int, int]:
        return min(self.calibration, shape[0]), min(self.calibration, shape[1])

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
    """Masks of golden-angle spokes on the grid, see :func:`..sampling_grid.radial_mask`.

    Attributes:
        acceleration: Acceleration factor R, met to half a spoke.
        calibration: Side of the fully sampled square, in samples.
    """

    acceleration: float = 4.0
    calibration: int = 24

    def centre(self, shape: tuple[int, int]) -> tuple[int, int]:
        return min(self.calibration, shape[0]), min(self.calibration, shape[1])

    def _draw(self, shape: tuple[int, int], seed: Seed) -> BoolArray:
        return radial_mask(
            shape, acceleration=self.acceleration, centre=self.calibration, seed=seed
        )


@dataclass(frozen=True)
class Spiral(Mask):
    """Masks of Archimedean spirals on the grid, see :func:`..sampling_grid.spiral_mask`.

    Attributes:
        acceleration: Acceleration factor R, met to about 1 %.
        calibration: Side of the fully sampled square, in samples.
        arms: Number of interleaves.
    """

    acceleration: float = 4.0
    calibration: int = 24
    arms: int = 8

    def centre(self, shape: tuple[int, int]) -> tuple[int, int]:
        return min(self.calibration, shape[0]), min(self.calibration, shape[1])

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
    """The mask of sampled points of k-space: those where some coil is not exactly zero.

    Columns that a scanner filled with zeros count as not sampled.

    Args:
        kspace: k-space (..., coil, ky, kx), or (..., ky, kx) with ``coil_axis`` None.
        coil_axis: Axis of the coils, or None; one non-zero coil is sufficient.

    Returns:
        Boolean mask of the shape of ``kspace`` with 1 coil, as the operators accept it.

    Raises:
        ShapeError: There is no such axis.
        DataError: The data are not finite, or all zero.
    """
    if kspace.ndim < (2 if coil_axis is None else 3):
        raise ShapeError(
            describe(
                expected="k-space of shape (..., coil, ky, kx)",
                found=str(tuple(kspace.shape)),
                fix="add a coil axis, or set coil_axis to None",
            )
        )
    require_finite_kspace(kspace)
    mask = kspace != 0
    mask = mask if coil_axis is None else mask.any(dim=coil_axis, keepdim=True)
    if not bool(mask.any()):
        raise DataError(
            describe(
                expected="some sample of k-space that is not zero",
                found="nothing but zeros",
                fix="check how the file was read and scaled",
            )
        )
    return mask


def acceleration(mask: Tensor) -> Tensor:
    """The acceleration factor of a mask: grid points divided by samples.

    Args:
        mask: Boolean mask, (..., ky, kx).

    Returns:
        Factors (...), float64; infinity where nothing is sampled.

    Raises:
        ShapeError: Fewer than two axes.
        ConfigError: The mask is not boolean.
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
