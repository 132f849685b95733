"""Losses: (estimate, batch) → one value for each sample.

The problem is at hand as ``batch.problem``, so a loss needs no truth: a data term or an adversarial
one has the same signature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import torch

from learnedrecon.errors import ConfigError, DataError, ShapeError, describe

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.data.batch import Batch
    from learnedrecon.schemes.reconstructor import Estimate

Reduction = Literal["mean", "sum"]


class Loss(Protocol):
    """What training minimises; the mean over the samples of a step is taken by the update."""

    def __call__(self, estimate: Estimate, batch: Batch) -> Tensor:
        """The loss of every sample, (batch,)."""
        ...


@dataclass(frozen=True)
class SquaredError:
    """|û - u|², the mean or the sum over the entries of an image.

    Attributes:
        reduction: ``mean``, or ``sum`` as Adler and Öktem (2017) have it.

    Raises:
        DataError: the batch has no truth.
        ShapeError: the image has not the shape of the truth.
    """

    reduction: Reduction = "mean"

    def __call__(self, estimate: Estimate, batch: Batch) -> Tensor:
        difference = _difference(estimate, batch)
        if difference.is_complex():
            return _reduced(torch.view_as_real(difference).square().sum(-1), self.reduction)
        return _reduced(difference.square(), self.reduction)


@dataclass(frozen=True)
class AbsoluteError:
    """|û - u|, the mean or the sum over the entries of an image.

    Attributes:
        reduction: ``mean`` or ``sum``.

    Raises:
        DataError: the batch has no truth.
        ShapeError: the image has not the shape of the truth.
    """

    reduction: Reduction = "mean"

    def __call__(self, estimate: Estimate, batch: Batch) -> Tensor:
        return _reduced(_difference(estimate, batch).abs(), self.reduction)


@dataclass(frozen=True)
class LogSquaredError:
    """log(‖û - u‖² / ‖u‖² + floor): every image counts by its ratio of errors, not by its contrast.

    Its mean over images is the mean PSNR up to a factor, an offset and the floor. It does not
    change with the unit of the image. A truth that is 0 everywhere is compared with 1 per pixel.

    Attributes:
        floor: below which an error is as good as none.

    Raises:
        ConfigError: the floor is not positive.
        DataError: the batch has no truth.
        ShapeError: the image has not the shape of the truth.
    """

    floor: float = 1e-8

    def __post_init__(self) -> None:
        if not (self.floor > 0 and math.isfinite(self.floor)):
            raise ConfigError(
                describe(
                    expected="floor > 0", found=f"{self.floor}", fix="use a small one, like 1e-8"
                )
            )

    def __call__(self, estimate: Estimate, batch: Batch) -> Tensor:
        error = _difference(estimate, batch).abs().square().flatten(1).mean(1)
        assert batch.truth is not None
        size = batch.truth.abs().square().flatten(1).mean(1)
        return (error / torch.where(size > 0, size, 1) + self.floor).log()


def _difference(estimate: Estimate, batch: Batch) -> Tensor:
    """û - u, real or complex."""
    truth = batch.truth
    if truth is None:
        raise DataError(
            describe(
                expected="samples with a true image",
                found="a batch without truth",
                fix="use a dataset with truth, or a loss that compares with the data",
            )
        )
    if estimate.image.shape != truth.shape:
        raise ShapeError(
            describe(
                expected=f"an image of the shape of the truth, {tuple(truth.shape)}",
                found=f"{tuple(estimate.image.shape)}",
                fix="check the model's readout and the dataset's geometry",
            )
        )
    return estimate.image - truth


def _reduced(entries: Tensor, reduction: Reduction) -> Tensor:
    flat = entries.flatten(1)
    return flat.mean(1) if reduction == "mean" else flat.sum(1)
