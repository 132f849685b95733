"""The non-uniform Fourier transform as a function that PyTorch differentiates and maps.

    (F_k u)_j = n^(-1/2) Σ_x u(x) exp(-i k_j·x),    (F_k* v)(x) = n^(-1/2) Σ_j v_j exp(i k_j·x)

over pixels x from -⌊n/2⌋ along each axis, n the number of all pixels. The sums are those of FINUFFT
(Barnett, Magland, af Klinteberg, SIAM J. Sci. Comput. 41(5), 2019) through pytorch-finufft, to a
relative accuracy of 1e-6 in complex64 and 1e-12 in complex128. Forward and adjoint spread with the
same kernel, so they are adjoint to rounding.

A derivative in k is a transform of u times i·x, so every derivative is made of the two transforms.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from learnedrecon.compiling import real_of, uncompiled
from learnedrecon.errors import MissingExtraError, describe
from learnedrecon.operators.ray.compiled import mapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from learnedrecon.compiling import Context

    Shape = tuple[int, ...]

FORWARD, ADJOINT = False, True
_EPS = {torch.complex64: 1e-6, torch.complex128: 1e-12}
_UPSAMPLING = (1.75, 1.9, 1.6, 2.0)
_SLOW_MULTIPLE = 128


def nufft(image: Tensor, points: Tensor, shape: Shape) -> Tensor:
    """F_k u, differentiable any number of times in u and in k, without checks.

    Args:
        image: u, (*lead, *shape), complex64 or complex128.
        points: Frequencies k in radians per pixel, (*lead, number, len(shape)), float64; leading
            axes broadcast with those of the image. FINUFFT is called once per set of points.
        shape: Shape of the image.

    Returns:
        Data (*lead, number).

    Raises:
        MissingExtraError: The package pytorch-finufft is not installed.
    """
    return _apply(image, points, shape, FORWARD)


def nufft_adjoint(data: Tensor, points: Tensor, shape: Shape) -> Tensor:
    """F_k* v, differentiable any number of times in v and in k, without checks.

    Args:
        data: v, (*lead, number), complex64 or complex128.
        points: Frequencies k, as in :func:`nufft`.
        shape: Shape of the image.

    Returns:
        Image (*lead, *shape).

    Raises:
        MissingExtraError: The package pytorch-finufft is not installed.
    """
    return _apply(data, points, shape, ADJOINT)


@uncompiled
def _apply(x: Tensor, points: Tensor, shape: Shape, transpose: bool) -> Tensor:  # noqa: FBT001 - by position in torch's calls
    """FINUFFT is no operator of PyTorch."""
    return _Nufft.apply(x, points, shape, transpose)


class _Nufft(torch.autograd.Function):
    """(x, k) ↦ F_k x or F_k* x."""

    @staticmethod
    def forward(x: Tensor, points: Tensor, shape: Shape, transpose: bool) -> Tensor:  # noqa: FBT001 - by position in torch's calls
        return _evaluate(x, points, shape, transpose=transpose)

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004 - by torch's protocol
        x, points, ctx.shape, ctx.transpose = inputs
        ctx.x_shape = x.shape
        ctx.save_for_backward(points, *[x] * ctx.needs_input_grad[1])
        ctx.save_for_forward(points, x)

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        points, *x = ctx.saved_tensors
        back = own = None
        if ctx.needs_input_grad[0]:
            back = _Nufft.apply(grad, points, ctx.shape, not ctx.transpose)
            back = back if back.shape == ctx.x_shape else back.sum_to_size(ctx.x_shape)
        if x:
            image, data = (grad, x[0]) if ctx.transpose else (x[0], grad)
            own = _slope_in_points(image, data, points, ctx.shape)
        return back, own, None, None

    @staticmethod
    def jvp(ctx: Context, dx: Tensor | None, dpoints: Tensor | None, *_: None) -> Tensor | None:
        points, x = ctx.saved_tensors
        parts = []
        if dx is not None:
            parts.append(_Nufft.apply(dx, points, ctx.shape, ctx.transpose))
        if dpoints is not None:
            along = _along_adjoint if ctx.transpose else _along_forward
            parts.append(along(x, points, dpoints, ctx.shape))
        return sum(parts[1:], parts[0]) if parts else None

    @staticmethod
    def vmap(  # noqa: PLR0917 (six by PyTorch's protocol)
        info: Any,  # noqa: ANN401 - torch's
        in_dims: tuple[int | None, ...],
        x: Tensor,
        points: Tensor,
        shape: Shape,
        transpose: bool,  # noqa: FBT001 - by position in torch's calls
    ) -> tuple[Tensor, int]:
        axes = 1 if transpose else len(shape)
        if in_dims[1] is None:
            (x,) = mapped(info.batch_size, in_dims[:1], (x,), (axes,))
        else:
            x, points = mapped(info.batch_size, in_dims[:2], (x, points), (axes, 2))
        return _Nufft.apply(x, points, shape, transpose), 0


def _slope_in_points(image: Tensor, data: Tensor, points: Tensor, shape: Shape) -> Tensor:
    """∂Re⟨F_k u, v⟩/∂k_a = Re(conj(F_k(-i x_a u)) v), summed over what k broadcasts to."""
    slopes = [
        (_Nufft.apply(-1j * x * image, points, shape, FORWARD).conj() * data).real
        for x in _pixels(shape, image)
    ]
    return torch.stack(slopes, dim=-1).to(points.dtype).sum_to_size(points.shape)


def _along_forward(image: Tensor, points: Tensor, direction: Tensor, shape: Shape) -> Tensor:
    """The derivative of F_k u along a direction, Σ_a dk_a F_k(-i x_a u)."""
    parts = [
        _Nufft.apply(-1j * x * image, points, shape, FORWARD) * d.to(x.dtype)
        for x, d in zip(_pixels(shape, image), direction.unbind(-1), strict=True)
    ]
    return sum(parts[1:], parts[0])


def _along_adjoint(data: Tensor, points: Tensor, direction: Tensor, shape: Shape) -> Tensor:
    """The derivative of F_k* v along a direction, Σ_a i x_a F_k*(dk_a v)."""
    parts = [
        1j * x * _Nufft.apply(d.to(x.dtype) * data, points, shape, ADJOINT)
        for x, d in zip(_pixels(shape, data), direction.unbind(-1), strict=True)
    ]
    return sum(parts[1:], parts[0])


def _pixels(shape: Shape, like: Tensor) -> list[Tensor]:
    """The coordinate x of every pixel along each axis, real, to broadcast against an image."""
    real, last = real_of(like.dtype), len(shape) - 1
    return [
        torch.arange(-(n // 2), n - n // 2, dtype=real, device=like.device).reshape(
            n, *[1] * (last - axis)
        )
        for axis, n in enumerate(shape)
    ]


def _evaluate(x: Tensor, points: Tensor, shape: Shape, *, transpose: bool) -> Tensor:
    """All samples of one point set in one call."""
    own = 1 if transpose else len(shape)
    lead = torch.broadcast_shapes(x.shape[:-own], points.shape[:-2])
    sets = (*[1] * (len(lead) - points.ndim + 2), *points.shape[:-2])
    apart = [axis for axis, size in enumerate(sets) if size > 1]
    together = [axis for axis, size in enumerate(sets) if size == 1]
    data_axes = range(len(lead), len(lead) + own)
    x = x.expand(*lead, *x.shape[-own:]).permute(*apart, *together, *data_axes)
    number = math.prod(sets)
    groups = x.reshape(number, math.prod(lead) // max(number, 1), *x.shape[-own:])
    flat = points.reshape(number, *points.shape[-2:])
    calls = [
        _call(group, k, shape, transpose=transpose)
        for group, k in zip(groups.unbind(), flat.unbind(), strict=True)
    ]
    value = torch.stack(calls) if len(calls) > 1 else calls[0]
    ordered = [lead[axis] for axis in (*apart, *together)]
    value = value.reshape(*ordered, *(shape if transpose else points.shape[-2:-1]))
    kept = range(len(lead), value.ndim)
    return value.permute(*sorted(range(len(lead)), key=[*apart, *together].__getitem__), *kept)


def _call(x: Tensor, points: Tensor, shape: Shape, *, transpose: bool) -> Tensor:
    """One call: x (number, ...) of one point set (points, axes)."""
    size = shape if transpose else points.shape[:1]
    if not x.numel():
        return x.new_zeros(*x.shape[:1], *size)
    spread, interpolate = _library()
    x = x.resolve_conj().contiguous()
    k = points.to(real_of(x.dtype)).T.contiguous()
    options = {"eps": _EPS[x.dtype], "modeord": 0, "isign": 1 if transpose else -1}
    if x.dtype == torch.complex64:
        options["upsampfac"] = _upsampling(shape)
    if x.device.type == "cpu":
        options["nthreads"] = torch.get_num_threads()
    value = spread(k, x, shape, **options) if transpose else interpolate(k, x, **options)
    return value / math.sqrt(math.prod(shape))


@lru_cache(maxsize=128)
def _upsampling(shape: Shape) -> float:
    """The refinement of FINUFFT's grid in single precision, for a fast FFT.

    The plans that FFTW estimates for complex64 take up to ten times longer where a size is a
    multiple of 128, which is where the usual factor 2 leads. (Measured plans are fast everywhere,
    but take seconds to make and differ between runs in the last bit.)
    """
    return next(
        (
            factor
            for factor in _UPSAMPLING
            if all(_fine(math.ceil(factor * n)) % _SLOW_MULTIPLE for n in shape)
        ),
        _UPSAMPLING[0],
    )


def _fine(least: int) -> int:
    """The smallest even number from ``least`` without prime factors above 5."""
    size = least + least % 2
    while 30 ** size.bit_length() % size:
        size += 2
    return size


@lru_cache(maxsize=1)
def _library() -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """The types 1 and 2 of pytorch-finufft."""
    try:
        from pytorch_finufft.functional import (  # noqa: PLC0415 (an extra)
            finufft_type1,
            finufft_type2,
        )
    except ImportError as error:
        raise MissingExtraError(
            describe(
                expected="pytorch-finufft to be installed, for non-Cartesian trajectories",
                found=str(error),
                fix="run: pip install 'learnedrecon[nufft]'",
            )
        ) from error
    return finufft_type1, finufft_type2
