"""One optimiser step, which an update owns from the forward pass to the new weights."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol

import torch

from learnedrecon.errors import ConfigError, DataError, ShapeError, describe
from learnedrecon.training.diagnostics import diagnostics_of
from learnedrecon.training.optimisers import (
    build_optimiser,
    load_optimiser_state,
    optimiser_state,
)
from learnedrecon.training.schedule import factor
from learnedrecon.weights.tensorfile import require_match, with_prefix, without_prefix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from accelerate import Accelerator
    from torch import Tensor, nn

    from learnedrecon.data.batch import Batch
    from learnedrecon.training.losses import Loss
    from learnedrecon.training.spec import TrainingSpec

_OPTIMISER = "optimiser."
_TENSOR = "tensor."
_SCALER = "scaler."
_SHOWN = 5


class Update(Protocol):
    """What the loop calls once per step: supervised, greedy, adversarial, ...

    Attributes:
        accelerator: the device, the precision and the processes it works with.
    """

    accelerator: Accelerator

    def __call__(
        self, model: nn.Module, batches: Sequence[Batch], *, step: int
    ) -> dict[str, float]:
        """Moves the weights once, by the gradients of all ``batches`` together.

        Args:
            model: in training mode, on the device.
            batches: one, or as many as are accumulated.
            step: counted from 0.

        Returns:
            What to log; ``loss`` at least.

        Raises:
            DataError: the loss or a gradient is not finite; the weights are then unchanged.
        """
        ...

    def state(self) -> dict[str, Tensor]:
        """All that must be saved to go on exactly."""
        ...

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of :meth:`state`."""
        ...


class Supervised:
    """A step along the gradient of the mean loss over all samples of the batches.

    Its numbers are the loss, the norm of the gradient before clipping, the learning rate, and the
    model's diagnostics of the last batch, such as whether its fixed points converged.

    Batches of unequal size count by their samples, so accumulation over parts is one large batch.

    Args:
        model: whose parameters are trained, those that require a gradient.
        loss: (estimate, batch) → (batch,).
        spec: optimiser, schedule, clipping.
        accelerator: device, precision, processes; see :func:`make_accelerator`.
        tensors: leaves that are trained besides, by name, such as the angles of a scan that the
            problems are made of. They are saved with the optimiser.

    Raises:
        ConfigError: nothing requires a gradient.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        loss: Loss,
        spec: TrainingSpec,
        accelerator: Accelerator,
        tensors: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.loss = loss
        self.spec = spec
        self.accelerator = accelerator
        self.tensors = dict(tensors or {})
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.parameters = {**trained, **with_prefix("problem.", self.tensors)}
        if not self.parameters:
            raise ConfigError(
                describe(
                    expected="a model with parameters to train",
                    found=f"{type(model).__name__} without any that requires a gradient",
                    fix="evaluate it instead, or unfreeze its weights",
                )
            )
        self._plain = build_optimiser(spec.optimiser, list(self.parameters.values()))
        self._optimiser = accelerator.prepare_optimizer(self._plain)

    def __call__(
        self, model: nn.Module, batches: Sequence[Batch], *, step: int
    ) -> dict[str, float]:
        rate = self.spec.optimiser.learning_rate * factor(
            self.spec.schedule, step=step, steps=self.spec.steps
        )
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad()
        losses = self._backward(model, batches)
        norm = self.accelerator.clip_grad_norm_(
            list(self.parameters.values()), self.spec.clip_norm or math.inf
        )
        loss, norm = torch.stack([losses.mean(), norm.to(losses)]).tolist()
        if not math.isfinite(loss):
            raise _not_finite("loss", step, _ids(batches, ~losses.isfinite()))
        if not math.isfinite(norm) and self.accelerator.scaler is None:
            raise _not_finite("gradient", step, _ids(batches))
        self._optimiser.step()
        found = {"loss": loss, "grad_norm": norm, "learning_rate": rate}
        return {**found, **diagnostics_of(model)}

    def state(self) -> dict[str, Tensor]:
        scaler = self.accelerator.scaler
        scale = {} if scaler is None else scaler.state_dict()
        return {
            **with_prefix(_OPTIMISER, optimiser_state(self._plain, self.parameters)),
            **with_prefix(_TENSOR, self.tensors),
            **with_prefix(_SCALER, {name: torch.tensor(value) for name, value in scale.items()}),
        }

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        own = without_prefix(_TENSOR, tensors)
        require_match("the checkpoint", expected=self.tensors, found=own)
        load_optimiser_state(self._plain, self.parameters, without_prefix(_OPTIMISER, tensors))
        with torch.no_grad():
            for name, tensor in self.tensors.items():
                tensor.copy_(own[name])
        scale = without_prefix(_SCALER, tensors)
        if self.accelerator.scaler is not None and scale:
            self.accelerator.scaler.load_state_dict({k: v.item() for k, v in scale.items()})

    def _backward(self, model: nn.Module, batches: Sequence[Batch]) -> Tensor:
        """Adds up the gradients; the loss of every sample, detached."""
        count = sum(len(batch.ids) for batch in batches)
        losses = []
        for index, batch in enumerate(batches):
            last = index == len(batches) - 1
            with nullcontext() if last else self.accelerator.no_sync(model):
                with self.accelerator.autocast():
                    estimate = model(batch.problem)
                values = self.loss(estimate, batch)
                _require_one_per_sample(values, batch)
                self.accelerator.backward(values.sum() / count)
            losses.append(values.detach())
        return torch.cat(losses)


def _require_one_per_sample(values: Tensor, batch: Batch) -> None:
    if values.shape != (len(batch.ids),):
        raise ShapeError(
            describe(
                expected=f"a loss of every sample, ({len(batch.ids)},)",
                found=f"{tuple(values.shape)}",
                fix="sum or average over everything but the batch axis",
            )
        )


def _ids(batches: Sequence[Batch], where: Tensor | None = None) -> list[str]:
    ids = [name for batch in batches for name in batch.ids]
    return ids if where is None else [ids[k] for k in where.nonzero().flatten().tolist()]


def _not_finite(what: str, step: int, ids: list[str]) -> DataError:
    first = (
        "look at these samples and at the scale of the data, as no weight has changed yet: an "
        "image_scale of the size of a typical image value, a lower precision switched off"
    )
    later = (
        "look at these samples, lower the learning rate or clip_norm, or warm up; weights and "
        "checkpoints are as they were before this step"
    )
    names = ", ".join(ids[:_SHOWN]) + (f" and {len(ids) - _SHOWN} more" if ids[_SHOWN:] else "")
    return DataError(
        describe(
            expected=f"a finite {what}",
            found=f"NaN or infinity in step {step + 1} for the samples {names}",
            fix=first if step == 0 else later,
        )
    )
