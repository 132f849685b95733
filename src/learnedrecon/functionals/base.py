"""The interfaces of data terms and regularisers."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Fidelity(nn.Module, ABC):
    """D(v; y), how far a prediction v is from data y; two arguments, as not all depend on v - y."""

    @abstractmethod
    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        """The value of every sample, (batch,), for ``v`` and ``y`` of shape (batch, ...)."""

    @abstractmethod
    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        """∂D/∂v, of the shape of ``v``."""


class Regulariser(nn.Module, ABC):
    """R(u), what is known of images before anything is measured."""

    @abstractmethod
    def forward(self, u: Tensor) -> Tensor:
        """The value of every sample, (batch,), for ``u`` of shape (batch, channel, *space)."""

    @abstractmethod
    def gradient(self, u: Tensor) -> Tensor:
        """∇R(u), of the shape of ``u``."""


def per_sample(entries: Tensor) -> Tensor:
    """The sum over everything but the batch axis, (batch, ...) to (batch,)."""
    return entries.flatten(1).sum(1)
