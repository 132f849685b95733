"""Tuning of methods without weights: one argument that data choose."""

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
    """The rule by which data choose the arguments of a method; its class attribute ``tunable``.

    Attributes:
        argument: Name of a positive argument that validation images choose, such as "weight".
        start: Function Problem → initial guess of it, from one batch of validation data.
        factor: First factor of the search, above 1.
        upper: Largest value, or None.
        by_truths: Function true images → further arguments, such as the constraint u ≥ 0.
        by_noise: Function of batches of validation data, and of the standard deviation of their
            noise relative to mean(abs(y)) where it is known → further arguments.
        automatic: Arguments with which the method chooses for itself from the data of each
            measurement, such as by the discrepancy principle; empty where only a truth can choose.
            A tuned method has them too, except ``argument``.
    """

    argument: str
    start: Callable[[Problem], float]
    factor: float = 2.0
    upper: float | None = None
    by_truths: Callable[[Sequence[Tensor]], Mapping[str, Any]] = _nothing
    by_noise: Callable[[Sequence[Problem], float | None], Mapping[str, Any]] = _nothing
    automatic: Mapping[str, Any] = field(default_factory=dict)
