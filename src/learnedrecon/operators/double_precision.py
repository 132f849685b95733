"""Operators whose constants stay in double precision, whatever their images are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import torch

from learnedrecon.operators.base import moved
from learnedrecon.operators.linear import LinearOperator

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def needs_rule(x: Tensor) -> bool:
    """Whether T's own rule of differentiation is worth its overhead: its backward pass is T*.

    Without gradients there is nothing to gain, and compilers see through the operations themselves.
    """
    return x.requires_grad and not torch.compiler.is_compiling()


class Precise(LinearOperator):
    """An operator some of whose buffers move between devices but keep their precision.

    The adjoint is then exact in float64 also for an operator that was made in float32.
    """

    precise: tuple[str, ...] = ()

    def refresh(self) -> None:
        """Computes again what depends on the device or the precision."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # noqa: FBT001, FBT002
        kept: dict[str, Tensor] = {name: getattr(self, name) for name in self.precise}
        for name, tensor in kept.items():
            setattr(self, name, tensor.new_empty(0, dtype=torch.float32))  # to see where it goes
        super()._apply(fn, recurse)
        for name, tensor in kept.items():
            setattr(self, name, moved(tensor, getattr(self, name).device))
        self.refresh()
        return self
