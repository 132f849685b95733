"""Boundary extensions of images, and their transposes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

Boundary: TypeAlias = Literal["circular", "symmetric", "reflect", "edge", "zero"]
"""The extension of ``abcd`` to the right.

circular ``abcd|abcd``, symmetric ``abcd|dcba`` and reflect ``abcd|cbab`` as in NumPy, edge
``abcd|dddd``, zero ``abcd|0000``.
"""

Margins: TypeAlias = "Sequence[tuple[int, int]]"

_TORCH = {"circular": "circular", "reflect": "reflect", "edge": "replicate"}


def window(x: Tensor, slices: Iterable[slice]) -> Tensor:
    """A view of the part of a tensor within slices of its last axes.

    Args:
        x: Tensor (..., *shape).
        slices: One slice per axis of the shape.
    """
    place: Any = (..., *slices)
    return x[place]


def extend(x: Tensor, margins: Margins, boundary: Boundary) -> Tensor:
    """``x`` extended by (before, after) entries along each of its last axes.

    Args:
        x: Image, (..., *shape).
        margins: Numbers of entries (before, after), one pair per axis of the shape; they may be
            larger than the image.
        boundary: Rule for the entries of the margins.
    """
    if not any(map(any, margins)):
        return x
    flat = [size for pair in reversed(margins) for size in pair]
    if boundary == "zero":
        return functional.pad(x, flat)
    if boundary in _TORCH and _is_small(x, margins) and len(margins) <= 3:
        d = len(margins)
        padded = functional.pad(x.reshape(1, -1, *x.shape[-d:]), flat, mode=_TORCH[boundary])
        return padded.reshape(*x.shape[:-d], *padded.shape[-d:])
    for axis, (before, after) in zip(range(-len(margins), 0), margins, strict=True):
        places = _places(x.shape[axis], before, after, boundary)
        x = x.index_select(axis, places.to(x.device))
    return x


def fold(v: Tensor, margins: Margins, boundary: Boundary) -> Tensor:
    """The transpose of :func:`extend`, which adds every entry of a margin to the entry it copies.

    Args:
        v: Extended image.
        margins: Numbers of entries (before, after), one pair per axis.
        boundary: Rule for the entries of the margins.
    """
    for axis, (before, after) in zip(range(-len(margins), 0), margins, strict=True):
        if before or after:
            v = _fold_axis(v, axis, (before, after), boundary)
    return v


def multiplicity(n: int, before: int, after: int, boundary: Boundary) -> int:
    """The largest number of copies of an entry of an axis in its extension.

    Args:
        n: Number of entries of the axis.
        before: Number of entries before the first.
        after: Number of entries after the last.
        boundary: Rule for the entries of the margins.
    """
    if boundary == "zero":
        return 1
    return int(torch.bincount(_places(n, before, after, boundary), minlength=n).max())


def matrix_of(n: int, before: int, after: int, boundary: Boundary) -> np.ndarray:
    """The extension of an axis as a matrix (before + n + after, n) of zeros and ones.

    Args:
        n: Number of entries of the axis.
        before: Number of entries before the first.
        after: Number of entries after the last.
        boundary: Rule for the entries of the margins.
    """
    whole = np.zeros((before + n + after, n))
    if boundary == "zero":
        whole[before : before + n] = np.eye(n)
    else:
        whole[np.arange(len(whole)), _places(n, before, after, boundary).numpy()] = 1
    return whole


def _places(n: int, before: int, after: int, boundary: Boundary) -> Tensor:
    """The index in the axis of each entry of its extension."""
    places = torch.arange(-before, n + after)
    if boundary == "circular":
        return places % n
    if boundary == "edge" or n == 1:
        return places.clamp(0, n - 1)
    if boundary == "symmetric":
        places = places % (2 * n)
        return torch.minimum(places, 2 * n - 1 - places)
    places = places % (2 * n - 2)
    return torch.minimum(places, 2 * n - 2 - places)


def _is_small(x: Tensor, margins: Margins) -> bool:
    """True if the margins reach no further than the image once."""
    sizes = x.shape[-len(margins) :]
    return all(max(pair) < size for pair, size in zip(margins, sizes, strict=True))


def _fold_axis(v: Tensor, axis: int, margin: tuple[int, int], boundary: Boundary) -> Tensor:
    before, after = margin
    n = v.shape[axis] - before - after
    core = v.narrow(axis, before, n)
    if boundary == "zero":
        return core
    if max(margin) >= n:
        places = _places(n, before, after, boundary).to(v.device)
        return torch.zeros_like(core).index_add(axis, places, v)
    core = core.clone(memory_format=torch.contiguous_format)
    head, tail = v.narrow(axis, 0, before), v.narrow(axis, before + n, after)
    if boundary == "circular":
        core.narrow(axis, n - before, before).add_(head)
        core.narrow(axis, 0, after).add_(tail)
    elif boundary == "edge":
        core.narrow(axis, 0, 1).add_(head.sum(axis, keepdim=True))
        core.narrow(axis, n - 1, 1).add_(tail.sum(axis, keepdim=True))
    else:
        off = int(boundary == "reflect")
        core.narrow(axis, off, before).add_(head.flip(axis))
        core.narrow(axis, n - off - after, after).add_(tail.flip(axis))
    return core
