"""Where the time of a training step goes: T, T*, and the rest."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from learnedrecon.operators.linear import LinearOperator

if TYPE_CHECKING:
    from learnedrecon.operators.base import Operator


class Stopwatch(LinearOperator):
    """An operator that adds up the seconds of its calls, those of the backward pass too.

    Args:
        operator: T, whose gradient is taken to be T*.
    """

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.domain, operator.codomain)
        self.operator = operator
        self.seconds = {"T": 0.0, "T*": 0.0}
        self.calls = {"T": 0, "T*": 0}

    def evaluate(self, u: Tensor) -> Tensor:
        return _Timed.apply(u, self, "T")

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return _Timed.apply(v, self, "T*")

    def compute_norm(self) -> float:
        return self.operator.norm()

    def restart(self) -> None:
        """Sets all to zero."""
        for name in self.calls:
            self.seconds[name], self.calls[name] = 0.0, 0

    @torch.no_grad()
    def run(self, x: Tensor, which: str) -> Tensor:
        """One call, timed."""
        apply: Operator | Any = self.operator if which == "T" else self.operator.adjoint
        begun = time.perf_counter()
        result = apply(x)
        self.seconds[which] += time.perf_counter() - begun
        self.calls[which] += 1
        return result


class _Timed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, watch: Stopwatch, which: str) -> Tensor:  # noqa: ANN401
        ctx.watch, ctx.which = watch, which
        return watch.run(x, which)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        return ctx.watch.run(grad, "T*" if ctx.which == "T" else "T"), None, None
