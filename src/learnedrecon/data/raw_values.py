"""Detection of counts and transmissions in place of line integrals.

No true image is needed: rays outside of the object have the line integral 0, the smallest one, and
the largest transmission and count.
"""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D

if TYPE_CHECKING:
    from learnedrecon.operators.base import Operator

_GRAZING: Final = 0.05
_EDGE: Final = 0.03
_BRIGHT: Final = 0.7
_COUNTS: Final = 10.0
_WHOLE: Final = 100.0
_MOST: Final = 1 << 20


@singledispatch
def raw_values(operator: Operator, data: Tensor) -> str | None:  # noqa: ARG001 - what others look at
    """A warning of data that are not line integrals; None where nothing is wrong or known.

    Args:
        operator: T.
        data: Data y, (..., *codomain).
    """
    return None


@raw_values.register(RayTransform)
@raw_values.register(RayTransform3D)
@torch.no_grad()
def _(operator: RayTransform | RayTransform3D, data: Tensor) -> str | None:
    ones = torch.ones(operator.domain.shape, dtype=torch.float32, device=data.device)
    chord = operator(ones)
    return seems_raw(data, chord if chord.shape == data.shape[-chord.ndim :] else None)


def seems_raw(data: Tensor, chord: Tensor | None = None) -> str | None:
    """A warning of values that look like counts or transmissions; None where nothing is wrong.

    Args:
        data: Data y, (..., angle, [row,] detector).
        chord: Length of each ray in the image, (angle, [row,] detector); None where the geometry is
            not known, and the edges of the detector are taken as rays outside of the object.
    """
    air = _median(data[..., _beside(data, chord)])
    values = _some(data)
    low, high = (float(torch.quantile(values, q)) for q in (0.02, 0.98))
    bright = air > 0 and high > low and (air - low) / (high - low) > _BRIGHT
    whole = high > _WHOLE and bool((values == values.round()).all())
    if not whole and not (bright and air > (high - low) / 2):
        return None
    kind = "raw counts" if whole or air > _COUNTS else "transmissions"
    where = "at the edges of the detector" if chord is None else "of rays past the image"
    number = air if bright else high
    said = f"the median {where} is {air:.4g}, the others go down to {low:.4g}"
    if whole:
        said = f"whole numbers up to {high:.4g}; {said}"
    return f"look like {kind} ({said}), where line integrals -ln(y/{number:.4g}) are meant"


def _beside(data: Tensor, chord: Tensor | None) -> Tensor:
    """Mask of rays that hardly meet the image, (angle, [row,] detector) or (detector,)."""
    if chord is not None:
        outside = chord <= _GRAZING * chord.max()
        if float(outside.float().mean()) > _EDGE / 2:
            return outside
    pixels = data.shape[-1]
    edge = max(1, round(_EDGE * pixels))
    places = torch.arange(pixels, device=data.device)
    return (places < edge) | (places >= pixels - edge)


def _some(values: Tensor) -> Tensor:
    values = values.flatten().float()
    return values[:: max(1, values.numel() // _MOST)]


def _median(values: Tensor) -> float:
    return float(_some(values).median())
