"""How exactly one of two linear maps is the transpose of the other, image by image."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch

from learnedrecon.kernels import joseph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

PATHS = joseph.available_isas() or (None,)


class Precision(NamedTuple):
    dtype: torch.dtype
    adjoint: float
    """Of <Tu, v> - <u, T*v>, relative to |Tu| |v|."""
    oracle: float
    """Of a single number, relative to the largest."""


PRECISIONS = (Precision(torch.float64, 1e-10, 1e-11), Precision(torch.float32, 1e-5, 3e-6))


class Pair(NamedTuple):
    """T and T*, on batches of images of one shape and of data of another."""

    forward: Callable[[Tensor], Tensor]
    adjoint: Callable[[Tensor], Tensor]
    image: tuple[int, ...]
    data: tuple[int, ...]


@contextmanager
def path(isa: str | None) -> Iterator[None]:
    joseph.set_isa(isa)
    try:
        yield
    finally:
        joseph.set_isa(None)


def norms(batch: Tensor) -> Tensor:
    return batch.double().flatten(1).norm(dim=1)


def inner(a: Tensor, b: Tensor) -> Tensor:
    return (a.double() * b.double()).flatten(1).sum(dim=1)


def units(chosen: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """(chosen, *shape), one in each."""
    batch = torch.zeros(len(chosen), math.prod(shape), dtype=dtype)
    batch[torch.arange(len(chosen)), chosen] = 1
    return batch.reshape(len(chosen), *shape)


def check_pair(u: Tensor, v: Tensor, pair: Pair, tolerance: float) -> None:
    """For (u, v) and for (u, Tu)."""
    lines = pair.forward(u)
    for data in (v, lines):
        gap = inner(lines, data) - inner(u, pair.adjoint(data))
        assert (gap.abs() <= tolerance * norms(lines) * norms(data)).all()


def check_entries(pixels: Tensor, rays: Tensor, pair: Pair, precision: Precision) -> None:
    """Entry d of T e_k is entry k of T* e_d, for all pixels k and rays d that are given.

    Relative to |T e_k|, which is as small as one likes where rays only graze the pixel.
    """
    columns = pair.forward(units(pixels, pair.image, precision.dtype))
    rows = pair.adjoint(units(rays, pair.data, precision.dtype))
    gap = columns.flatten(1)[:, rays].double() - rows.flatten(1)[:, pixels].T.double()
    assert (gap.abs() <= precision.adjoint * norms(columns)[:, None]).all()


def check_numbers(found: Tensor, expected: Tensor, step: float, tolerance: float) -> None:
    scale = max(float(expected.abs().max()), step)
    assert float((found.double() - expected).abs().max()) <= tolerance * scale


def chosen_entries(pair: Pair, seed: int) -> tuple[Tensor, Tensor]:
    """Pixels and rays, some at random, others so that the matrix is not zero where they meet."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(math.prod(pair.image), (3,), generator=generator)
    rays = torch.randint(math.prod(pair.data), (3,), generator=generator)
    rays = torch.cat([rays, torch.tensor([pair.data[-1] // 2])])
    met = pair.adjoint(units(rays, pair.data, torch.float64)).flatten(1).argmax(dim=1)
    through = pair.forward(units(pixels, pair.image, torch.float64)).flatten(1).argmax(dim=1)
    return torch.cat([pixels, met]), torch.cat([rays, through])


def grazed_entries(pair: Pair, count: int) -> tuple[Tensor, Tensor]:
    """The pixels that rays meet least, and of each the ray that meets it most."""
    light = pair.adjoint(torch.ones(1, *pair.data, dtype=torch.float64)).flatten()
    met = (light > 0).nonzero().flatten()
    pixels = met[light[met].argsort()[:count]]
    through = pair.forward(units(pixels, pair.image, torch.float64)).flatten(1)
    return pixels, through.argmax(dim=1) if len(pixels) else pixels
