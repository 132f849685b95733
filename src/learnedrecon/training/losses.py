"""Loss functions: (output, batch) → one value per sample, or several by name.

A loss has the problem in ``batch.problem`` and need not use the truth: data terms and adversarial
losses have the same signature.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from learnedrecon.choices import require_choices
from learnedrecon.errors import ConfigError, DataError, ShapeError, describe
from learnedrecon.registry import Registry, itself
from learnedrecon.specs import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from learnedrecon.data.batch import Batch
    from learnedrecon.schemes.reconstructor import Estimate

Reduction = Literal["mean", "sum"]

Parts = Mapping[str, Tensor]
"""The parts of a loss by name, each (batch,)."""


class Loss(Protocol):
    """Protocol of losses; the update takes the mean over the samples of a step.

    A loss with the class attribute ``iterates = True`` gets every iterate of the model, a tuple of
    estimates of which the last is the result (see :class:`SeesIterates`).
    """

    def __call__(self, output: Any, batch: Batch, /) -> Tensor | Parts:  # noqa: ANN401 - whatever a model returns
        """The loss of every sample, (batch,); or its named parts, which are logged and weighted.

        Args:
            output: What the model returns, such as an :class:`Estimate`.
            batch: Problem, truth and label.
        """
        ...


@runtime_checkable
class SeesIterates(Protocol):
    """Protocol of losses on every iterate.

    Attributes:
        iterates: True if the output is ``tuple(model.iterates(problem))``.
    """

    iterates: bool


def sees_iterates(loss: Loss) -> bool:
    """True if a loss gets every iterate of the model in place of its result.

    Args:
        loss: Loss function.
    """
    return isinstance(loss, SeesIterates) and loss.iterates


@dataclass(frozen=True)
class SquaredError:
    """|û - u|², the mean or the sum over the entries of an image.

    Attributes:
        reduction: ``mean``, or ``sum`` as in Adler and Öktem (2017).

    Raises:
        DataError: The batch has no truth.
        ShapeError: The image does not have the shape of the truth.
    """

    reduction: Reduction = "mean"

    def __post_init__(self) -> None:
        require_choices(self)

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
        DataError: The batch has no truth.
        ShapeError: The image does not have the shape of the truth.
    """

    reduction: Reduction = "mean"

    def __post_init__(self) -> None:
        require_choices(self)

    def __call__(self, estimate: Estimate, batch: Batch) -> Tensor:
        return _reduced(_difference(estimate, batch).abs(), self.reduction)


@dataclass(frozen=True)
class SmoothedModulus:
    """(√(|û|² + ε) - √(|u|² + ε))², the mean or the sum over the entries of an image.

    It compares magnitudes and is differentiable where an image is 0. Hammernik et al., Magn. Reson.
    Med. 79(6), 2018, with ε = 1e-12 and the sum. The phase of the estimate is free.

    Attributes:
        reduction: ``mean`` or ``sum``.
        epsilon: ε > 0, in the square of the unit of the image.

    Raises:
        ConfigError: ε is not positive.
        DataError: The batch has no truth.
        ShapeError: The image does not have the shape of the truth.
    """

    reduction: Reduction = "mean"
    epsilon: float = 1e-12

    def __post_init__(self) -> None:
        require_choices(self)
        if not (self.epsilon > 0 and math.isfinite(self.epsilon)):
            raise ConfigError(
                describe(
                    expected="epsilon > 0", found=f"{self.epsilon}", fix="use the paper's, 1e-12"
                )
            )

    def __call__(self, estimate: Estimate, batch: Batch) -> Tensor:
        _difference(estimate, batch)
        assert batch.truth is not None
        error = self._modulus(estimate.image) - self._modulus(batch.truth)
        return _reduced(error.square(), self.reduction)

    def _modulus(self, image: Tensor) -> Tensor:
        parts = torch.view_as_real(image) if image.is_complex() else image.unsqueeze(-1)
        return (parts.square().sum(-1) + self.epsilon).sqrt()


@dataclass(frozen=True)
class LogSquaredError:
    """log(‖û - u‖² / ‖u‖² + floor), which weights images by relative error, not by contrast.

    Its mean over images is the mean PSNR up to a factor, an offset and the floor. It does not
    change with the unit of the image. A truth that is 0 everywhere is compared with 1 per pixel.

    Attributes:
        floor: Relative squared error below which errors hardly count.

    Raises:
        ConfigError: The floor is not positive.
        DataError: The batch has no truth.
        ShapeError: The image does not have the shape of the truth.
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


@dataclass(frozen=True)
class DeepSupervision:
    """Σ_k γ^(N-k) ‖u_k - u‖² / Σ_k γ^(N-k), the mean squared error of every iterate.

    Deeply-supervised nets (Lee et al., AISTATS 2015), for unrolled schemes.

    Attributes:
        decay: Weight γ in (0, 1] of an iterate relative to the next one.
        iterates: Always true, see :class:`SeesIterates`.

    Raises:
        ConfigError: γ is not in (0, 1].
        DataError: The batch has no truth.
        ShapeError: The image does not have the shape of the truth.
    """

    decay: float = 0.9

    iterates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.decay <= 1:
            raise ConfigError(
                describe(expected="decay in (0, 1]", found=f"{self.decay}", fix="use 1 or less")
            )

    def __call__(self, estimates: Sequence[Estimate], batch: Batch) -> Tensor:
        error = SquaredError()
        powers = [self.decay**k for k in reversed(range(len(estimates)))]
        terms = [w * error(e, batch) for w, e in zip(powers, estimates, strict=True)]
        return torch.stack(terms).sum(0) / sum(powers)


LOSSES: Registry[Loss] = Registry(
    "loss",
    object,  # type: ignore[arg-type]
    {
        "squared_error": Entry(SquaredError, itself, "mean or sum of squares"),
        "log_squared_error": Entry(LogSquaredError, itself, "log ‖û - u‖²/‖u‖²"),
        "smoothed_modulus": Entry(SmoothedModulus, itself, "squares of differences of magnitudes"),
        "absolute_error": Entry(AbsoluteError, itself, "mean or sum of absolute values"),
        "deep_supervision": Entry(DeepSupervision, itself, "mean squares of every iterate"),
    },
)
"""The losses that a configuration can name."""


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
