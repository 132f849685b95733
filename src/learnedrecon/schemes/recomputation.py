"""Checks for every way of differentiating that recomputes activations."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from learnedrecon.errors import DifferentiationError, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from torch import Tensor

_DRAWS = (nn.modules.dropout._DropoutNd, nn.RReLU)  # noqa: SLF001 - torch has no public name


class Unchanged:
    """Check that tensors are not written to before the backward pass.

    Autograd detects this for the tensors that it saves itself; recomputation needs the same check.

    Args:
        tensors: Tensors by their role, for messages.
    """

    def __init__(self, tensors: Mapping[str, Iterable[Tensor]]) -> None:
        self._known: list[tuple[str, Tensor, int]] = []
        self.update(tensors)

    def update(self, tensors: Mapping[str, Iterable[Tensor]]) -> None:
        """Adds tensors in their present version."""
        self._known += [
            (name, tensor, tensor._version)  # noqa: SLF001 - torch has no public name
            for name, some in tensors.items()
            for tensor in some
            if not tensor.is_inference()
        ]

    def require(self) -> None:
        """The check, called in the backward pass.

        Raises:
            DifferentiationError: A tensor was changed in place.
        """
        for name, tensor, version in self._known:
            if tensor._version != version:  # noqa: SLF001 - torch has no public name
                raise DifferentiationError(
                    describe(
                        expected=f"{name} as in the forward pass",
                        found="that it was changed in place",
                        fix="write out of place, such as u = u.clamp(min=0), and call backward() "
                        "before optimiser.step()",
                    )
                )


class Constancy:
    """Check that modules give the same result when they are evaluated again.

    Args:
        steps: Modules that will be run.

    Raises:
        DifferentiationError: A dropout is switched on.
    """

    def __init__(self, steps: Iterable[object]) -> None:
        modules = [m for step in steps if isinstance(step, nn.Module) for m in step.modules()]
        for module in modules:
            if isinstance(module, _DRAWS) and module.training and getattr(module, "p", 1.0) > 0:
                raise _refused(f"{type(module).__name__}, which draws random numbers")
        self._weights = [p for module in modules for p in module.parameters(recurse=False)]
        self._buffers = [(module, b) for module in modules for b in module.buffers(recurse=False)]
        self._versions = [buffer._version for _, buffer in self._buffers]  # noqa: SLF001 - torch has no public name
        self._generator = torch.random.get_rng_state()

    def weights(self) -> dict[str, list[nn.Parameter]]:
        """The parameters, to be checked until the backward pass."""
        return {"the weights": self._weights}

    def require(self) -> None:
        """The check, called after the run.

        Raises:
            DifferentiationError: A buffer has changed (BatchNorm in training), or random numbers
                were drawn from the default generator of the CPU.
        """
        for (module, buffer), version in zip(self._buffers, self._versions, strict=True):
            if buffer._version != version:  # noqa: SLF001 - torch has no public name
                raise _refused(f"{type(module).__name__}, which changes a buffer")
        if not torch.equal(self._generator, torch.random.get_rng_state()):
            raise _refused("a step that draws from torch's default generator")


def autocast_now(device: str) -> Callable[[], AbstractContextManager[None]]:
    """The present autocast state of a device, as a function that returns a context with it.

    Args:
        device: Type of the device.
    """
    return partial(
        torch.autocast,
        device,
        dtype=torch.get_autocast_dtype(device),
        enabled=torch.is_autocast_enabled(device),
        cache_enabled=torch.is_autocast_cache_enabled(),
    )


def refuse_second_derivative(mode: str) -> None:
    """Check, in a backward pass, that it is not differentiated itself.

    Args:
        mode: Name of the way of differentiating, for the message.

    Raises:
        DifferentiationError: A second derivative is asked for.
    """
    if torch.is_grad_enabled():
        raise DifferentiationError(
            describe(
                expected=f"first derivatives through {mode}",
                found="a backward pass with create_graph=True",
                fix="use Backprop or Checkpointed, which have second derivatives",
            )
        )


def _refused(what: str) -> DifferentiationError:
    return DifferentiationError(
        describe(
            expected="steps that give the same when they are evaluated again",
            found=what,
            fix="call eval() on it, replace it (GroupNorm, problem.draws), or use Backprop",
        )
    )
