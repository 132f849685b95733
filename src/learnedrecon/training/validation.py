"""Validation: the mean PSNR over a fixed set of batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from learnedrecon.errors import DataError, describe
from learnedrecon.metrics import psnr_torch
from learnedrecon.metrics.pictures import pictures
from learnedrecon.training.update import diagnostics_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor, nn

    from learnedrecon.data.batch import Batch
    from learnedrecon.metrics import DataRange


class MeanPsnr:
    """A ``validate`` for :func:`learnedrecon.training.loop.train`: the mean PSNR over all images.

    Args:
        batches: Function that returns the batches, always the same, such as
            ``partial(evaluation_batches, dataset, builder, batch_size=8)``.
        data_range: Data range of the PSNR.
    """

    def __init__(self, batches: Callable[[], Iterable[Batch]], data_range: DataRange) -> None:
        self.batches = batches
        self.data_range = data_range

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """The numbers to log: ``psnr`` in dB, and the model's diagnostics on the last batch.

        Raises:
            DataError: no batch, no truth, or an estimate that is not finite.
        """
        values: list[Tensor] = []
        for batch in self.batches():
            if batch.truth is None:
                raise _empty(f"samples without truth: {', '.join(batch.ids[:3])}")
            u, v = pictures(batch.truth), pictures(model(batch.problem).image)
            there = self.data_range.defined(u)
            if bool(there.any()):
                pair = {"truth": u[there], "estimate": v[there]}
                values.append(psnr_torch(**pair, data_range=self.data_range))
            last = batch.problem
        if not values:
            raise _empty("none, or constant ones alone, which have no PSNR with 'max-min'")
        return {"psnr": torch.cat(values).mean().item(), **diagnostics_of(model, last)}


def _empty(found: str) -> DataError:
    return DataError(
        describe(
            expected="batches with true images to validate on",
            found=found,
            fix="validate on a dataset with truth that is not empty",
        )
    )
