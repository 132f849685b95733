"""Tuning of a positive number, such as a regularisation weight, on validation data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from learnedrecon.errors import ConfigError, DataError, describe

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Tuned:
    """The result of :func:`tune`.

    Attributes:
        value: Best value that was tried.
        score: Score of the best value.
        tried: All pairs (value, score), by increasing value.
        at_end: True if ``value`` is a closed end of the range; otherwise worse or equal values were
            tried on both sides of it.
        resolution: Factor within which tried values bracket the best value.
    """

    value: float
    score: float
    tried: tuple[tuple[float, float], ...]
    at_end: bool
    resolution: float


def tune(
    evaluate: Callable[[float], float],
    start: float,
    factor: float = 2.0,
    *,
    lower: float | None = None,
    upper: float | None = None,
    refinements: int = 2,
    max_evaluations: int = 40,
) -> Tuned:
    """Maximisation of a validation score over a positive number.

    The search moves from ``start`` by ``factor`` in the direction in which the score increases
    until it does not increase any more, so that the best value lies strictly inside the tried
    range, or at a closed end. Then it tries the geometric means of the best value with its
    neighbours, which takes the square root of the factor, ``refinements`` times. It finds the
    maximum of a score with one peak, and a local maximum of others. No value is evaluated twice.

    Args:
        evaluate: Function from a value to its score; larger is better, never NaN or +infinity.
        start: Initial guess, within the range.
        factor: First factor of the search, above 1.
        lower: Closed lower end of the range, or None.
        upper: Closed upper end, such as 1.0 for a bandwidth, or None.
        refinements: Number of refinements, 0 or more.
        max_evaluations: Largest number of evaluations.

    Raises:
        ConfigError: The start is outside the range, or the factor is not above 1.
        DataError: A score is NaN or +infinity, or no peak was bracketed in ``max_evaluations``.
    """
    low, high = lower or 0.0, math.inf if upper is None else upper
    _check(start, factor, low, high, refinements)
    search = _Search(evaluate, low, high, max_evaluations)
    best = start
    search.score(best)
    for step in (factor ** (0.5**k) for k in range(refinements + 1)):
        best = search.climb(best, step)
    return Tuned(
        value=best,
        score=search.scores[best],
        tried=tuple(sorted(search.scores.items())),
        at_end=best in {low, high},
        resolution=factor ** (0.5**refinements),
    )


class _Search:
    """The scores so far, and the range."""

    def __init__(
        self, evaluate: Callable[[float], float], low: float, high: float, budget: int
    ) -> None:
        self.evaluate = evaluate
        self.low, self.high = low, high
        self.budget = budget
        self.scores: dict[float, float] = {}

    def climb(self, best: float, step: float) -> float:
        """Moves to the better neighbour within ``step`` until there is none."""
        while True:
            neighbours = {self._near(best / step), self._near(best * step)}
            better = max(neighbours, key=self.score)
            if self.score(better) <= self.score(best):
                return best
            best = better

    def _near(self, value: float) -> float:
        """``value``, put into the range, or what was tried there up to rounding."""
        value = min(max(value, self.low), self.high)
        return next((v for v in self.scores if math.isclose(v, value, rel_tol=1e-9)), value)

    def score(self, value: float) -> float:
        if value in self.scores:
            return self.scores[value]
        if len(self.scores) >= self.budget:
            raise DataError(
                describe(
                    expected=f"a peak of the score within {self.budget} values",
                    found=f"scores that still rise in {sorted(self.scores.items())}",
                    fix="start nearer to the peak, take a larger factor, or check the score",
                )
            )
        score = float(self.evaluate(value))
        if math.isnan(score) or score == math.inf:
            raise DataError(
                describe(
                    expected="a finite score (or -inf)",
                    found=f"{score} at {value:.6g}",
                    fix="check the reconstruction and the measure at this value",
                )
            )
        self.scores[value] = score
        return score


def _check(start: float, factor: float, low: float, high: float, refinements: int) -> None:
    if not (math.isfinite(start) and start > 0 and low <= start <= high):
        raise ConfigError(
            describe(
                expected=f"a positive start in [{low:.6g}, {high:.6g}]",
                found=f"start = {start}",
                fix="choose a start inside the range",
            )
        )
    if not (1 < factor < math.inf) or refinements < 0:
        raise ConfigError(
            describe(
                expected="a factor above 1 and 0 or more refinements",
                found=f"factor = {factor}, refinements = {refinements}",
                fix="choose for example factor=2, refinements=2",
            )
        )
