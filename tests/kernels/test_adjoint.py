"""The exactness of the compiled pair: <Tu, v> = <u, T*v> over 200 geometries, on every path."""

from __future__ import annotations

import functools

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.kernels.exactness import (
    PATHS,
    PRECISIONS,
    Pair,
    check_entries,
    check_numbers,
    check_pair,
    chosen_entries,
    path,
)

from learnedrecon.kernels import joseph, oracle
from learnedrecon.kernels.joseph import RayGeometry2D

COMMON_PITCHES = (0.5, 0.998, 1.0, 1.7, 3.0)


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
    exact = Pair(
        functools.partial(oracle.forward, geometry=geometry),
        functools.partial(oracle.adjoint, geometry=geometry),
        shape,
        lines,
    )
    pair = exact._replace(
        forward=functools.partial(joseph.forward, geometry=geometry),
        adjoint=functools.partial(joseph.adjoint, geometry=geometry),
    )
    pixels, rays = chosen_entries(exact, seed)
    step = float(geometry.table().weight.max())
    for isa in PATHS:
        with path(isa):
            for precision in PRECISIONS:
                image, data = u.to(precision.dtype), v.to(precision.dtype)
                check_numbers(joseph.forward(image, geometry), forward, step, precision.oracle)
                check_numbers(joseph.adjoint(data, geometry), adjoint, step, precision.oracle)
                check_pair(image, data, pair, precision.adjoint)
                check_entries(pixels, rays, pair, precision)
