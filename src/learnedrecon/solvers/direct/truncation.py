"""Detection of truncated projections, which do not decrease to the background on the detector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from learnedrecon.errors import percent
from learnedrecon.solvers.noise_level import known_noise

if TYPE_CHECKING:
    from torch import Tensor

_MARGIN = 50
_LEAST_LEVEL = 0.05
_DEVIATIONS = 4.0
_LEAST_VIEWS = 0.02


class Truncation(NamedTuple):
    """Fractions of truncated views at both ends of the detector, with their heights.

    Attributes:
        first: Fraction of the views that are truncated at the first detector pixel, of all slices.
        last: Fraction of the views that are truncated at the last detector pixel.
        level: Mean height of truncated views at that end, relative to the largest value of the
            slice.
        slices: True for slices with more than 2 % truncated views at one of the ends, (slice,),
            bool.
    """

    first: float
    last: float
    level: float
    slices: Tensor

    def __bool__(self) -> bool:
        return bool(self.slices.any())

    def __str__(self) -> str:
        ends = [
            f"{percent(share, 3)} of the views at the {name} detector pixel"
            for share, name in ((self.first, "first"), (self.last, "last"))
            if share > 0
        ]
        return (
            "The projections do not fall to the background where the detector ends: cut are"
            f" {' and '.join(ends)}, at {percent(self.level)} of the largest value."
        )


def find_truncation(lines: Tensor, ends: tuple[bool, bool] = (True, True)) -> Truncation:
    """Detection of projections that the ends of the detector truncate.

    A view is truncated where the mean of the outermost fiftieth of its pixels exceeds 5 % of the
    largest value of the slice and four times the noise of such a mean.

    Args:
        lines: Line integrals, (slice, ..., angle, ..., detector).
        ends: True for each of the first and the last end that is examined. Data beyond the short
            end of a displaced detector are measured from the other side.

    Raises:
        DataError: The data have NaN or infinity.
    """
    lines = lines.detach()
    width = max(1, lines.shape[-1] // _MARGIN)
    views = lines.flatten(1, -2)
    heights = views[..., :width].mean(-1), views[..., -width:].mean(-1)
    largest = views.flatten(1).amax(1).clamp_min(0)
    noise = known_noise(lines).to(views) / math.sqrt(width)
    limit = (_LEAST_LEVEL * largest).maximum(_DEVIATIONS * noise)[:, None]
    cut = [(height > limit) & looked for height, looked in zip(heights, ends, strict=True)]
    shares = [each.double().mean(1) for each in cut]
    slices = (shares[0] > _LEAST_VIEWS) | (shares[1] > _LEAST_VIEWS)
    counted = [each & slices[:, None] for each in cut]
    relative = [height / largest.clamp_min(1e-300)[:, None] for height in heights]
    levels = torch.cat([each[chosen] for each, chosen in zip(relative, counted, strict=True)])
    level = float(levels.mean()) if levels.numel() else 0.0
    first, last = (float(each.mean()) for each in shares)
    return Truncation(first, last, level, slices)
