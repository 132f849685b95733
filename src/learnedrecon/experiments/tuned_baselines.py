"""Classical methods at their best: parameters chosen on validation images, not by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from learnedrecon.errors import GeometryError, describe
from learnedrecon.evaluation.scores import evaluate
from learnedrecon.experiments.search import Tuned, tune
from learnedrecon.models.classical import FBP, TV
from learnedrecon.operators.linear import LinearOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from learnedrecon.data.batch import Batch
    from learnedrecon.experiments.experiment import Experiment
    from learnedrecon.operators.base import Operator
    from learnedrecon.schemes.reconstructor import Reconstructor

_IMAGES: Final = 10


def tuned_fbp(experiment: Experiment, images: int = _IMAGES) -> tuple[FBP, Tuned]:
    """Filtered back-projection with the Hann bandwidth of the largest mean PSNR.

    Args:
        experiment: whose operator, validation images and data range are used.
        images: how many validation images, at most.
    """

    def method(bandwidth: float) -> FBP:
        return FBP("hann", bandwidth)

    batches = tuple(experiment.batches("validation", images))
    tuned = tune(_score_of(experiment, batches, method), start=0.8, factor=1.3, upper=1.0)
    return method(tuned.value), tuned


def tuned_tv(experiment: Experiment, images: int = _IMAGES) -> tuple[TV, Tuned]:
    """Total variation with the weight of the largest mean PSNR.

    u ≥ 0 is demanded where all the validation images that it is tuned on have it: of images with
    negative values the nonnegative minimiser would miss whatever lies below 0.

    Args:
        experiment: whose operator, validation images and data range are used.
        images: how many validation images, at most.

    Raises:
        GeometryError: the operator is not linear.
    """
    batches = tuple(experiment.batches("validation", images))
    signed = any(batch.truth is not None and bool((batch.truth < 0).any()) for batch in batches)

    def method(weight: float) -> TV:
        return TV(weight, nonnegative=not signed)

    first = batches[0].problem
    start = natural_weight(first.operator, first.data[:1])
    tuned = tune(_score_of(experiment, batches, method), start=start)
    return method(tuned.value), tuned


@torch.no_grad()
def natural_weight(operator: Operator, data: torch.Tensor) -> float:
    """A weight of total variation to begin with: 10⁻³ max |T*y|, the mean over the batch.

    The minimiser is constant once the weight is of the order of max |T*y|.

    Raises:
        GeometryError: the operator is not linear.
    """
    if not isinstance(operator, LinearOperator):
        raise GeometryError(
            describe(
                expected="a linear operator for total variation",
                found=type(operator).__name__,
                fix="take the logarithm of transmissions, or leave 'tv' away",
            )
        )
    size = operator.adjoint(data).abs().flatten(1).amax(1).mean().item()
    return 1e-3 * size or 1.0


def _score_of(
    experiment: Experiment, batches: Sequence[Batch], method: Callable[[float], Reconstructor]
) -> Callable[[float], float]:
    """From a parameter to the mean PSNR on validation images."""

    def score(value: float) -> float:
        model = method(value)
        return float(evaluate("tuning", model, batches, experiment.data_range).psnr.mean())

    return score
