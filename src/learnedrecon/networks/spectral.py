"""Upper bounds of the norm of convolutions as operators on images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch

from learnedrecon.errors import ConfigError, ShapeError, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

Padding: TypeAlias = Literal["zeros", "circular", "reflect", "symmetric"]
_SQUARINGS = 6
_POINTS = 16


def conv_norm_bound(
    weight: Tensor,
    *,
    padding: Padding = "zeros",
    shape: Sequence[int] | None = None,
    points: int = _POINTS,
) -> Tensor:
    """An upper bound of ‖K‖ for a multi-channel convolution K with 'same' padding and stride 1.

    The circular convolution on a grid is block diagonal in the Fourier basis, with the (out × in)
    symbol of the kernel at every frequency (Sedghi, Gupta, Long 2019); its norm is the largest
    singular value of a block. Zero padding restricts the circular convolution on a grid of at
    least n + k - 1 points, so it has at most its norm. Reflecting paddings extend the image first,
    by an operator of norm at most √2 per axis for borders no wider than the image.

    With a ``shape``, the frequencies are those of that grid. Without one, the bound holds on images
    of every size: on ``points`` frequencies per axis a trigonometric polynomial of degree d attains
    at least cos(πd/points) of its maximum (M. Riesz; Ehlich, Zeller 1964). Singular values are
    bounded from above by Gram iteration, ‖S‖² ≤ ‖(S*S)^(2^t)‖_F^(1/2^t) (Delattre et al. 2023),
    within n^(1/2^(t+2)) - 1 of the truth: 1.4 % for 32 channels. The bound is differentiable.

    Args:
        weight: Weight (out, in, *kernel) with odd widths, float32 or float64.
        padding: Padding of the border.
        shape: Shape of the image, or None for all sizes.
        points: Number of frequencies per axis where no shape is given, above the kernel's width.

    Returns:
        Scalar in the precision of ``weight``, with a margin for its rounding. It bounds the
        convolution in exact arithmetic; one in half precision or TF32 rounds by up to 0.4 %.

    Raises:
        ShapeError: There are no kernel axes, widths are even, or the shape has another number of
            axes.
        ConfigError: There are too few points, or the padding is unknown.
    """
    kernel = tuple(weight.shape[2:])
    _require_kernel(kernel, shape)
    slack = 1.0 + (100 + 4 * sum(weight.shape[:2])) * torch.finfo(weight.dtype).eps
    if shape is None:
        if points <= max(kernel):
            raise ConfigError(
                describe(
                    expected=f"more points than the kernel is wide, {max(kernel)}",
                    found=f"points = {points}",
                    fix="use at least 4 times the width for a bound within a few percent",
                )
            )
        grid = (points,) * len(kernel)
        for width in kernel:
            slack /= math.cos(math.pi * (width - 1) / 2 / points)
    else:
        grid = tuple(_period(padding, n, k) for n, k in zip(shape, kernel, strict=True))
    return slack * _extension(padding, len(kernel)) * symbol_norm_bound(symbol(weight, grid))


def symbol(weight: Tensor, grid: Sequence[int]) -> Tensor:
    """The (out × in) matrices of the circular convolution at half of the frequencies of a grid.

    Args:
        weight: Real weight (out, in, *kernel); kernels wider than the grid wrap around.
        grid: Number of points per axis.

    Returns:
        Complex matrices (frequencies, out, in). The other half are their conjugates.
    """
    for axis, points in enumerate(grid, start=2):
        weight = _wrapped(weight, axis, points)
    spectrum = torch.fft.rfftn(weight, s=tuple(grid), dim=tuple(range(2, weight.ndim)))
    return spectrum.flatten(2).permute(2, 0, 1)


def symbol_norm_bound(matrices: Tensor, squarings: int = _SQUARINGS) -> Tensor:
    """An upper bound of the largest singular value of a batch of matrices.

    Args:
        matrices: Matrices (batch, m, n).
        squarings: Number t of squarings in the Gram iteration.
    """
    largest = torch.view_as_real(matrices.detach()).abs().max()
    scale = torch.where(largest > 0, largest, torch.ones_like(largest))
    matrices = matrices / scale
    tall = matrices.shape[1] >= matrices.shape[2]
    gram = matrices.mH @ matrices if tall else matrices @ matrices.mH
    tiny = torch.finfo(gram.real.dtype).tiny
    logarithm = torch.zeros(len(gram), dtype=gram.real.dtype, device=gram.device)
    for _ in range(squarings):
        size = _frobenius(gram).clamp(min=tiny)
        gram = gram / size[:, None, None]
        gram = gram @ gram
        logarithm = 2 * (logarithm + size.log())
    logarithm = logarithm + _frobenius(gram).clamp(min=tiny).log()
    return scale * (logarithm.max() / 2 ** (squarings + 1)).exp()


def _frobenius(matrices: Tensor) -> Tensor:
    squares = torch.view_as_real(matrices).square().flatten(1).sum(1)
    return squares.clamp(min=torch.finfo(squares.dtype).tiny).sqrt()


def _wrapped(weight: Tensor, axis: int, points: int) -> Tensor:
    parts = weight.split(points, dim=axis)
    if len(parts) == 1:
        return weight
    whole = parts[0]
    for part in parts[1:]:
        missing = points - part.shape[axis]
        filler = part.new_zeros([missing if a == axis else n for a, n in enumerate(part.shape)])
        whole = whole + torch.cat([part, filler], dim=axis)
    return whole


def _period(padding: Padding, points: int, width: int) -> int:
    match padding:
        case "zeros":
            return points + width - 1
        case "circular":
            return points
        case "reflect":
            return max(1, 2 * points - 2)
        case _:
            return 2 * points


def _extension(padding: Padding, axes: int) -> float:
    match padding:
        case "zeros" | "circular":
            return 1.0
        case "reflect" | "symmetric":
            return math.sqrt(2.0) ** axes
        case _:
            raise ConfigError(
                describe(
                    expected="padding 'zeros', 'circular', 'reflect' or 'symmetric'",
                    found=f"padding = {padding!r}",
                    fix="use one of these; the norms of others depend on the width",
                )
            )


def _require_kernel(kernel: tuple[int, ...], shape: Sequence[int] | None) -> None:
    if not kernel or any(width % 2 == 0 for width in kernel):
        raise ShapeError(
            describe(
                expected="weights (out, in, *kernel) with odd widths",
                found=f"kernel widths {kernel}",
                fix="use a kernel of width 1, 3, 5, ...",
            )
        )
    if shape is not None and len(shape) != len(kernel):
        raise ShapeError(
            describe(
                expected=f"an image shape of {len(kernel)} axes",
                found=str(tuple(shape)),
                fix="give only the space axes",
            )
        )
