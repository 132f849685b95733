"""Detection of truncated projections, which do not decrease to the background on the detector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from learnedrecon.solvers.noise_level import estimate_noise

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
            f"{100 * share:.2g} % of the views at the {name} detector pixel"
            for share, name in ((self.first, "first"), (self.last, "last"))
            if share > 0
        ]
        return (
            "The projections do not fall to the background where the detector ends: cut are"
            f" {' and '.join(ends)}, at {100 * self.level:.2g} % of the largest value."
        )


def find_truncation(lines: Tensor) -> Truncation:
    """Detection of projections that the ends of the detector truncate.

    A view is truncated where the mean of the outermost fiftieth of its pixels exceeds 5 % of the
    largest value of the slice and four times the noise of such a mean.

    Args:
        lines: Line integrals, (slice, angle, ..., detector).

    Raises:
        ShapeError: There are fewer than three detector pixels, so that the noise cannot be
            estimated.
    """
    lines = lines.detach()
    width = max(1, lines.shape[-1] // _MARGIN)
    views = lines.flatten(1, -2)
    ends = views[..., :width].mean(-1), views[..., -width:].mean(-1)
    largest = views.flatten(1).amax(1).clamp_min(0)
    noise = _noise(lines).to(views) / math.sqrt(width)
    limit = (_LEAST_LEVEL * largest).maximum(_DEVIATIONS * noise)[:, None]
    cut = [(end > limit) for end in ends]
    shares = [each.double().mean(1) for each in cut]
    slices = (shares[0] > _LEAST_VIEWS) | (shares[1] > _LEAST_VIEWS)
    heights = [
        (end / largest[:, None])[each & slices[:, None]]
        for end, each in zip(ends, cut, strict=True)
    ]
    count = sum(each.numel() for each in heights)
    level = float(sum(each.sum() for each in heights)) / count if count else 0.0
    first, last = (float(each.mean()) for each in shares)
    return Truncation(first, last, level, slices)


def _noise(lines: Tensor) -> Tensor:
    """σ of every slice; 0 where a slice has no measured values."""
    sigma = lines.new_zeros(len(lines), dtype=lines.dtype)
    seen = lines.flatten(1).any(1)
    if bool(seen.any()):
        sigma[seen] = estimate_noise(lines[seen]).to(sigma)
    return sigma
