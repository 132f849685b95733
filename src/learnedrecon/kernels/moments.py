"""Sums along rays for the derivatives of line integrals in the geometry.

A ray's integral is weight · Σ_i u(i, p_i) with p_i = intercept + slope·i and u interpolated
linearly between k = floor(p_i) and k + 1. Its derivative in the intercept is therefore weight ·
Σ_i (u[i, k+1] - u[i, k]), in the slope weight · Σ_i i·(u[i, k+1] - u[i, k]), in the weight the sum
itself. At whole positions, where the interpolation has a kink, these are one-sided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

try:
    from learnedrecon.kernels import _joseph
except ImportError:  # installed without a C++ compiler
    _compiled = False
else:
    _compiled = True

if TYPE_CHECKING:
    from torch import Tensor


class Lines(NamedTuple):
    """Intersections of rays with an image, each (angles, detectors): see `geometry.RayTable`.

    Attributes:
        by_rows: True where a ray steps through rows.
        intercept: Position in step 0, in pixels.
        slope: Change of the position per step, in pixels.
        weight: Length of the ray per step in mm.
    """

    by_rows: Tensor
    """bool."""
    intercept: Tensor
    """float64, pixels."""
    slope: Tensor
    """float64, pixels per step."""
    weight: Tensor
    """float64, mm per step."""


def moments(image: Tensor, lines: Lines) -> Tensor:
    """Three sums along every ray: of differences, of differences times steps, and of values.

    Args:
        image: Image u, (ny, nx), float32 or float64.
        lines: Rays.

    Returns:
        Sums (3, angles, detectors), float64, on the device of the image: Σ_i (u[i, k+1] - u[i, k]),
        Σ_i i·(u[i, k+1] - u[i, k]), and Σ_i u(i, p_i), without the weight.
    """
    if not (image.is_cpu and _compiled):
        return moments_plain(image, lines)
    by_rows, intercept, slope = (part.detach().cpu().contiguous().numpy() for part in lines[:3])
    sums = torch.empty((3, *by_rows.shape), dtype=torch.float64)
    pixels = image.detach().contiguous().resolve_neg().numpy()
    threads = torch.get_num_threads()
    _joseph.moments(pixels, intercept, slope, by_rows, sums.numpy(), threads)
    return sums


@torch.no_grad()
def moments_plain(image: Tensor, lines: Lines) -> Tensor:
    """`moments` in plain PyTorch, one angle at a time: for tests, and for other devices.

    Args:
        image: Image u, (ny, nx), float32 or float64.
        lines: Rays.
    """
    if image.device.type == "mps":  # which has no float64
        return moments_plain(image.cpu(), lines)
    wide = torch.nn.functional.pad(image.detach().double(), (1, 2, 1, 2))
    by_rows, intercept, slope = (part.to(image.device) for part in lines[:3])
    sums = intercept.new_zeros((3, *intercept.shape))
    for angle in range(len(intercept)):
        for rows in (True, False):
            rays = (by_rows[angle] == rows).nonzero()[:, 0]
            sheet = wide[1:-2] if rows else wide.T[1:-2]
            sums[:, angle, rays] = _sums(sheet, intercept[angle, rays], slope[angle, rays])
    return sums


def _sums(sheet: Tensor, intercept: Tensor, slope: Tensor) -> Tensor:
    """(3, rays) for a sheet (steps, 1 + across + 2) with zeros on either side."""
    step = torch.arange(len(sheet), device=sheet.device)[:, None].double()
    position = intercept + slope * step
    first = position.floor()
    place = (first.clamp(-1, sheet.shape[1] - 3) + 1).long()
    inside = (first >= -1) & (first <= sheet.shape[1] - 3)
    left = sheet.gather(1, place) * inside
    rise = sheet.gather(1, place + 1) * inside - left
    value = left + (position - first) * rise
    return torch.stack([rise.sum(0), (step * rise).sum(0), value.sum(0)])
