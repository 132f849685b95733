"""A moving average of the weights, which often reconstructs better than the weights themselves."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn


class MovingAverage:
    """θ̄ ← d θ̄ + (1 - d) θ with d = min(decay, (1 + step) / (10 + step)).

    The bound on d lets the average leave the initial weights quickly; step counts from 1. Buffers
    are not averaged.

    Args:
        model: whose parameters are averaged; θ̄ starts as they are.
        decay: 0 ≤ decay < 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {
            name: parameter.detach().clone() for name, parameter in model.named_parameters()
        }

    @torch.no_grad()
    def update(self, model: nn.Module, *, step: int) -> None:
        """Takes in the weights after ``step`` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in model.named_parameters():
            self.weights[name].lerp_(parameter, 1 - decay)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """In the block the model has the averaged weights; after it, bit for bit its own."""
        own = {name: value.detach().clone() for name, value in model.named_parameters()}
        _copy(self.weights, model)
        try:
            yield
        finally:
            _copy(own, model)


@torch.no_grad()
def _copy(weights: dict[str, Tensor], model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        parameter.copy_(weights[name])
