"""Functions of the magnitude of entries, or of groups of entries along one axis."""

from __future__ import annotations

import torch
from torch import Tensor


def lengths(v: Tensor, axis: int | None = None) -> Tensor:
    """|v|, or the Euclidean lengths along ``axis``, which keeps size 1.

    Its derivative where v = 0 is 0, not NaN.

    Args:
        v: Tensor, real or complex.
        axis: Axis of the groups, negative; None for each entry on its own.
    """
    if axis is None and not v.is_complex():
        return v.abs()
    squares = v.abs().square() if axis is None else v.abs().square().sum(axis, keepdim=True)
    zero = squares == 0
    return torch.where(zero, 0, torch.where(zero, 1, squares).sqrt())


def direction(v: Tensor, axis: int | None = None) -> Tensor:
    """The direction v/|v|, which is 0 where v = 0.

    Args:
        v: Tensor, real or complex.
        axis: Axis of the groups, negative; None for each entry on its own.
    """
    if axis is None and not v.is_complex():
        return v.sgn()
    size = lengths(v, axis)
    return v / torch.where(size > 0, size, 1)


def shrink(v: Tensor, threshold: Tensor | float, axis: int | None = None) -> Tensor:
    """v·max(1 - t/|v|, 0), the proximal map of t·|v| (soft thresholding).

    Args:
        v: Tensor, real or complex.
        threshold: t ≥ 0, a number or a tensor that broadcasts with v.
        axis: Axis of the groups, negative; None for each entry on its own.
    """
    size = lengths(v, axis)
    kept = size > threshold
    return torch.where(kept, v * (1 - threshold / torch.where(kept, size, 1)), 0)


def huber(size: Tensor, delta: float) -> Tensor:
    """h_δ(r) of lengths r: r²/2 for r ≤ δ, and δ(r - δ/2) beyond.

    Args:
        size: Lengths r ≥ 0.
        delta: Threshold δ > 0.
    """
    inside = size.clamp(max=delta)
    return inside * (size - 0.5 * inside)


def huber_slope(v: Tensor, delta: float, axis: int | None = None) -> Tensor:
    """The gradient ∇ h_δ(|v|) = v·min(1, δ/|v|).

    Args:
        v: Tensor, real or complex.
        delta: Threshold δ > 0.
        axis: Axis of the groups, negative; None for each entry on its own.
    """
    size = lengths(v, axis)
    beyond = size > delta
    return torch.where(beyond, v * (delta / torch.where(beyond, size, 1)), v)


def shrink_huber(v: Tensor, delta: float, step: Tensor | float, axis: int | None = None) -> Tensor:
    """The proximal map of t·h_δ(|v|): v/(1 + t) for |v| ≤ δ(1 + t), and v(1 - tδ/|v|) beyond.

    Args:
        v: Tensor, real or complex.
        delta: Threshold δ > 0.
        step: t > 0, a number or a tensor that broadcasts with v.
        axis: Axis of the groups, negative; None for each entry on its own.
    """
    size = lengths(v, axis)
    beyond = size > delta * (1 + step)
    return torch.where(
        beyond, v * (1 - step * delta / torch.where(beyond, size, 1)), v / (1 + step)
    )
