"""What runs in processes of its own, in case that it runs out of memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from against.deepinv_tomography import DeepinvTransform, Options, rough_norm
from learnedrecon.operators.ray.transform2d import RayTransform
from measuring import memory
from measuring.cases import LODOPAB, SMALL
from measuring.timing import Budget, Contestant, interleaved, running
from training_steps.build import VARIANTS, training_step
from training_steps.shares import Stopwatch

if TYPE_CHECKING:
    from learnedrecon.operators.linear import LinearOperator
    from learnedrecon.operators.ray.geometry2d import ParallelBeam

SCANS: dict[str, tuple[ParallelBeam, int]] = {"128": (SMALL, 5), "362": (LODOPAB, 1)}


class Ours(RayTransform):
    """Our operator without the minute that its norm to seven digits would take."""

    def compute_norm(self) -> float:
        return rough_norm(self)


def variants(scan: str, names: list[str], budget: dict[str, float], threads: int) -> dict[str, Any]:
    """Seconds of a step on our operator, each variant in turns, and what compiling took."""
    geometry, batch = SCANS[scan]
    operator = Ours(geometry)
    steps = {name: training_step(operator, batch, VARIANTS[name]) for name in names}
    running(threads)()
    first: dict[str, Any] = {}
    for name, step in list(steps.items()):
        begun = time.perf_counter()
        try:
            step()
        except RuntimeError as error:
            first[name] = {"failed": str(error).splitlines()[0]}
            del steps[name]
        else:
            first[name] = {"first_step_s": time.perf_counter() - begun}
    contestants = [Contestant(name, step, running(threads)) for name, step in steps.items()]
    times = interleaved(contestants, Budget(**_budget(budget)))
    return {
        name: found | ({"samples": list(times[name].samples)} if name in times else {})
        for name, found in first.items()
    }


def against_deepinv(
    scan: str, options: dict[str, bool], budget: dict[str, float], threads: int, variant: str
) -> dict[str, Any]:
    """Seconds of a step of the same network on both operators in turns, and the shares of each."""
    geometry, batch = SCANS[scan]
    running(threads)()
    theirs = DeepinvTransform(geometry, Options(**options))
    operators: dict[str, LinearOperator] = {"ours": Ours(geometry), "theirs": theirs}
    networks = VARIANTS[variant]
    contestants = [
        Contestant(name, training_step(operator, batch, networks), running(threads))
        for name, operator in operators.items()
    ]
    times = interleaved(contestants, Budget(**_budget(budget)))
    found: dict[str, Any] = {name: list(one.samples) for name, one in times.items()}
    found["shares"] = {
        name: shares(operator, batch, variant, warm_up=False)
        for name, operator in operators.items()
    }
    found["peak"] = memory.peak()
    return found


def once_against_deepinv(
    scan: str, options: dict[str, bool], threads: int, variant: str
) -> dict[str, Any]:
    """The same where a step takes minutes: theirs once, between two of ours, all by the shares."""
    geometry, batch = SCANS[scan]
    running(threads)()
    theirs = DeepinvTransform(geometry, Options(**options))
    before = shares(Ours(geometry), batch, variant)
    other = shares(theirs, batch, variant, warm_up=False)
    after = shares(Ours(geometry), batch, variant, warm_up=False)
    return {
        "ours": [before["step"], after["step"]],
        "theirs": [other["step"]],
        "shares": {"ours": before, "theirs": other},
        "peak": memory.peak(),
    }


def our_shares(scan: str, names: list[str], threads: int) -> dict[str, Any]:
    """Where the time of a step goes, for some variants."""
    geometry, batch = SCANS[scan]
    running(threads)()
    return {name: shares(Ours(geometry), batch, name) for name in names}


def shares(
    operator: LinearOperator, batch: int, variant: str = "as it is", *, warm_up: bool = True
) -> dict[str, Any]:
    """Seconds of one step in T, in T*, and in the rest, after one that does not count."""
    watch = Stopwatch(operator)
    step = training_step(watch, batch, VARIANTS[variant])
    if warm_up:
        step()
    watch.norm()
    watch.restart()
    begun = time.perf_counter()
    step()
    whole = time.perf_counter() - begun
    rest = whole - sum(watch.seconds.values())
    return {"step": whole, **watch.seconds, "rest": rest, "calls": dict(watch.calls)}


def _budget(plain: dict[str, float]) -> dict[str, Any]:
    return {**plain, "rounds": int(plain["rounds"])}
