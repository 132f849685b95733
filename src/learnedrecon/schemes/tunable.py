"""The number of a method without weights that is chosen by data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from learnedrecon.problem import Problem


def _nothing(truths: Sequence[Tensor]) -> Mapping[str, Any]:  # noqa: ARG001 - one of many
    return {}


@dataclass(frozen=True)
class Tunable:
    """How one argument of a method is chosen; the class attribute ``tunable`` of a method.

    Attributes:
        argument: Name of a positive argument, such as "weight".
        start: Problem → a first guess, from one batch of validation data.
        factor: First factor by which the search walks, above 1.
        upper: Largest value, or None.
        fixed: Other arguments, as they are.
        by_truths: True images → further arguments, such as whether values may be negative.
        by_data: Problem → the argument for one measurement without a truth, such as by the
            discrepancy principle, or None where these data cannot tell; None where nothing but a
            truth can choose it.
    """

    argument: str
    start: Callable[[Problem], float]
    factor: float = 2.0
    upper: float | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    by_truths: Callable[[Sequence[Tensor]], Mapping[str, Any]] = _nothing
    by_data: Callable[[Problem], float | None] | None = None
