"""True images for a critic, of other samples than those that are measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from learnedrecon.data.order import BatchOrder
from learnedrecon.errors import DataError, describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from learnedrecon.data.datasets import SampleDataset


class ImageSource(Protocol):
    """Protocol of endless sequences of true images, the same in every run."""

    def batches(self, start: int) -> Iterator[Tensor]:
        """Images (batch, channel, *domain) number ``start``, ``start`` + 1, ..."""
        ...


class TrueImages:
    """The true images of a dataset in a seeded order, without end and without measurements.

    Args:
        dataset: Dataset with true images.
        batch_size: Number of images in a batch.
        seed: Seed of the order.

    Raises:
        DataError: The dataset is empty.
    """

    def __init__(self, dataset: SampleDataset, *, batch_size: int, seed: int = 0) -> None:
        self.dataset = dataset
        self.order = BatchOrder(dataset.buckets(), batch_size, seed=seed)

    def batches(self, start: int) -> Iterator[Tensor]:
        """Images (batch, channel, *domain) number ``start``, ``start`` + 1, ... on the CPU.

        Raises:
            DataError: A sample has no true image.
        """
        for indices in self.order.batches(start):
            yield torch.stack([self._truth(index) for index in indices])

    def _truth(self, index: int) -> Tensor:
        sample = self.dataset[index]
        if sample.truth is None:
            raise DataError(
                describe(
                    expected="true images for the critic in 'data.images'",
                    found=f"the sample '{sample.id}' without",
                    fix="name a folder, file or dataset of true images there",
                )
            )
        return sample.truth
