"""The exactness of the compiled pair in 3D: <Tu, v> = <u, T*v> over 200 poses, on every path."""

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
    grazed_entries,
    path,
)

from learnedrecon.kernels import joseph3d, oracle3d
from learnedrecon.kernels.geometry3d import RayGeometry3D

COMMON_PITCHES = (0.5, 0.998, 1.0, 1.7, 3.0)


def turned(angle: float, tilt: float) -> np.ndarray:
    """The beam, and across and along the axis of a scan whose axis leans by `tilt`."""
    beam = [-np.cos(tilt) * np.sin(angle), np.cos(tilt) * np.cos(angle), np.sin(tilt)]
    across = [np.cos(angle), np.sin(angle), 0.0]
    return np.stack([beam, across, np.cross(across, beam)])


@st.composite
def geometries(draw: st.DrawFn) -> RayGeometry3D:
    """Circular, helical, tilted and any poses; steps of the detector in voxels at the axis."""
    shape = draw(st.tuples(*[st.integers(1, 24)] * 3))
    pixel = draw(st.tuples(*[st.floats(0.4, 2)] * 3))
    detectors = draw(st.tuples(st.integers(1, 50), st.integers(1, 20)))
    pitches = st.sampled_from(COMMON_PITCHES) | st.floats(0.1, 8)
    pitch = draw(st.tuples(pitches, pitches))
    tilt = draw(st.just(0.0) | st.floats(-1.6, 1.6))
    roll = draw(st.sampled_from([0.0, np.pi / 2, np.pi]) | st.floats(-4, 4))
    climb = draw(st.just(0.0) | st.floats(-9, 9))
    cone = draw(st.booleans())
    radius = np.linalg.norm(np.multiply(shape, pixel)) / 2
    near = radius * draw(st.sampled_from([1.01, 1.5, 4.0, 300.0]) | st.floats(1.01, 20))
    far = radius * draw(st.floats(0, 3))
    shift = draw(st.tuples(st.floats(0, 1), st.floats(0, 1)))
    larger = (near + far) / near if cone else 1.0
    vectors = []
    special = st.sampled_from([k * np.pi / 4 for k in range(-4, 9)])
    for angle in draw(st.lists(special | st.floats(-7, 7), min_size=1, max_size=3)):
        beam, across, along = turned(angle, tilt)
        row = larger * pitch[0] * pixel[0] * (np.cos(roll) * along + np.sin(roll) * across)
        column = larger * pitch[1] * pixel[2] * (np.cos(roll) * across - np.sin(roll) * along)
        height = np.array([0.0, 0.0, climb * angle])
        middle = shift[0] * (detectors[0] - 1) * row + shift[1] * (detectors[1] - 1) * column
        start = height - near * beam if cone else beam
        vectors.append(np.concatenate([start, height + far * beam - middle, column, row]))
    return RayGeometry3D(np.array(vectors), cone, detectors, shape, pixel)


def pairs(geometry: RayGeometry3D) -> tuple[Pair, Pair]:
    """The compiled one and the oracle."""
    lines = (geometry.angles, *geometry.detectors)
    compiled, exact = (
        Pair(
            functools.partial(kernel.forward, geometry=geometry),
            functools.partial(kernel.adjoint, geometry=geometry),
            geometry.shape,
            lines,
        )
        for kernel in (joseph3d, oracle3d)
    )
    return compiled, exact


@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(geometry=geometries(), batch=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_adjoint_is_exact_and_both_equal_the_oracle(
    geometry: RayGeometry3D, batch: int, seed: int
) -> None:
    pair, exact = pairs(geometry)
    generator = torch.Generator().manual_seed(seed)
    u = torch.randn(batch, *pair.image, generator=generator).double()
    v = torch.randn(batch, *pair.data, generator=generator).double()
    # Sums near the source have thousands of terms: without signs, rounding is relative to them.
    lines, back = exact.forward(u.abs()), exact.adjoint(v.abs())
    chosen = [chosen_entries(exact, seed), grazed_entries(exact, 20)]
    voxels, rays = (torch.cat(part) for part in zip(*chosen, strict=True))
    step = float(geometry.table().weight.max())
    for isa in PATHS:
        with path(isa):
            for precision in PRECISIONS:
                volume, data = u.to(precision.dtype), v.to(precision.dtype)
                check_numbers(pair.forward(volume.abs()), lines, step, precision.oracle)
                check_numbers(pair.adjoint(data.abs()), back, step, precision.oracle)
                check_pair(volume, data, pair, precision.adjoint)
                check_entries(voxels, rays, pair, precision)
