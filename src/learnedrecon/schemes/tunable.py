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
    """Rule by which data choose one argument of a method; its class attribute ``tunable``.

    Attributes:
        argument: Name of a positive argument, such as "weight".
        start: Function Problem → initial guess, from one batch of validation data.
        factor: First factor of the search, above 1.
        upper: Largest value, or None.
        by_truths: Function true images → further arguments, such as the constraint u ≥ 0.
        by_noise: Batches of validation data, and the standard deviation of their noise relative to
            mean(abs(y)) where it is known → further arguments.
        automatic: Arguments with which the method chooses for itself from the data of each
            measurement, such as by the discrepancy principle; empty where only a truth can choose.
            A tuned method has them too, but for ``argument``.
        fixed: Other arguments with fixed values.
        by_data: Function Problem → argument for a measurement without a truth, such as by the
            discrepancy principle, or None where the data are not sufficient; None where only a
            truth can choose it.
    """

    argument: str
    start: Callable[[Problem], float]
    factor: float = 2.0
    upper: float | None = None
    by_truths: Callable[[Sequence[Tensor]], Mapping[str, Any]] = _nothing
    by_noise: Callable[[Sequence[Problem], float | None], Mapping[str, Any]] = _nothing
    automatic: Mapping[str, Any] = field(default_factory=dict)
