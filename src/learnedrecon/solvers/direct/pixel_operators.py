"""Pixel-driven backprojection for autograd, ``vmap`` and compilers.

In eager mode it is an autograd function with forward-mode derivatives
(:mod:`learnedrecon.operators.autograd`). ``torch.compile`` and ``torch.export`` get
``learnedrecon::pixel_gather`` and ``pixel_scatter``, each of which is the derivative of the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.autograd import forward_ad

from learnedrecon.compiling import uncompiled
from learnedrecon.kernels import pixels
from learnedrecon.kernels.pixel_sizes import PixelSizes
from learnedrecon.operators.autograd import apply_kernel
from learnedrecon.operators.ray.autograd import transforms_are_active

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.solvers.direct.backprojection import Backprojection

_CONSTANTS = "str kind, float rate, int detectors, int[] shape, float[] pixel"


def backprojected(kernel: Backprojection, data: Tensor) -> Tensor:
    """The backprojection of data, differentiable in them any number of times.

    Args:
        kernel: Backprojection of a scan.
        data: Filtered data, (..., angle, detector).
    """
    if not torch.compiler.is_compiling():
        return apply_kernel(kernel, data)
    if transforms_are_active() or forward_ad._current_level >= 0:  # noqa: SLF001 - torch has no public name
        return _interrupted(kernel, data)
    return gather(data, kernel.views, *kernel.sizes)


@uncompiled
def _interrupted(kernel: Backprojection, data: Tensor) -> Tensor:
    """Transforms of torch.func see no operators of torch.library."""
    return apply_kernel(kernel, data)


def _sizes_of(constants: tuple[Any, ...]) -> PixelSizes:
    kind, rate, detectors, shape, pixel = constants
    return PixelSizes(kind, rate, detectors, tuple(shape), tuple(pixel))


@torch.library.custom_op(
    "learnedrecon::pixel_gather",
    mutates_args=(),
    schema=f"(Tensor data, Tensor views, {_CONSTANTS}) -> Tensor",
)
def gather(data: Tensor, views: Tensor, *constants: Any) -> Tensor:  # noqa: ANN401 - whatever the function takes
    """:func:`learnedrecon.kernels.pixels.backproject` in a compiled graph.

    Args:
        data: Data (*lead, angles, detectors).
        views: Coefficients (angles, 8) float64 of the views.
        constants: Sizes and constants of the scan, flattened for ``torch.library``.
    """
    return pixels.backproject(data, views, _sizes_of(constants))


@torch.library.custom_op(
    "learnedrecon::pixel_scatter",
    mutates_args=(),
    schema=f"(Tensor image, Tensor views, {_CONSTANTS}) -> Tensor",
)
def scatter(image: Tensor, views: Tensor, *constants: Any) -> Tensor:  # noqa: ANN401 - whatever the function takes
    """:func:`learnedrecon.kernels.pixels.project` in a compiled graph.

    Args:
        image: Images (*lead, ny, nx).
        views: Coefficients (angles, 8) float64 of the views.
        constants: Sizes and constants of the scan, flattened for ``torch.library``.
    """
    return pixels.project(image, views, _sizes_of(constants))


@gather.register_fake
def _(data: Tensor, views: Tensor, *constants: Any) -> Tensor:  # noqa: ANN401, ARG001 - whatever the function takes
    return data.new_empty((*data.shape[:-2], *_sizes_of(constants).shape))


@scatter.register_fake
def _(image: Tensor, views: Tensor, *constants: Any) -> Tensor:  # noqa: ANN401 - whatever the function takes
    return image.new_empty((*image.shape[:-2], len(views), _sizes_of(constants).detectors))


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401, ARG001 - the context of torch
    _, ctx.views, *ctx.constants = inputs


def _pull_back_gather(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - the context of torch
    return scatter(grad, ctx.views, *ctx.constants), *[None] * 6


def _pull_back_scatter(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - the context of torch
    return gather(grad, ctx.views, *ctx.constants), *[None] * 6


gather.register_autograd(_pull_back_gather, setup_context=_remember)
scatter.register_autograd(_pull_back_scatter, setup_context=_remember)
