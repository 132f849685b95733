"""Sizes and constants of a scan of an image, as the pixel-driven kernels take them."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["parallel", "flat", "arc"]
KINDS: tuple[Kind, ...] = ("parallel", "flat", "arc")


class PixelSizes(NamedTuple):
    """Sizes and constants of a scan of an image, the same for all views.

    A view has eight coefficients (n₀, n₁, n₂, d₀, d₁, d₂, scale, offset), float64. With n = n₀x +
    n₁y + n₂ and d = d₀x + d₁y + d₂, x and y in mm, a pixel meets the detector at

    - parallel: n + offset, with the weight scale,
    - flat: n/d + offset, with the weight scale/d²,
    - arc: rate·atan2(n, d) + offset, with the weight scale/(n² + d²),

    in detector pixels counted from the first one.

    Attributes:
        kind: Kind of the detector.
        rate: Number of detector pixels per radian; 0 unless the detector is an arc.
        detectors: Number of detector pixels.
        shape: Shape of the image, (ny, nx).
        pixel: Size of a pixel, (dy, dx) in mm.
    """

    kind: Kind
    rate: float
    detectors: int
    shape: tuple[int, int]
    pixel: tuple[float, float]
