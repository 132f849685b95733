"""Optimiser steps, from the forward pass to the new weights."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import torch
from accelerate.utils import extract_model_from_parallel
from torch import Tensor, distributed, nn

from learnedrecon.errors import ConfigError, DataError, ShapeError, describe
from learnedrecon.schemes.reconstructor import Reconstructor
from learnedrecon.training.accelerator import across_processes
from learnedrecon.training.groups import parameter_groups, require_parts
from learnedrecon.training.losses import sees_iterates
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

    from learnedrecon.data.batch import Batch
    from learnedrecon.problem import Problem
    from learnedrecon.schemes.reconstructor import Estimate
    from learnedrecon.training.losses import Loss, Parts
    from learnedrecon.training.spec import TrainingSpec

_OPTIMISER = "optimiser."
_TENSOR = "tensor."
_SCALER = "scaler."
_SHOWN = 5


class Update(Protocol):
    """Protocol of what the loop calls once per step: supervised, greedy, adversarial, ...

    Attributes:
        accelerator: Device, precision and processes.
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
        """The state that must be saved for an exact continuation."""
        ...

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of :meth:`state`."""
        ...


def diagnostics_of(model: nn.Module, problem: Problem | None = None) -> dict[str, float]:
    """The :meth:`Reconstructor.diagnostics` of a model, which may be wrapped or compiled.

    Args:
        model: Model; the result is empty if it is not a Reconstructor.
        problem: Argument of the diagnostics.
    """
    inner = _unwrapped(model)
    return inner.diagnostics(problem) if isinstance(inner, Reconstructor) else {}


class EveryIterate(nn.Module):
    """A module whose output is all iterates of a model, also one wrapped for several processes.

    Args:
        model: A :class:`Reconstructor`, which may be wrapped or compiled.

    Raises:
        ConfigError: The model has no iterates.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        inner = _unwrapped(model)
        if not isinstance(inner, Reconstructor):
            raise ConfigError(
                describe(
                    expected="a Reconstructor, whose iterates the loss looks at",
                    found=type(inner).__name__,
                    fix="use a loss of the result",
                )
            )
        self.model = inner

    def forward(self, problem: Problem) -> tuple[Estimate, ...]:
        """The estimates after every step; the last is the result."""
        return tuple(self.model.iterates(problem))


class Supervised:
    """A step along the gradient of the mean loss over all samples of the batches.

    The numbers of a step are the loss (the sum of its parts, and each part ``loss.NAME``), the norm
    of the gradient before clipping, the learning rate, and the model's diagnostics of the last
    batch, such as whether its fixed points converged.

    Where ``spec.groups`` weights the parts L_p, the parameters of group g follow the gradient of
    Σ_p w_gp L_p.

    Batches of unequal size count by their samples, so that accumulation is equal to one large
    batch.

    Args:
        model: Model whose parameters are trained, those that require a gradient.
        loss: Function (output, batch) → (batch,), or to named parts.
        spec: Optimiser, schedule, clipping and groups.
        accelerator: Device, precision and processes; see :func:`make_accelerator`.
        tensors: Additional trained leaves by name, such as the angles of a scan of the problems.
            They are saved with the optimiser, and their names in groups begin with ``problem.``.

    Raises:
        ConfigError: Nothing requires a gradient, or groups or rates do not fit the model.
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
        self._groups = parameter_groups(spec.groups, self.parameters)
        self._plain = build_optimiser(spec.optimiser, self.parameters)
        self._optimiser = accelerator.prepare_optimizer(self._plain)
        self._every: nn.Module | None = None

    def __call__(
        self, model: nn.Module, batches: Sequence[Batch], *, step: int
    ) -> dict[str, float]:
        scale = factor(self.spec.schedule, step=step, steps=self.spec.steps)
        for group in self._optimiser.param_groups:
            group["lr"] = group["base_lr"] * scale
        self._optimiser.zero_grad()
        parts = self._backward(self._with_iterates(model), batches)
        losses = torch.stack(list(parts.values())).sum(0)
        norm = self.accelerator.clip_grad_norm_(
            list(self.parameters.values()), self.spec.clip_norm or math.inf
        )
        numbers = [losses.mean(), norm.to(losses), *(values.mean() for values in parts.values())]
        loss, norm, *means = torch.stack(numbers).tolist()
        if not math.isfinite(loss):
            raise _not_finite("loss", step, _ids(batches, ~losses.isfinite()))
        if not math.isfinite(norm) and self.accelerator.scaler is None:
            raise _not_finite("gradient", step, _ids(batches))
        self._optimiser.step()
        named = {f"loss.{name}": mean for name, mean in zip(parts, means, strict=True) if name}
        rate = self.spec.optimiser.learning_rate * scale
        found = {"loss": loss, **named, "grad_norm": norm, "learning_rate": rate}
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

    def _with_iterates(self, model: nn.Module) -> nn.Module:
        """The module whose output the loss gets: the model, or all its iterates."""
        if not sees_iterates(self.loss):
            return model
        if self._every is None:
            every = EveryIterate(model)
            self._every = across_processes(every, self.accelerator)
        return self._every

    def _backward(self, model: nn.Module, batches: Sequence[Batch]) -> dict[str, Tensor]:
        """Adds up the gradients; the parts of the loss of every sample, detached.

        Several groups need several backward passes, whose gradients are averaged over processes at
        the end, as the wrapper of the model does it for one; so are those of further tensors, which
        the wrapper does not know.
        """
        count = sum(len(batch.ids) for batch in batches)
        several = len(self._groups) > 1
        found = []
        for index, batch in enumerate(batches):
            together = index == len(batches) - 1 and not several
            with nullcontext() if together else self.accelerator.no_sync(model):
                with self.accelerator.autocast():
                    output = model(batch.problem)
                parts = self._parts(output, batch)
                self._descend({name: values.sum() / count for name, values in parts.items()})
            found.append({name: values.detach() for name, values in parts.items()})
        if self.accelerator.use_distributed:
            self._average_gradients(self.parameters if several else self.tensors)
        return {name: torch.cat([parts[name] for parts in found]) for name in found[0]}

    def _parts(self, output: Any, batch: Batch) -> Parts:  # noqa: ANN401 (whatever a model returns)
        """The parts of the loss; one without a name where it has no parts."""
        values = self.loss(output, batch)
        parts = {"": values} if isinstance(values, Tensor) else values
        if not parts:
            raise ShapeError(
                describe(
                    expected="a loss with at least one part",
                    found="none",
                    fix="return a tensor (batch,), or a mapping from names to such tensors",
                )
            )
        if self.spec.groups is not None:
            require_parts(self.spec.groups, parts)
        for part in parts.values():
            _require_one_per_sample(part, batch)
        return parts

    def _descend(self, parts: Parts) -> None:
        """Adds the gradient of every group's objective to its parameters."""
        objectives = [(group, group.objective(parts)) for group in self._groups]
        live = [(g, value) for g, value in objectives if value is not None and value.requires_grad]
        for number, (group, value) in enumerate(live):
            kept = number < len(live) - 1
            inputs = list(group.parameters) if len(self._groups) > 1 else None
            self.accelerator.backward(value, inputs=inputs, retain_graph=kept)

    def _average_gradients(self, parameters: Mapping[str, Tensor]) -> None:
        for parameter in parameters.values():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)
            parameter.grad /= self.accelerator.num_processes


def _unwrapped(model: nn.Module) -> nn.Module:
    return extract_model_from_parallel(model, keep_torch_compile=False)


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
