"""From a dataset to the device: samples, batches, and the operators they share."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

from torch import Tensor

from learnedrecon.problem import Problem


class Sample(NamedTuple):
    """One item of a dataset: tensors on the CPU, never an operator.

    Attributes:
        id: names the sample within its dataset; noise is seeded by it.
        data: y, (channel, *codomain), or None where it is simulated from the truth.
        truth: u, (channel, *domain), or None where it is not known.
        label: for a task, or None.
        tensors: per-sample tensors of the operator as (name, tensor), such as mask and maps.
        spec: of this sample's operator where it differs from the dataset's, or None.
    """

    id: str
    data: Tensor | None
    truth: Tensor | None
    label: Tensor | None = None
    tensors: tuple[tuple[str, Tensor], ...] = ()
    spec: Any = None

    @property
    def bucket(self) -> Hashable:
        """Samples of equal buckets can share a batch: same operator, same shapes."""
        return (
            self.spec,
            None if self.data is None else tuple(self.data.shape),
            None if self.truth is None else tuple(self.truth.shape),
        )


class Batch(NamedTuple):
    """What a training step or an evaluation sees, on its device.

    Attributes:
        problem: y = T(u) + noise for the whole batch.
        truth: (batch, channel, *domain), or None.
        label: (batch, ...), or None.
        ids: of the samples.
    """

    problem: Problem
    truth: Tensor | None
    label: Tensor | None
    ids: tuple[str, ...]
