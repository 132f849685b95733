"""Claim: Anderson's iteration with a relative regularisation needs no tuning, and says if it ends.

    python -m studies.longer --only equilibrium     # its weights are needed
    .venv-peers/bin/python -m studies.solvers       # studies/results/solvers.json

The figure of studies/gradients.py has the residuals.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from benchmarks.against import deepinv_equilibrium as peer
from benchmarks.against.deepinv_tomography import installed
from benchmarks.harness.tables import Table, seconds
from benchmarks.harness.timing import Budget, Contestant, interleaved
from learnedrecon.solvers.anderson import Anderson
from studies.common.fitting import steps_trained, trained_equilibrium
from studies.common.fixed_points import (
    BACKWARD,
    BEST,
    DEFAULT,
    OURS,
    PICARD,
    PLAIN,
    Map,
    acceleration,
    map_of,
    part_of,
    timed,
    traces,
    work_of,
)
from studies.common.neighbours import neighbours
from studies.common.study import Study, not_measured, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from learnedrecon.problem import InverseProblem
    from learnedrecon.schemes.reconstructor import Iterative
    from studies.common.fixed_points import Trace
    from studies.common.study import Job

LIMIT = 1000
TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6)
BATCHES = (1, 8)
UNITS = (0.02, 1.0, 100.0)
LINES = {
    PICARD: ("#1f5fa8", "-"),
    OURS: ("#2b8a3e", "-"),
    DEFAULT: ("#c4561b", "-"),
    BACKWARD: ("#c4561b", "--"),
    BEST: ("#c4561b", ":"),
}
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
        **{
            name: asdict(one)
            for name in (DEFAULT, BACKWARD, BEST)
            if (one := acceleration(name)) is not None
        },
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


def measured(job: Job) -> dict[str, Any]:
    """On the certified equilibrium of the first seed."""
    job.say("on the certified equilibrium of the first seed")
    model, problem, _ = trained_equilibrium("equilibrium")
    return solvers(model, problem, TOLERANCES)


def best_setting(_: Job) -> dict[str, Any]:
    """Evaluations alone, of ours with its defaults and of the peer with its best setting."""
    model, problem, _truth = trained_equilibrium("equilibrium")
    model.eval()
    counts: dict[str, Any] = {}
    for size in BATCHES:
        work = map_of(model, part_of(problem, 0, size))
        found = traces(work, TOLERANCES[2], LIMIT, (OURS, BACKWARD, BEST))
        counts[str(size)] = {
            name: {f"{t:.0e}": trace.evaluations(t) for t in TOLERANCES[:3]}
            for name, trace in found.items()
        }
    steps = steps_trained("equilibrium")
    return {"work": work_of(problem), "steps_trained": steps, "limit": LIMIT, "evaluations": counts}


def page(results: Path) -> list[Table | str]:
    """Evaluations and seconds to a residual, and over those of our Anderson.

    Then when the peer stops by its own rule, whether images depend on their batch, and whether the
    evaluations depend on units.
    """
    part = read(results, "solvers")
    if part is None:
        return [not_measured("solvers", "solvers")]
    missing = part["peer"].get("missing")
    tables: list[Table | str] = [_solvers(part), _own_rule(part), _neighbours(part), _units(part)]
    return [*tables, *_best(results), *([f"{missing}.\n"] if missing else [])]


def _best(results: Path) -> list[Table | str]:
    found = read(results, "anderson")
    if found is None:
        return [not_measured("solvers", "anderson")]
    rows = [
        (size, name, *(str(n or f"not in {found['limit']}") for n in counts.values()))
        for size, solvers_ in found["evaluations"].items()
        for name, counts in solvers_.items()
    ]
    keys = next(iter(found["evaluations"]["1"].values()))
    steps = f"{found['steps_trained']} steps"
    note = f"Evaluations on a training of its own of the same equilibrium, after {steps}."
    return [Table(("images", "solver, evaluations", *keys), tuple(rows), note)]


def _keys(part: dict[str, Any]) -> list[str]:
    return [f"{tolerance:.0e}" for tolerance in part["tolerances"]]


def _rows(part: dict[str, Any]) -> Iterable[tuple[str, str, list[dict[str, Any]]]]:
    """Images, solver, and what it did at every tolerance; without those that were not timed."""
    for size, solvers in part["batches"].items():
        for name, row in solvers.items():
            if "largest_difference_to_picard" not in row:
                yield size, name, [row["tolerances"][key] for key in _keys(part)]


def _solvers(part: dict[str, Any]) -> Table:
    rows = [
        (size, name, *(_needed(one, part["limit"]) for one in found))
        for size, name, found in _rows(part)
    ]
    plain = [
        row["largest_difference_to_picard"]
        for solvers in part["batches"].values()
        for row in solvers.values()
        if "largest_difference_to_picard" in row
    ]
    gap = max(plain, default=0.0)
    note = f"Without acceleration deepinv's residuals are those of Picard to {gap:.0e}."
    return Table(("images", "solver", *_keys(part)), tuple(rows), note if plain else "")


def _needed(one: dict[str, Any], limit: int) -> str:
    if not one["converged"]:
        return f"not in {limit}, residual {one['residual']:.1e}"
    text = f"{one['evaluations']}, {seconds(one['seconds']['median_s'])}"
    if one.get("evaluations_over_ours", 1.0) == 1.0 == one.get("seconds_over_ours", 1.0):
        return text
    ratios = [
        f"{one[key]:.1f}×" for key in ("evaluations_over_ours", "seconds_over_ours") if key in one
    ]
    return f"{text} ({', '.join(ratios)})" if ratios else text


def _own_rule(part: dict[str, Any]) -> Table | str:
    rows = []
    for size, name, found in _rows(part):
        stops = [one.get("own_rule", "") for one in found]
        if all(stop == "" for stop in stops):
            continue
        cells = ["no stop" if stop is None else _stop(stop) for stop in stops]
        rows.append((size, name, *cells))
    if not rows:
        return ""
    heads = ("images", "stopped by its own rule", *_keys(part))
    return Table(heads, tuple(rows))


def _stop(stop: dict[str, Any]) -> str:
    return f"after {stop['evaluations']}, residual {stop['residual']:.1e}"


def _neighbours(part: dict[str, Any]) -> Table:
    found = part["neighbours"]
    rows = []
    for precision in ("as it is", "float64"):
        for name, one in found[precision].items():
            if name == "one evaluation":
                continue
            own, equal = one["own rule"], one["equal evaluations"]
            alone = own["evaluations_alone"]
            rows.append(
                (
                    precision.replace("as it is", part["work"].rpartition(", ")[2]),
                    name,
                    f"{own['largest_relative_difference']:.1e}",
                    f"{min(alone)}-{max(alone)} / {own['evaluations_together']}",
                    f"{equal['largest_relative_difference']:.1e}",
                )
            )
    heads = (
        f"alone and among {found['images']}, tolerance {found['tolerance']:.0e}",
        "solver",
        "largest difference",
        "evaluations alone / together",
        "difference after as many",
    )
    return Table(heads, tuple(rows))


def _units(part: dict[str, Any]) -> Table:
    found = part["units"]["evaluations"]
    factors = list(next(iter(found.values())))
    rows = [
        (name, *(str(counts[c] or f"not in {part['limit']}") for c in factors))
        for name, counts in found.items()
    ]
    at = f"{part['units']['tolerance']:.0e}"
    return Table((f"evaluations to {at}, image in other units", *factors), tuple(rows))


def draw(axis: Axes, part: dict[str, Any]) -> None:
    """Residuals against evaluations."""
    size, rows = list(part["batches"].items())[-1]
    low = min(part["tolerances"])
    for name, (colour, style) in LINES.items():
        if name not in rows:
            continue
        history = rows[name]["history"]
        axis.loglog(
            history["evaluations"], history["residual"], style, lw=1.4, color=colour, label=name
        )
    for tolerance in part["tolerances"]:
        axis.axhline(tolerance, lw=0.5, color="#cccccc", zorder=0)
    axis.set(xlabel="evaluations of f", ylabel="relative residual", xlim=(1, None))
    axis.set_ylim(bottom=low / 3)
    axis.set_title(f"Fixed point of one map, {part['work']}, worst of {size}", size=10)
    axis.legend(frameon=False, fontsize=8, loc="lower left")


STUDY = Study(
    "solvers",
    "Anderson's iteration with a relative regularisation needs no tuning, treats every image of a "
    "batch as if it were alone, and says whether it has converged.",
    "deepinv's Anderson with its best setting needs as many evaluations as ours with its defaults, "
    "or somewhat fewer: a tie at best. With its own defaults it needs many times as many, depends "
    "on units and neighbours, and stops by a rule that is not the residual.",
    {"solvers": measured, "anderson": best_setting},
    page,
)

if __name__ == "__main__":
    typer.run(STUDY.main)
