"""Derivatives of linear maps whose kernels autograd cannot trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from learnedrecon.compiling import Context

FORWARD, ADJOINT = False, True


class Kernel(Protocol):
    """A pair (T, T*) on plain tensors, batched over every leading axis."""

    def forward(self, u: Tensor) -> Tensor:
        """T u."""
        ...

    def adjoint(self, v: Tensor) -> Tensor:
        """T* v."""
        ...


def apply_kernel(kernel: Kernel, u: Tensor) -> Tensor:
    """T u, differentiable any number of times, forwards and backwards, and under ``vmap``.

    Args:
        kernel: T and T* on plain tensors.
        u: Argument of T, with any leading axes.
    """
    return _Apply.apply(u, kernel, FORWARD)


def apply_kernel_adjoint(kernel: Kernel, v: Tensor) -> Tensor:
    """T* v, differentiable any number of times, forwards and backwards, and under ``vmap``.

    Args:
        kernel: T and T* on plain tensors.
        v: Argument of T*, with any leading axes.
    """
    return _Apply.apply(v, kernel, ADJOINT)


def needs_rule(x: Tensor) -> bool:
    """True where the backward pass should be T*, not the derivative of every single operation.

    Without gradients T's own rule saves nothing, and compilers trace the operations themselves.

    Args:
        x: Argument of T or T*.
    """
    return x.requires_grad and not torch.compiler.is_compiling()


class _Apply(torch.autograd.Function):
    """x ↦ Tx or T*x; its derivative is itself and its transposed derivative the other one."""

    @staticmethod
    def forward(x: Tensor, kernel: Kernel, transpose: bool) -> Tensor:  # noqa: FBT001 - by position in torch's calls
        return kernel.adjoint(x) if transpose else kernel.forward(x)

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Tensor, Kernel, bool], output: Tensor) -> None:  # noqa: ARG004 - by torch's protocol
        _, ctx.kernel, ctx.transpose = inputs

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor, None, None]:
        return _Apply.apply(grad, ctx.kernel, not ctx.transpose), None, None

    @staticmethod
    def jvp(ctx: Context, tangent: Tensor, *_: None) -> Tensor:
        return _Apply.apply(tangent, ctx.kernel, ctx.transpose)

    @staticmethod
    def vmap(
        info: object,  # noqa: ARG004 - by torch's protocol
        in_dims: tuple[int | None, None, None],
        x: Tensor,
        kernel: Kernel,
        transpose: bool,  # noqa: FBT001 - by position in torch's calls
    ) -> tuple[Tensor, int]:
        moved = x if in_dims[0] is None else x.movedim(in_dims[0], 0)
        return _Apply.apply(moved, kernel, transpose), 0
