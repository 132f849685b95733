"""The ray transform and its adjoint as functions that PyTorch differentiates, maps and compiles.

In eager mode they are a `torch.autograd.Function`, whose `jvp` gives forward-mode derivatives: an
operator of `torch.library` alone has zeros in their place, without an error. `torch.compile` in
turn refuses a Function with a `jvp`, so it sees the operators `learnedrecon::ray_forward` and
`ray_adjoint`. Both run the same kernels, and everything about a scan that may change from batch to
batch is in a tensor, so that compiled code serves every geometry of the same sizes.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd import forward_ad

from learnedrecon.kernels import joseph
from learnedrecon.kernels.sizes import Sizes

if TYPE_CHECKING:
    from types import ModuleType

    from torch import Tensor

    Dims = tuple[int | None, int | None, None, None]

FORWARD, ADJOINT = False, True
# Modules with project(image, vectors, sizes) and backproject(data, vectors, sizes), by the number
# of axes of the image.
_KERNELS: dict[int, ModuleType] = {2: joseph}


def ray_forward(image: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
    """T u. Nothing is checked.

    Args:
        image: u, (*lead, *sizes.shape), float32 or float64.
        vectors: (*lead, angles, components) float64, sound; leading axes broadcast with those of
            the image, so that samples may have geometries of their own.
        sizes: of the scan.

    Returns:
        (*lead, angles, *sizes.detectors).
    """
    return _apply(image, vectors, sizes, FORWARD)


def ray_adjoint(data: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
    """T* v for v (*lead, angles, *sizes.detectors); see :func:`ray_forward`."""
    return _apply(data, vectors, sizes, ADJOINT)


def _apply(x: Tensor, vectors: Tensor, sizes: Sizes, transpose: bool) -> Tensor:  # noqa: FBT001
    if not torch.compiler.is_compiling():
        return _Rays.apply(x, vectors, sizes, transpose)
    if _transforms_are_active() or forward_ad._current_level >= 0:  # noqa: SLF001
        return _interrupted(x, vectors, sizes, transpose)
    return (_adjoint_op if transpose else _forward_op)(x, vectors, *sizes)


def _evaluate(x: Tensor, vectors: Tensor, sizes: Sizes, transpose: bool) -> Tensor:  # noqa: FBT001
    """Tx or T*x on plain tensors, with one geometry or one for each sample."""
    module = _KERNELS[len(sizes.shape)]
    kernel = module.backproject if transpose else module.project
    if vectors.ndim == 2:
        return kernel(x, vectors, sizes)
    axes = _sample_axes(sizes, transpose)
    lead = torch.broadcast_shapes(x.shape[:-axes], vectors.shape[:-2])
    x = x.expand(*lead, *x.shape[-axes:])
    result = x.new_empty((*lead, *_result_shape(vectors, sizes, transpose)))
    own = vectors.reshape(*[1] * (len(lead) + 2 - vectors.ndim), *vectors.shape)
    for index in product(*map(range, own.shape[:-2])):
        part = tuple(
            slice(None) if size == 1 else slice(i, i + 1)
            for i, size in zip(index, own.shape[:-2], strict=True)
        )
        result[part] = kernel(x[part], own[index].contiguous(), sizes)
    return result


def _sample_axes(sizes: Sizes, transpose: bool) -> int:  # noqa: FBT001
    return len(sizes.detectors) + 1 if transpose else len(sizes.shape)


def _result_shape(vectors: Tensor, sizes: Sizes, transpose: bool) -> tuple[int, ...]:  # noqa: FBT001
    return sizes.shape if transpose else (vectors.shape[-2], *sizes.detectors)


# True sends every call through `Function.apply`, which is right and slow.
_transforms_are_active = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)  # noqa: SLF001


class _Rays(torch.autograd.Function):
    """(x, vectors) ↦ Tx or T*x, linear in x."""

    @classmethod
    def apply(cls, *arguments: Any) -> Tensor:  # noqa: ANN401
        """As inherited, without inspecting the signature of `forward` in every call.

        That takes longer than a small transform, and serves arguments with defaults only.
        """
        if _transforms_are_active():
            return super().apply(*arguments)
        return super(torch.autograd.Function, cls).apply(*arguments)  # type: ignore[misc]

    @staticmethod
    def forward(x: Tensor, vectors: Tensor, sizes: Sizes, transpose: bool) -> Tensor:  # noqa: FBT001
        return _evaluate(x, vectors, sizes, transpose)

    @staticmethod
    def setup_context(
        ctx: Any,  # noqa: ANN401
        inputs: tuple[Tensor, Tensor, Sizes, bool],
        output: Tensor,  # noqa: ARG004
    ) -> None:
        x, vectors, ctx.sizes, ctx.transpose = inputs
        ctx.set_materialize_grads(False)
        ctx.lead = x.shape[: -_sample_axes(ctx.sizes, ctx.transpose)]
        ctx.save_for_backward(vectors)
        ctx.save_for_forward(vectors)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, None, None, None]:  # noqa: ANN401
        (vectors,) = ctx.saved_tensors
        if grad is None or not ctx.needs_input_grad[0]:
            return None, None, None, None
        back = _Rays.apply(grad, vectors, ctx.sizes, not ctx.transpose)
        return _summed(back, ctx.lead, ctx.sizes, ctx.transpose), None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:  # noqa: ANN401
        (vectors,) = ctx.saved_tensors
        return _Rays.apply(tangent, vectors, ctx.sizes, ctx.transpose)

    @staticmethod
    def vmap(  # noqa: PLR0917 (six by PyTorch's protocol)
        info: Any,  # noqa: ANN401
        in_dims: Dims,
        x: Tensor,
        vectors: Tensor,
        sizes: Sizes,
        transpose: bool,  # noqa: FBT001
    ) -> tuple[Tensor, int]:
        x, vectors = _mapped(info.batch_size, in_dims, x, vectors, _sample_axes(sizes, transpose))
        return _Rays.apply(x, vectors, sizes, transpose), 0


_interrupted = torch.compiler.disable(
    _Rays.apply, reason="transforms of torch.func see no operators of torch.library"
)


def _summed(gradient: Tensor, lead: torch.Size, sizes: Sizes, transpose: bool) -> Tensor:  # noqa: FBT001
    """Undoes the broadcasting of the leading axes of x."""
    axes = _sample_axes(sizes, transpose)
    if gradient.shape[:-axes] == lead:
        return gradient
    return gradient.sum_to_size(*lead, *gradient.shape[-axes:])


def _mapped(
    batch: int, in_dims: Dims, x: Tensor, vectors: Tensor, axes: int
) -> tuple[Tensor, Tensor]:
    """Both with the mapped axis in front, which is one more leading axis."""
    x_dim, vectors_dim = in_dims[:2]
    x = x.expand(batch, *x.shape) if x_dim is None else x.movedim(x_dim, 0)
    if vectors_dim is None:
        return x, vectors
    vectors = vectors.movedim(vectors_dim, 0)
    missing = max(x.ndim - axes - (vectors.ndim - 2), 0)
    return x, vectors.reshape(batch, *[1] * missing, *vectors.shape[1:])


_ARGUMENTS = "Tensor vectors, bool diverging, int[] detectors, int[] shape, float[] pixel"


def _sizes_of(constants: tuple[Any, ...]) -> Sizes:
    diverging, detectors, shape, pixel = constants
    return Sizes(diverging, tuple(detectors), tuple(shape), tuple(pixel))


def _define(name: str, transpose: bool) -> Any:  # noqa: ANN401, FBT001
    """An operator of torch.library that works on plain tensors and knows its shapes and vmap."""

    @torch.library.custom_op(
        f"learnedrecon::{name}", mutates_args=(), schema=f"(Tensor x, {_ARGUMENTS}) -> Tensor"
    )
    def operator(x: Tensor, vectors: Tensor, *constants: Any) -> Tensor:  # noqa: ANN401
        return _evaluate(x, vectors, _sizes_of(constants), transpose)

    @operator.register_fake
    def _(x: Tensor, vectors: Tensor, *constants: Any) -> Tensor:  # noqa: ANN401
        sizes = _sizes_of(constants)
        lead = torch.broadcast_shapes(
            x.shape[: -_sample_axes(sizes, transpose)], vectors.shape[:-2]
        )
        return x.new_empty((*lead, *_result_shape(vectors, sizes, transpose)))

    @operator.register_vmap
    def _(info: Any, in_dims: Dims, x: Tensor, vectors: Tensor, *constants: Any) -> Any:  # noqa: ANN401
        axes = _sample_axes(_sizes_of(constants), transpose)
        return operator(*_mapped(info.batch_size, in_dims, x, vectors, axes), *constants), 0

    return operator


_forward_op = _define("ray_forward", FORWARD)
_adjoint_op = _define("ray_adjoint", ADJOINT)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401, ARG001
    x, vectors, *constants = inputs
    ctx.sizes = _sizes_of(tuple(constants))
    ctx.x_shape = x.shape
    ctx.save_for_backward(vectors)


def _pull_back_forward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
    back = _adjoint_op(grad, *ctx.saved_tensors, *ctx.sizes)
    return back.sum_to_size(ctx.x_shape), None, None, None, None, None


def _pull_back_adjoint(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
    back = _forward_op(grad, *ctx.saved_tensors, *ctx.sizes)
    return back.sum_to_size(ctx.x_shape), None, None, None, None, None


_forward_op.register_autograd(_pull_back_forward, setup_context=_remember)
_adjoint_op.register_autograd(_pull_back_adjoint, setup_context=_remember)
