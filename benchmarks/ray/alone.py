"""What runs in processes of its own, for memory or in case that it runs out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from benchmarks.against.deepinv_tomography import Options, tomography
from benchmarks.against.stored_matrix import StoredMatrix
from benchmarks.harness import memory
from benchmarks.harness.cases import LODOPAB, data_for, distance, image_for
from benchmarks.harness.timing import Budget, Contestant, interleaved, running
from learnedrecon.operators.ray.geometry2d import AngleRange
from learnedrecon.operators.ray.transform2d import RayTransform

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.operators.ray.geometry2d import Geometry

    Pair = tuple[Callable[[], object], Callable[[], object]]


def our_memory(angles: int) -> dict[str, Any]:
    """What building the operator and one call each of T and T* add to the process, in bytes."""
    geometry = _scan(angles)
    image, data = image_for(geometry), data_for(geometry)

    def pair() -> Pair:
        transform = RayTransform(geometry)
        return lambda: transform(image), lambda: transform.adjoint(data)

    return _memory(pair)


def deepinv_memory(angles: int, options: dict[str, bool]) -> dict[str, Any]:
    """The same for deepinv."""
    geometry, chosen = _scan(angles), Options(**options)
    image = image_for(geometry)
    tomography(LODOPAB.with_angles(AngleRange(2)), chosen)

    def pair() -> Pair:
        physics = tomography(geometry, chosen)
        with torch.no_grad():
            data = physics.A(image)
        return lambda: physics.A(image), lambda: physics.A_adjoint(data)

    return _memory(pair)


def deepinv_times(
    angles: int, options: dict[str, bool], budget: dict[str, Any], threads: int
) -> dict[str, Any]:
    """Seconds of T and T*, ours and theirs in turns."""
    geometry = _scan(angles)
    physics = tomography(geometry, Options(**options))
    image = image_for(geometry)
    with torch.no_grad():
        found = physics.A(image)
        theirs = (lambda: physics.A(image), lambda: physics.A_adjoint(found))
        return _times(geometry, theirs, budget, threads)


def matrix_times(angles: int, budget: dict[str, Any], threads: int) -> dict[str, Any]:
    """Seconds of T and T*, ours and the stored matrices' in turns.

    Raises:
        ArithmeticError: the matrices are not T and T*.
    """
    geometry = _scan(angles)
    matrix, transform = StoredMatrix(geometry.rays()), RayTransform(geometry)
    u, v = image_for(geometry)[0, 0], data_for(geometry)[0, 0]
    pairs = ((matrix.forward(u), transform(u)), (matrix.adjoint(v), transform.adjoint(v)))
    difference = [distance(theirs, ours) for theirs, ours in pairs]
    if max(difference) > 1e-5:
        raise ArithmeticError(f"the stored matrices differ from T and T* by {difference}")
    theirs = (lambda: matrix.forward(u), lambda: matrix.adjoint(v))
    timed = _times(geometry, theirs, budget, threads)
    return {**timed, "bytes": matrix.bytes, "difference": difference}


def _times(
    geometry: Geometry, theirs: Pair, budget: dict[str, Any], threads: int
) -> dict[str, Any]:
    transform = RayTransform(geometry)
    image, data = image_for(geometry), data_for(geometry)
    ours = (lambda: transform(image), lambda: transform.adjoint(data))
    prepare = running(threads)
    result = {}
    for call, mine, other in zip(("forward", "adjoint"), ours, theirs, strict=True):
        contestants = [Contestant("ours", mine, prepare), Contestant("theirs", other, prepare)]
        times = interleaved(contestants, Budget(**budget))
        result[call] = {name: list(one.samples) for name, one in times.items()}
    return result


def _memory(make: Callable[[], Pair]) -> dict[str, Any]:
    """Peaks in bytes: building and calling, and calling alone."""
    memory.tidy()
    before = memory.resident()
    memory.forget_peak()
    forward, adjoint = make()
    whole = memory.peak()
    memory.tidy()
    built = memory.resident()
    memory.forget_peak()
    with torch.no_grad():
        forward()
        adjoint()
    calls = memory.peak()
    return {
        "peak": max(whole, calls) - before,
        "peak_of_calls": calls - built,
        "held_by_operator": built - before,
        "calls_and_held": calls - before,
    }


def _scan(angles: int) -> Geometry:
    return LODOPAB.with_angles(AngleRange(angles))
