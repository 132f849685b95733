"""Does the result of an image depend on what else is in its batch?"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.against import deepinv_equilibrium as peer
from benchmarks.against.deepinv_tomography import installed
from studies.common.fixed_points import DEFAULT, OURS, Map, map_of, part_of, solved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from learnedrecon.problem import InverseProblem
    from learnedrecon.schemes.reconstructor import Iterative


def neighbours(
    model: Iterative, problem: InverseProblem, tolerance: float, limit: int
) -> dict[str, Any]:
    """How far an image of a batch is from what it is alone, and the evaluations of both.

    In the precision of the model, and in double precision, where rounding hides nothing. Every
    solver stops by its own rule, 'own rule', or after the evaluations that the batch took, 'equal
    evaluations'.
    """
    twin = copy.deepcopy(model).double().eval()
    double = replace(problem, data=problem.data.double())
    works = {"as it is": (model, problem), "float64": (twin, double)}
    found: dict[str, Any] = {"tolerance": tolerance, "images": len(problem.data)}
    for precision, (one, data) in works.items():
        together = map_of(one, data)
        alone = [map_of(one, part_of(data, i, i + 1)) for i in range(len(data.data))]
        rows: dict[str, Any] = {"one evaluation": _differences(_once, together, alone)}
        for name, run in _runs(tolerance, limit).items():
            rows[name] = {"own rule": _differences(run, together, alone)}
            number = rows[name]["own rule"]["evaluations_together"]
            endless = _runs(0.0, number)[name]
            rows[name]["equal evaluations"] = _differences(endless, together, alone)
        found[precision] = rows
    return found


@torch.no_grad()
def _once(work: Map) -> Tensor:
    return work.f(work.start)


def _runs(tolerance: float, limit: int) -> dict[str, Callable[[Map], Tensor]]:
    """From a map to the fixed point."""

    def ours(work: Map) -> Tensor:
        return solved(OURS, work, tolerance, limit).state[0]

    def theirs(work: Map) -> Tensor:
        options = peer.default_acceleration()
        run = peer.DeepinvEquilibrium(work.f, options, max_iter=limit, threshold=tolerance)
        return run(work.start)

    runs: dict[str, Callable[[Map], Tensor]] = {OURS: ours}
    return {**runs, DEFAULT: theirs} if installed() else runs


def _differences(
    run: Callable[[Map], Tensor], together: Map, alone: Sequence[Map]
) -> dict[str, Any]:
    whole, number = _counted(run, together)
    parts = [_counted(run, one) for one in alone]
    gaps = [
        float((row - part[0]).norm() / part[0].norm())
        for row, (part, _) in zip(whole, parts, strict=True)
    ]
    return {
        "largest_relative_difference": max(gaps, default=math.nan),
        "evaluations_together": number,
        "evaluations_alone": [count for _, count in parts],
    }


def _counted(run: Callable[[Map], Tensor], work: Map) -> tuple[Tensor, int]:
    calls: list[None] = []

    def f(z: Tensor) -> Tensor:
        calls.append(None)
        return work.f(z)

    return run(Map(f, work.start)), len(calls)
