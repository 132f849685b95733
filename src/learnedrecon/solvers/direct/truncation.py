"""Projections that do not fall to the background before the detector ends."""

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
    """How many views are cut at either end of the detector, and how high they are there.

    Attributes:
        first: Share of the views that are cut at the first detector pixel, of all slices.
        last: Share of those that are cut at the last one.
        level: Mean height there of what is cut, as a share of the largest value of the slice.
        slices: Which slices are cut in more than 2 % of their views at one end or the other,
            (slice,), bool.
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
    """Looks for projections that are cut off by the ends of the detector.

    A view is cut where the mean of the outermost fiftieth of its pixels exceeds 5 % of the largest
    value of the slice and four times the noise of such a mean.

    Args:
        lines: Line integrals, (slice, angle, ..., detector).

    Raises:
        ShapeError: Fewer than three detector pixels, whose noise cannot be estimated.
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
