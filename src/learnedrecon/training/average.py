"""Exponential moving average of weights, which often reconstructs better than the weights."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn


class MovingAverage:
    """Exponential moving average θ̄ ← d θ̄ + (1 - d) θ, d = min(decay, (1 + step) / (10 + step)).

    The bound on d makes the average forget the initial weights quickly; steps are counted from 1.
    Buffers are not averaged.

    Args:
        model: Model whose parameters are averaged; they are the initial θ̄.
        decay: Decay in [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {
            name: parameter.detach().clone() for name, parameter in model.named_parameters()
        }

    @torch.no_grad()
    def update(self, model: nn.Module, *, step: int) -> None:
        """Update of the average with the weights after ``step`` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in model.named_parameters():
            self.weights[name].lerp_(parameter, 1 - decay)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """A context in which the model has the averaged weights; its own are restored exactly."""
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
