"""The ray transform and its adjoint as functions that autograd, ``vmap`` and compilers accept.

In eager mode they are a `torch.autograd.Function`, whose `jvp` gives forward-mode derivatives: an
operator of `torch.library` alone returns zeros there, without an error. `torch.compile` refuses a
Function with a `jvp`, so it gets the operators of :mod:`compiled`, except inside of transforms of
`torch.func`, where compilation stops. Both run the same kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch.autograd import forward_ad

from learnedrecon.compiling import uncompiled
from learnedrecon.errors import DifferentiationError, describe
from learnedrecon.operators.ray import batched_kernels, compiled

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.compiling import Context
    from learnedrecon.kernels.sizes import Sizes
    from learnedrecon.operators.ray.compiled import Dims

FORWARD, ADJOINT = False, True
# True sends every call through `Function.apply`, which is right and slow.
transforms_are_active = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)  # noqa: SLF001 - torch has no public name


def ray_forward(image: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
    """T u, differentiable any number of times in u and once in the vectors. Nothing is checked.

    Args:
        image: u, (*lead, *sizes.shape), float32 or float64.
        vectors: Poses (*lead, angles, components), float64, finite; leading axes broadcast with
            those of the image, so that samples may have geometries of their own. Derivatives in
            them need a scan in two dimensions.
        sizes: Sizes and constants of the scan.

    Returns:
        Data, (*lead, angles, *sizes.detectors).

    Raises:
        DifferentiationError: A second derivative in the vectors is taken.
        GeometryError: A derivative in the vectors of a scan in 3D is taken.
    """
    return _apply(image, vectors, sizes, FORWARD)


def ray_adjoint(data: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
    """T* v, differentiable as :func:`ray_forward` is. Nothing is checked.

    Args:
        data: v, (*lead, angles, *sizes.detectors), float32 or float64.
        vectors: Poses, as in :func:`ray_forward`.
        sizes: Sizes and constants of the scan.

    Returns:
        Image, (*lead, *sizes.shape).

    Raises:
        DifferentiationError: A second derivative or a forward-mode derivative in the vectors is
            taken.
    """
    return _apply(data, vectors, sizes, ADJOINT)


def _apply(x: Tensor, vectors: Tensor, sizes: Sizes, transpose: bool) -> Tensor:  # noqa: FBT001 - by position in torch's calls
    if not torch.compiler.is_compiling():
        return _Rays.apply(x, vectors, sizes, transpose)
    if transforms_are_active() or forward_ad._current_level >= 0:  # noqa: SLF001 - torch has no public name
        return _interrupted(x, vectors, sizes, transpose)
    return (compiled.adjoint if transpose else compiled.forward)(x, vectors, *sizes)


class _Rays(torch.autograd.Function):
    """(x, vectors) ↦ Tx or T*x, linear in x."""

    @classmethod
    def apply(cls, *arguments: Any) -> Tensor:  # noqa: ANN401 - whatever the function takes
        """As inherited, without inspecting the signature of `forward` in every call.

        That takes longer than a small transform, and serves arguments with defaults only.
        """
        if transforms_are_active():
            return super().apply(*arguments)
        return super(torch.autograd.Function, cls).apply(*arguments)  # type: ignore[misc]

    @staticmethod
    def forward(x: Tensor, vectors: Tensor, sizes: Sizes, transpose: bool) -> Tensor:  # noqa: FBT001 - by position in torch's calls
        if torch.compiler.is_compiling():  # which may begin here, where it has left the caller
            return (compiled.adjoint if transpose else compiled.forward)(x, vectors, *sizes)
        return batched_kernels.evaluate(x, vectors, sizes, transpose=transpose)

    @staticmethod
    def setup_context(
        ctx: Context,
        inputs: tuple[Tensor, Tensor, Sizes, bool],
        output: Tensor,  # noqa: ARG004 - by torch's protocol
    ) -> None:
        x, vectors, ctx.sizes, ctx.transpose = inputs
        ctx.set_materialize_grads(False)
        ctx.x_shape = x.shape
        ctx.save_for_backward(vectors, *[x] * ctx.needs_input_grad[1])
        ctx.save_for_forward(vectors, x)

    @staticmethod
    def backward(
        ctx: Context, grad: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, None, None]:
        if grad is None:
            return None, None, None, None
        vectors, *x = ctx.saved_tensors
        back = own = None
        if ctx.needs_input_grad[0]:
            back = _Rays.apply(grad, vectors, ctx.sizes, not ctx.transpose)
            back = back if back.shape == ctx.x_shape else back.sum_to_size(ctx.x_shape)
        if x:
            image, data = (grad, x[0]) if ctx.transpose else (x[0], grad)
            own = _Gradient.apply(image, data, vectors, ctx.sizes)
        return back, own, None, None

    @staticmethod
    def jvp(ctx: Context, dx: Tensor | None, dvectors: Tensor | None, *_: None) -> Tensor | None:
        vectors, x = ctx.saved_tensors
        parts = []
        if dx is not None:
            parts.append(_Rays.apply(dx, vectors, ctx.sizes, ctx.transpose))
        if dvectors is not None:
            if ctx.transpose:
                _refuse("a forward-mode derivative of T*")
            parts.append(_Tangent.apply(x, vectors, dvectors, ctx.sizes))
        return sum(parts[1:], parts[0]) if parts else None

    @staticmethod
    def vmap(  # noqa: PLR0917 (six by PyTorch's protocol)
        info: Any,  # noqa: ANN401 - torch's
        in_dims: Dims,
        x: Tensor,
        vectors: Tensor,
        sizes: Sizes,
        transpose: bool,  # noqa: FBT001 - by position in torch's calls
    ) -> tuple[Tensor, int]:
        axes = batched_kernels.axes_of(sizes, data=transpose)
        if in_dims[1] is None:  # all samples share one geometry, and interpolation weights
            (x,) = compiled.mapped(info.batch_size, in_dims[:1], (x,), (axes,))
        else:
            x, vectors = compiled.mapped(info.batch_size, in_dims, (x, vectors), (axes, 2))
        return _Rays.apply(x, vectors, sizes, transpose), 0


@uncompiled
def _interrupted(x: Tensor, vectors: Tensor, sizes: Sizes, transpose: bool) -> Tensor:  # noqa: FBT001 - by position in torch's calls
    """Transforms of torch.func see no operators of torch.library."""
    return _Rays.apply(x, vectors, sizes, transpose)


class _Once(torch.autograd.Function):
    """A derivative in the geometry, which has none of its own."""

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Nothing to remember."""

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> NoReturn:  # noqa: ARG004 - by torch's protocol
        _refuse("a second derivative")

    @staticmethod
    def jvp(ctx: Context, *tangents: Tensor | None) -> NoReturn:  # noqa: ARG004 - by torch's protocol
        _refuse("a second derivative")


class _Gradient(_Once):
    """(u, v, vectors) ↦ ∂⟨Tu, v⟩/∂vectors."""

    @staticmethod
    def forward(image: Tensor, data: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
        return compiled.gradient(image, data, vectors, *sizes)

    @staticmethod
    def vmap(info: Any, in_dims: Dims, *arguments: Any) -> tuple[Tensor, int]:  # noqa: ANN401 - whatever the function takes
        *tensors, sizes = arguments
        axes = (len(sizes.shape), batched_kernels.axes_of(sizes, data=True), 2)
        tensors = compiled.mapped(info.batch_size, in_dims, tuple(tensors), axes)
        return _Gradient.apply(*tensors, sizes), 0


class _Tangent(_Once):
    """(u, vectors, dvectors) ↦ the derivative of Tu along dvectors."""

    @staticmethod
    def forward(image: Tensor, vectors: Tensor, direction: Tensor, sizes: Sizes) -> Tensor:
        return compiled.tangent(image, vectors, direction, *sizes)

    @staticmethod
    def vmap(info: Any, in_dims: Dims, *arguments: Any) -> tuple[Tensor, int]:  # noqa: ANN401 - whatever the function takes
        *tensors, sizes = arguments
        axes = (len(sizes.shape), 2, 2)
        tensors = compiled.mapped(info.batch_size, in_dims, tuple(tensors), axes)
        return _Tangent.apply(*tensors, sizes), 0


def _refuse(what: str) -> NoReturn:
    raise DifferentiationError(
        describe(
            expected="first derivatives in angles, axis offset or vectors, and forward-mode ones"
            " of T alone",
            found=what,
            fix="detach the tensors of the geometry, or take differences of first derivatives",
        )
    )
