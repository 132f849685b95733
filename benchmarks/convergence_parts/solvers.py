"""Picard, our Anderson and deepinv's on the map of one equilibrium model."""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from against import deepinv_equilibrium as peer
from against.deepinv_tomography import installed
from convergence_parts.maps import Map, map_of, part_of, work_of
from convergence_parts.neighbours import neighbours
from convergence_parts.traces import BACKWARD, DEFAULT, OURS, PICARD, PLAIN, timed, traces
from learnedrecon.solvers.anderson import Anderson
from measuring.timing import Budget, Contestant, interleaved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_parts.traces import Trace
    from learnedrecon.problem import InverseProblem
    from learnedrecon.schemes.reconstructor import Iterative

LIMIT = 1000
BATCHES = (1, 8)
UNITS = (0.02, 1.0, 100.0)
BUDGET = Budget(rounds=5, turn=0.0, seconds=60.0)


def solvers(
    model: Iterative,
    problem: InverseProblem,
    tolerances: Sequence[float],
    *,
    budget: Budget = BUDGET,
    limit: int = LIMIT,
) -> dict[str, Any]:
    """Evaluations and seconds until ‖f(z) - z‖ ≤ tolerance·‖f(z)‖ for all samples.

    The residual is computed by us from the iterates at which f is evaluated, for all alike. A run
    is timed until it has made the evaluations that it needs, its own stopping rule evaluated all
    along.

    Args:
        model: whose scheme is a FixedPoint.
        problem: a batch, of which the first image, and the first eight, are solved.
        tolerances: of the relative residual.
        budget: of the timing at every tolerance.
        limit: evaluations at most.

    Returns:
        Plain JSON: ``batches``, by size, name and tolerance; ``neighbours``, whether an image
        depends on its batch; ``units``, the evaluations for the first image in other units.
    """
    model.eval()
    found: dict[str, Any] = {
        "work": f"{work_of(problem)}, {problem.data.dtype}".replace("torch.", ""),
        "tolerances": list(tolerances),
        "limit": limit,
        "residual": "‖f(z) - z‖ / ‖f(z)‖, the worst of the batch",
        "ours": str(Anderson()),
        "peer": _peer(),
        "batches": {},
    }
    for size in sorted({min(size, len(problem.data)) for size in BATCHES}):
        work = map_of(model, part_of(problem, 0, size))
        found["batches"][str(size)] = _compared(work, tolerances, budget, limit)
    at = 1e-3 if 1e-3 in tolerances else max(tolerances)
    found["neighbours"] = neighbours(model, part_of(problem, 0, max(BATCHES)), at, limit)
    found["units"] = _in_units(map_of(model, part_of(problem, 0, 1)), at, limit)
    return found


def _peer() -> dict[str, Any]:
    if not installed():
        return {"missing": "deepinv is not installed"}
    return {
        "version": importlib.metadata.version("deepinv"),
        "criterion": peer.CRITERION,
        DEFAULT: asdict(peer.default_acceleration()),
        BACKWARD: asdict(peer.backward_acceleration()),
    }


def _compared(work: Map, tolerances: Sequence[float], budget: Budget, limit: int) -> dict[str, Any]:
    found = traces(work, min(tolerances), limit)
    rows: dict[str, Any] = {
        name: {"tolerances": {}, "history": trace.worst()} for name, trace in found.items()
    }
    for tolerance in tolerances:
        for name, row in _at(work, tolerance, found, budget).items():
            rows[name]["tolerances"][f"{tolerance:.0e}"] = row
    if PLAIN in found:
        gap = found[PLAIN].gap(found[PICARD], min(tolerances))
        rows[PLAIN]["largest_difference_to_picard"] = gap
    return rows


def _at(work: Map, tolerance: float, found: dict[str, Trace], budget: Budget) -> dict[str, Any]:
    """A row for everyone, and what they need over what our Anderson needs."""
    needed = {name: trace.evaluations(tolerance) for name, trace in found.items()}
    contestants = [
        Contestant(name, timed(name, work, tolerance, number))
        for name, number in needed.items()
        if number is not None and name != PLAIN
    ]
    times = interleaved(contestants, budget)
    rows: dict[str, Any] = {}
    for name, trace in found.items():
        number, ours = needed[name], needed[OURS]
        row: dict[str, Any] = {
            "evaluations": number,
            "converged": number is not None,
            "residual": trace.reached(number),
        }
        if trace.criteria:
            row["own_rule"] = trace.by_its_own_rule(tolerance)
        if number is not None and ours is not None:
            row["evaluations_over_ours"] = number / ours
        if name in times:
            row["seconds"] = times[name].to_plain()
        if name in times and OURS in times:
            row["seconds_over_ours"] = times[name].median / times[OURS].median
        rows[name] = row
    return rows


def _in_units(work: Map, tolerance: float, limit: int) -> dict[str, Any]:
    """Evaluations for the same map of c·z."""
    counts: dict[str, Any] = {}
    for c in UNITS:
        scaled = Map(lambda z, c=c: c * work.f(z / c), c * work.start)  # type: ignore[misc]
        for name, trace in traces(scaled, tolerance, limit).items():
            counts.setdefault(name, {})[f"{c:g}"] = trace.evaluations(tolerance)
    return {"tolerance": tolerance, "evaluations": counts}
