"""The exactness of the compiled pair: <Tu, v> = <u, T*v> over 200 geometries, on every path."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learnedrecon.kernels import joseph, oracle
from learnedrecon.kernels.joseph import RayGeometry2D

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

PATHS = joseph.available_isas() or (None,)
COMMON_PITCHES = (0.5, 0.998, 1.0, 1.7, 3.0)


class Precision(NamedTuple):
    dtype: torch.dtype
    adjoint: float
    """Of <Tu, v> - <u, T*v>, relative to |Tu| |v|."""
    oracle: float
    """Of a single number, relative to the largest."""


PRECISIONS = (Precision(torch.float64, 1e-10, 1e-11), Precision(torch.float32, 1e-5, 3e-6))


@contextmanager
def path(isa: str | None) -> Iterator[None]:
    joseph.set_isa(isa)
    try:
        yield
    finally:
        joseph.set_isa(None)


def special_or_any_angles() -> st.SearchStrategy[list[float]]:
    special = st.sampled_from([k * np.pi / 4 for k in range(-4, 9)])
    return st.lists(special | st.floats(-7, 7), min_size=1, max_size=5)


@st.composite
def geometries(draw: st.DrawFn) -> RayGeometry2D:
    """Detectors in units of a pixel; a fan's source between its image's corner and far away."""
    shape = draw(st.tuples(st.integers(1, 90), st.integers(1, 90)))
    pixel = draw(st.tuples(st.floats(0.3, 3), st.floats(0.3, 3)))
    detectors = draw(st.integers(1, 200))
    pitch = draw(st.sampled_from(COMMON_PITCHES) | st.floats(0.05, 20)) * pixel[1]
    offset = draw(st.floats(-60, 60) | st.just(0.0)) * pixel[1]
    theta = np.array(draw(special_or_any_angles()))
    across = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    along = np.stack([-np.sin(theta), np.cos(theta)], axis=1)
    first = (offset - pitch * (detectors - 1) / 2) * across
    fan = draw(st.booleans())
    radius = np.hypot(shape[0] * pixel[0], shape[1] * pixel[1]) / 2
    if fan:
        near = radius * draw(st.sampled_from([1.01, 1.5, 4.0, 300.0]) | st.floats(1.01, 20))
        first = first + radius * draw(st.floats(0, 3)) * along
        vectors = np.concatenate([-near * along, first, pitch * across], axis=1)
    else:
        vectors = np.concatenate([along, first, pitch * across], axis=1)
    return RayGeometry2D(vectors, fan, detectors, shape, pixel)


def norms(batch: Tensor) -> Tensor:
    return batch.double().flatten(1).norm(dim=1)


def inner(a: Tensor, b: Tensor) -> Tensor:
    return (a.double() * b.double()).flatten(1).sum(dim=1)


def units(chosen: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """(chosen, *shape), one in each."""
    batch = torch.zeros(len(chosen), int(np.prod(shape)), dtype=dtype)
    batch[torch.arange(len(chosen)), chosen] = 1
    return batch.reshape(len(chosen), *shape)


def check_pair(u: Tensor, v: Tensor, geometry: RayGeometry2D, tolerance: float) -> None:
    """Image by image, for (u, v) and for (u, Tu)."""
    lines = joseph.forward(u, geometry)
    for data in (v, lines):
        gap = inner(lines, data) - inner(u, joseph.adjoint(data, geometry))
        assert (gap.abs() <= tolerance * norms(lines) * norms(data)).all()


def check_entries(
    pixels: Tensor, rays: Tensor, geometry: RayGeometry2D, precision: Precision
) -> None:
    """Entry d of T e_k is entry k of T* e_d, for all pixels k and rays d that are given.

    Relative to |T e_k|, which is as small as one likes where rays only graze the pixel.
    """
    shape, lines = geometry.shape, (geometry.angles, geometry.detectors)
    columns = joseph.forward(units(pixels, shape, precision.dtype), geometry)
    rows = joseph.adjoint(units(rays, lines, precision.dtype), geometry)
    gap = columns.flatten(1)[:, rays].double() - rows.flatten(1)[:, pixels].T.double()
    assert (gap.abs() <= precision.adjoint * norms(columns)[:, None]).all()


def check_numbers(found: Tensor, expected: Tensor, step: float, tolerance: float) -> None:
    scale = max(float(expected.abs().max()), step)
    assert float((found.double() - expected).abs().max()) <= tolerance * scale


def chosen_entries(geometry: RayGeometry2D, seed: int) -> tuple[Tensor, Tensor]:
    """Pixels and rays, some at random, others so that the matrix is not zero where they meet."""
    generator = torch.Generator().manual_seed(seed)
    ny, nx = geometry.shape
    pixels = torch.randint(ny * nx, (3,), generator=generator)
    rays = torch.randint(geometry.angles * geometry.detectors, (3,), generator=generator)
    middle = torch.tensor([geometry.detectors // 2])
    rays = torch.cat([rays, middle])
    lines = (geometry.angles, geometry.detectors)
    met = oracle.adjoint(units(rays, lines, torch.float64), geometry).flatten(1).argmax(dim=1)
    through = oracle.forward(units(pixels, (ny, nx), torch.float64), geometry).flatten(1)
    return torch.cat([pixels, met]), torch.cat([rays, through.argmax(dim=1)])


@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(geometry=geometries(), batch=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_adjoint_is_exact_and_both_equal_the_oracle(
    geometry: RayGeometry2D, batch: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape, lines = geometry.shape, (geometry.angles, geometry.detectors)
    u = torch.randn(batch, *shape, generator=generator).double()
    v = torch.randn(batch, *lines, generator=generator).double()
    forward, adjoint = oracle.forward(u, geometry), oracle.adjoint(v, geometry)
    pixels, rays = chosen_entries(geometry, seed)
    step = float(geometry.table().weight.max())
    for isa in PATHS:
        with path(isa):
            for precision in PRECISIONS:
                image, data = u.to(precision.dtype), v.to(precision.dtype)
                check_numbers(joseph.forward(image, geometry), forward, step, precision.oracle)
                check_numbers(joseph.adjoint(data, geometry), adjoint, step, precision.oracle)
                check_pair(image, data, geometry, precision.adjoint)
                check_entries(pixels, rays, geometry, precision)
