"""The map of an equilibrium model as one from matrices to matrices, and how solvers go along it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from benchmarks.against import deepinv_equilibrium as peer
from benchmarks.against.deepinv_tomography import installed
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.solvers.anderson import Anderson
from learnedrecon.solvers.fixed_point import FixedPointResult, Packing, Picard, evaluated

if TYPE_CHECKING:
    from learnedrecon.problem import InverseProblem
    from learnedrecon.schemes.reconstructor import Iterative

PICARD = "Picard"
OURS = "Anderson"
DEFAULT = "deepinv, its default"
BACKWARD = "deepinv, as in its backward pass"
BEST = "deepinv, its best setting"
PLAIN = "deepinv, not accelerated"
SOLVERS = (PICARD, OURS, DEFAULT, BACKWARD, BEST, PLAIN)


@dataclass(frozen=True)
class Map:
    """z → Λ(z, problem) with the state as one matrix, and where it starts.

    Attributes:
        f: (batch, n) to (batch, n).
        start: z_0, (batch, n).
    """

    f: Callable[[Tensor], Tensor]
    start: Tensor


def fixed_point_of(model: Iterative) -> FixedPoint[Any]:
    """The scheme of an equilibrium model.

    Raises:
        TypeError: it is another one.
    """
    if not isinstance(model.scheme, FixedPoint):
        raise TypeError(f"expected a FixedPoint as scheme, found {type(model.scheme).__name__}")
    return model.scheme


@torch.no_grad()
def map_of(model: Iterative, problem: InverseProblem) -> Map:
    """The map that the model iterates on these data, after scaling."""
    step = fixed_point_of(model).step
    scaled, _ = model.scaled(problem)
    state = model.initial(scaled)
    packing, kind = Packing(state), type(state)

    def f(z: Tensor) -> Tensor:
        return packing.join(step(kind(*packing.split(z)), scaled))

    return Map(f, packing.join(state))


def part_of(problem: InverseProblem, first: int, end: int) -> InverseProblem:
    """Some images of a batch."""
    return replace(problem, data=problem.data[first:end])


def work_of(problem: InverseProblem) -> str:
    """The sizes of image and data, in words."""
    image, data = (
        " × ".join(map(str, space.shape))
        for space in (problem.operator.domain, problem.operator.codomain)
    )
    return f"{image} from {data}"


@dataclass(frozen=True)
class Trace:
    """All evaluations of a run.

    Attributes:
        residuals: ‖f(z) - z‖ / ‖f(z)‖ of every sample, (evaluations, batch).
        criteria: of a peer, by its own rule at every evaluation; empty for ours.
    """

    residuals: Tensor
    criteria: tuple[float, ...] = ()

    def evaluations(self, tolerance: float) -> int | None:
        """After how many all samples have had a residual of at most ``tolerance``, or None."""
        below = self.residuals <= tolerance
        if not bool(below.any(dim=0).all()):
            return None
        return int(below.int().argmax(dim=0).max()) + 1

    def reached(self, number: int | None = None) -> float:
        """The worst of the smallest residuals of the samples within so many evaluations."""
        return float(self.residuals[:number].min(dim=0).values.max())

    def by_its_own_rule(self, threshold: float) -> dict[str, Any] | None:
        """When the peer would stop, and the worst residual of what it then returns."""
        for number, value in enumerate(self.criteria, start=1):
            if number >= 3 and value < threshold and number < len(self.residuals):
                return {"evaluations": number, "residual": float(self.residuals[number].max())}
        return None

    def worst(self) -> dict[str, list[float]]:
        """The largest residual of the batch, thinned out after a hundred evaluations."""
        count = len(self.residuals)
        kept = [n for n in range(1, count + 1) if n <= 100 or n % 10 == 0 or n == count]
        values = [float(f"{float(self.residuals[n - 1].max()):.3e}") for n in kept]
        return {"evaluations": [float(n) for n in kept], "residual": values}

    def gap(self, other: Trace, above: float) -> float:
        """The largest relative difference of the worst residuals, while these are above that."""
        number = min(len(self.residuals), len(other.residuals))
        a, b = (trace.residuals[:number].max(dim=1).values for trace in (self, other))
        gaps = ((a - b).abs() / b)[b > above]
        return float(gaps.max()) if len(gaps) else 0.0


def traces(
    work: Map, tolerance: float, limit: int, names: Sequence[str] = SOLVERS
) -> dict[str, Trace]:
    """Everyone's, until all samples have a residual of at most ``tolerance``.

    The peer goes on until its own criterion is below it too.
    """
    found = {}
    for name in names:
        if name in {PICARD, OURS}:
            found[name] = Trace(solved(name, work, tolerance, limit).history)
        elif installed():
            found[name] = _watched(name, work, tolerance, limit)
    return found


@torch.no_grad()
def solved(name: str, work: Map, tolerance: float, limit: int) -> FixedPointResult:
    """The result of Picard, or of Anderson with its defaults."""
    kind = Anderson if name == OURS else Picard
    solver = kind(tolerance=tolerance, max_iterations=limit)
    return solver.solve(lambda state: (work.f(state[0]),), (work.start,))


def acceleration(name: str) -> peer.Acceleration | None:
    """With which the peer of that name runs."""
    match name:
        case "deepinv, its default":
            return peer.default_acceleration()
        case "deepinv, as in its backward pass":
            return peer.backward_acceleration()
        case "deepinv, its best setting":
            return peer.Acceleration(history_size=10, beta=1.0, eps=1e-10)
        case _:
            return None


class _EnoughError(Exception):
    """Ends a run of the peer."""


def _watched(name: str, work: Map, tolerance: float, limit: int) -> Trace:
    residuals: list[Tensor] = []
    criteria: list[float] = []
    iterates: list[Tensor] = []

    def f(z: Tensor) -> Tensor:
        if iterates:
            criteria.append(peer.criterion(iterates.pop(), z))
        current = evaluated(work.f, z)
        residuals.append(current.residual)
        iterates.append(z)
        small = bool(criteria) and criteria[-1] < tolerance
        if small and Trace(torch.stack(residuals)).evaluations(tolerance) is not None:
            raise _EnoughError
        return current.value

    with contextlib.suppress(_EnoughError):
        peer.DeepinvEquilibrium(f, acceleration(name), max_iter=limit)(work.start)
    return Trace(torch.stack(residuals), tuple(criteria))


def timed(name: str, work: Map, tolerance: float, number: int) -> Callable[[], object]:
    """A run of so many evaluations at most, with the stopping rule of its own."""
    if name in {PICARD, OURS}:
        return lambda: solved(name, work, tolerance, number)
    run = peer.DeepinvEquilibrium(work.f, acceleration(name), max_iter=number)
    return lambda: run(work.start)
