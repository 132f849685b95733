"""Mask, acceleration, centre and noise of a slice of k-space, from its samples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import Tensor

from learnedrecon.data.kspace.slices import sampled_centre
from learnedrecon.operators.mri.sampling import acceleration, sampling_mask

if TYPE_CHECKING:
    from learnedrecon.data.kspace.header import KSpaceFile

_OUTER: Final = 0.05
"""The part of the acquired samples, farthest from the centre, that shows the noise."""


class KSpaceFacts(NamedTuple):
    """Mask, acceleration and noise of one slice.

    Attributes:
        lines: True if the mask consists of whole columns.
        columns: Acquired columns, those of 2D masks counted in part.
        span: First column with a sample and the one after the last.
        acceleration: Points of the grid over samples, within the span.
        centre: Sizes (cy, cx) of the fully sampled centre, at most all of k-space.
        noise: Standard deviation of the noise of real and imaginary parts.
        largest: Largest magnitude of k-space.
    """

    lines: bool
    columns: int
    span: tuple[int, int]
    acceleration: float
    centre: tuple[int, int]
    noise: float
    largest: float

    @property
    def full(self) -> bool:
        """True if all samples within the span are acquired."""
        return self.acceleration == 1.0


def kspace_facts(file: KSpaceFile, number: int) -> KSpaceFacts:
    """The facts of one slice, which is read as it is, without any cropping.

    Args:
        file: Header of the file.
        number: Number of the slice.

    Raises:
        FileFormatError: The file is damaged.
        DataError: A value is NaN or infinite, or all are zero.
    """
    kspace = torch.from_numpy(file.slice(number))
    mask = sampling_mask(kspace)[0]
    columns = mask.any(dim=0)
    there = columns.nonzero().flatten()
    span = (int(there[0]), int(there[-1]) + 1)
    lines = bool((mask == columns).all())
    centre = sampled_centre(mask, max(mask.shape))
    return KSpaceFacts(
        lines,
        int(columns.sum()),
        span,
        float(acceleration(mask[:, span[0] : span[1]])),
        centre,
        noise_of(kspace, mask),
        float(kspace.abs().max()),
    )


def noise_of(kspace: Tensor, mask: Tensor) -> float:
    """The standard deviation of the noise of real and imaginary parts, from outer k-space.

    |n|² of complex Gaussian noise has the median 2σ² ln 2; the median hardly sees the little
    signal that is left among the twentieth of the samples that is farthest from the centre.

    Args:
        kspace: k-space (coil, ky, kx).
        mask: Acquired samples, bool, (ky, kx).
    """
    rows, columns = (
        (torch.arange(n, dtype=torch.float64) - n // 2) / max(n // 2, 1) for n in mask.shape
    )
    distance = (rows[:, None].square() + columns.square())[mask]
    number = max(1, round(_OUTER * len(distance)))
    outer = distance.topk(number).indices
    energy = kspace[:, mask][:, outer].abs().double().square()
    return math.sqrt(float(energy.median()) / (2.0 * math.log(2.0)))
