"""The ray transform as operators of `torch.library`, for `torch.compile`.

`learnedrecon::ray_forward` and `ray_adjoint` are each other's derivative; `ray_gradient` and
`ray_tangent` are the derivatives in the geometry. Everything about a scan that may change from
batch to batch is in a tensor, so that compiled code serves every geometry of the same sizes and
pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from learnedrecon.kernels.sizes import Sizes
from learnedrecon.operators.ray import batched_kernels

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.compiling import Context

    Dims = tuple[int | None, ...]

_CONSTANTS = "bool diverging, int[] detectors, int[] shape, float[] pixel"


def mapped(batch: int, in_dims: Dims, tensors: tuple[Tensor, ...], axes: tuple[int, ...]) -> Any:  # noqa: ANN401 - what torch.library takes
    """Tensors with the mapped axis of ``vmap`` in front, and with equally many leading axes.

    Args:
        batch: Size of the mapped axis.
        in_dims: Position of the mapped axis in each tensor, or None in a tensor without it.
        tensors: Tensors to prepare.
        axes: Number of last axes of each tensor that are not leading axes.
    """
    fronts = [
        tensor.expand(batch, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
        for tensor, dim in zip(tensors, in_dims, strict=False)
    ]
    most = max(front.ndim - own for front, own in zip(fronts, axes, strict=True))
    return tuple(
        front.reshape(batch, *[1] * (most - front.ndim + own), *front.shape[1:])
        for front, own in zip(fronts, axes, strict=True)
    )


def _sizes_of(constants: tuple[Any, ...]) -> Sizes:
    diverging, detectors, shape, pixel = constants
    return Sizes(diverging, tuple(detectors), tuple(shape), tuple(pixel))


def _define(name: str, *, transpose: bool) -> Any:  # noqa: ANN401 - what torch.library takes
    """T or T* on plain tensors, with the shape of its result and its vmap."""

    @torch.library.custom_op(
        f"learnedrecon::{name}",
        mutates_args=(),
        schema=f"(Tensor x, Tensor vectors, {_CONSTANTS}) -> Tensor",
    )
    def operator(x: Tensor, vectors: Tensor, *constants: Any) -> Tensor:  # noqa: ANN401 - whatever the function takes
        return batched_kernels.evaluate(x, vectors, _sizes_of(constants), transpose=transpose)

    @operator.register_fake
    def _(x: Tensor, vectors: Tensor, *constants: Any) -> Tensor:  # noqa: ANN401 - whatever the function takes
        sizes = _sizes_of(constants)
        return x.new_empty(batched_kernels.result_shape(x, vectors, sizes, transpose=transpose))

    @operator.register_vmap
    def _(info: Any, in_dims: Dims, x: Tensor, vectors: Tensor, *constants: Any) -> Any:  # noqa: ANN401 - whatever the function takes
        axes = (batched_kernels.axes_of(_sizes_of(constants), data=transpose), 2)
        tensors = mapped(info.batch_size, in_dims, (x, vectors), axes)
        return operator(*tensors, *constants), 0

    return operator


forward = _define("ray_forward", transpose=False)
adjoint = _define("ray_adjoint", transpose=True)


@torch.library.custom_op(
    "learnedrecon::ray_gradient",
    mutates_args=(),
    schema=f"(Tensor image, Tensor data, Tensor vectors, {_CONSTANTS}) -> Tensor",
)
def gradient(image: Tensor, data: Tensor, vectors: Tensor, *constants: Any) -> Tensor:  # noqa: ANN401 - whatever the function takes
    """∂⟨Tu, v⟩/∂vectors, without derivatives of its own.

    Args:
        image: u, (*lead, *shape).
        data: v, (*lead, angles, *detectors).
        vectors: Poses, (*lead, angles, components) float64.
        constants: Sizes and constants of the scan, flattened for `torch.library`.
    """
    return batched_kernels.gradient(image, data, vectors, _sizes_of(constants))


@gradient.register_fake
def _(image: Tensor, data: Tensor, vectors: Tensor, *constants: Any) -> Tensor:  # noqa: ANN401, ARG001 - whatever the function takes
    return torch.empty_like(vectors)


@torch.library.custom_op(
    "learnedrecon::ray_tangent",
    mutates_args=(),
    schema=f"(Tensor image, Tensor vectors, Tensor direction, {_CONSTANTS}) -> Tensor",
)
def tangent(image: Tensor, vectors: Tensor, direction: Tensor, *constants: Any) -> Tensor:  # noqa: ANN401 - whatever the function takes
    """The derivative of Tu along a direction in the vectors, without derivatives of its own.

    Args:
        image: u, (*lead, *shape).
        vectors: Poses, (*lead, angles, components) float64.
        direction: Direction, of the shape of the vectors.
        constants: Sizes and constants of the scan, flattened for `torch.library`.
    """
    return batched_kernels.tangent(image, vectors, direction, _sizes_of(constants))


@tangent.register_fake
def _(image: Tensor, vectors: Tensor, direction: Tensor, *constants: Any) -> Tensor:  # noqa: ANN401, ARG001 - whatever the function takes
    sizes = _sizes_of(constants)
    return image.new_empty(batched_kernels.result_shape(image, vectors, sizes, transpose=False))


def _remember(ctx: Context, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001 - what other kinds look at
    x, vectors, *constants = inputs
    ctx.sizes = _sizes_of(tuple(constants))
    ctx.x_shape = x.shape
    ctx.save_for_backward(vectors, *[x] * ctx.needs_input_grad[1])


def _pull_back_forward(ctx: Context, grad: Tensor) -> tuple[Tensor | None, ...]:
    vectors, *x = ctx.saved_tensors
    back = adjoint(grad, vectors, *ctx.sizes).sum_to_size(ctx.x_shape)
    geometry = gradient(x[0], grad, vectors, *ctx.sizes) if x else None
    return back, geometry, None, None, None, None


def _pull_back_adjoint(ctx: Context, grad: Tensor) -> tuple[Tensor | None, ...]:
    vectors, *x = ctx.saved_tensors
    back = forward(grad, vectors, *ctx.sizes).sum_to_size(ctx.x_shape)
    geometry = gradient(grad, x[0], vectors, *ctx.sizes) if x else None
    return back, geometry, None, None, None, None


forward.register_autograd(_pull_back_forward, setup_context=_remember)
adjoint.register_autograd(_pull_back_adjoint, setup_context=_remember)
