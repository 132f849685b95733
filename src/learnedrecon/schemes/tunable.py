"""The numbers of a method without weights that are chosen by data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from learnedrecon.problem import Problem


def _nothing(*_: object) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Tunable:
    """How the arguments of a method are chosen; the class attribute ``tunable`` of a method.

    Attributes:
        argument: Name of a positive argument that validation images choose, such as "weight".
        start: Problem → a first guess of it, from one batch of validation data.
        factor: First factor by which the search walks, above 1.
        upper: Largest value, or None.
        by_truths: True images → further arguments, such as whether values may be negative.
        by_noise: Batches of validation data, and the standard deviation of their noise relative to
            mean(abs(y)) where it is known → further arguments.
        automatic: Arguments with which the method chooses for itself from the data of each
            measurement, such as by the discrepancy principle; empty where only a truth can choose.
            A tuned method has them too, but for ``argument``.
    """

    argument: str
    start: Callable[[Problem], float]
    factor: float = 2.0
    upper: float | None = None
    by_truths: Callable[[Sequence[Tensor]], Mapping[str, Any]] = _nothing
    by_noise: Callable[[Sequence[Problem], float | None], Mapping[str, Any]] = _nothing
    automatic: Mapping[str, Any] = field(default_factory=dict)
