"""Residuals of fixed point iterations, evaluation by evaluation: ours and deepinv's."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from against import deepinv_equilibrium as peer
from against.deepinv_tomography import installed
from learnedrecon.solvers.anderson import Anderson
from learnedrecon.solvers.fixed_point import FixedPointResult, Picard, evaluated

if TYPE_CHECKING:
    from collections.abc import Callable

    from convergence_parts.maps import Map

PICARD = "Picard"
OURS = "Anderson"
DEFAULT = "deepinv, its default"
BACKWARD = "deepinv, as in its backward pass"
PLAIN = "deepinv, not accelerated"


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


def traces(work: Map, tolerance: float, limit: int) -> dict[str, Trace]:
    """Everyone's, until all samples have a residual of at most ``tolerance``.

    The peer goes on until its own criterion is below it too.
    """
    found = {name: Trace(solved(name, work, tolerance, limit).history) for name in (PICARD, OURS)}
    if installed():
        for name in (DEFAULT, BACKWARD, PLAIN):
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
    if name == PLAIN:
        return None
    return peer.default_acceleration() if name == DEFAULT else peer.backward_acceleration()


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
