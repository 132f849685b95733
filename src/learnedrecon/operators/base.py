"""The interface of every forward operator, linear or not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from learnedrecon.errors import GeometryError, describe

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from learnedrecon.operators.linear import LinearOperator
    from learnedrecon.operators.space import Space


class Operator(nn.Module, ABC):
    """T: X → Y, differentiable, batched over every leading axis.

    An operator is a module so that ``.to()`` moves its buffers; otherwise it is immutable. It runs
    outside autocast, in float32 or better.

    Attributes:
        domain: X, one sample.
        codomain: Y, one sample.
    """

    def __init__(self, domain: Space, codomain: Space) -> None:
        super().__init__()
        self.domain = domain
        self.codomain = codomain

    @abstractmethod
    def evaluate(self, u: Tensor) -> Tensor:
        """T(u) for a checked ``u``; subclasses write this, users call the operator."""

    @abstractmethod
    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        """The pair (T(u), T'(u)); the adjoint of the second is [∂T(u)]*."""

    def forward(self, u: Tensor) -> Tensor:
        """T(u).

        Args:
            u: (..., *domain.shape).

        Returns:
            (..., *codomain.shape), of the same precision.

        Raises:
            ShapeError: the last axes of ``u`` are not those of the domain.
            DtypeError: ``u`` is not a floating tensor of the domain's kind.
        """
        u = self.domain.admit(u, "an image")
        with without_autocast(u):
            return self.evaluate(u)

    def with_tensors(self, tensors: dict[str, Tensor]) -> Self:
        """A new operator with per-sample tensors put in, sharing everything else.

        Args:
            tensors: by name, each with every leading axis, such as ``mask`` (batch, 1, 1, ky, kx).

        Raises:
            GeometryError: this operator has no tensor of that name.
        """
        if not tensors:
            return self
        raise GeometryError(
            describe(
                expected=f"no per-sample tensors for {type(self).__name__}",
                found=", ".join(sorted(tensors)),
                fix="remove them from the samples, or use an operator that has them",
            )
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # noqa: FBT001, FBT002
        """Moves buffers as ``nn.Module`` does, keeps complex ones complex and the spaces true."""

        def convert(tensor: Tensor) -> Tensor:
            if not tensor.is_complex():
                return fn(tensor)
            real = fn(tensor.real)
            return tensor.to(real.device, torch.promote_types(real.dtype, torch.complex64))

        super()._apply(convert, recurse)
        self.domain = _converted(self.domain, convert)
        self.codomain = _converted(self.codomain, convert)
        return self


def without_autocast(like: Tensor) -> AbstractContextManager[None]:
    """Switches autocast off on the device of ``like``, at no cost where it is off already."""
    device = like.device.type
    if torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()


def moved(tensor: Tensor, device: torch.device | str) -> Tensor:
    """A tensor on ``device``; float64 stays on the CPU where the device has none (MPS)."""
    if torch.device(device).type == "mps" and tensor.dtype == torch.float64:
        return tensor.cpu()
    return tensor.to(device)


def _converted(space: Space, convert: Callable[[Tensor], Tensor]) -> Space:
    probe = convert(torch.empty(0, dtype=space.dtype))
    return replace(space, dtype=probe.dtype)
