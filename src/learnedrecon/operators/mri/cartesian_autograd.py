"""The Cartesian transform as a function that autograd, ``vmap`` and compilers accept.

In eager mode it is a `torch.autograd.Function` whose backward pass is the adjoint and which stores
no coil images; `torch.compile` traces the plain composition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import pad

from learnedrecon.operators.mri.cartesian_kernel import sense_adjoint, sense_forward
from learnedrecon.operators.ray.autograd import transforms_are_active

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.compiling import Context
    from learnedrecon.operators.mri.measured_lines import Grid, Lines

FORWARD, ADJOINT = False, True


def sense(  # noqa: PLR0917 - by position in torch's calls
    x: Tensor,
    maps: Tensor | None,
    weights: Tensor,
    grid: Grid,
    lines: Lines | None,
    transpose: bool,  # noqa: FBT001 - by position in torch's calls
) -> Tensor:
    """The transforms of ``cartesian_kernel``, differentiable any number of times in x and maps.

    Args:
        x: Image, or data where ``transpose`` is true.
        maps: Coil maps, as in :func:`sense_forward`; the adjoint is conjugate-linear in them.
        weights: Weights of k-space, for which no gradient is computed.
        grid: Sizes and constants of the transform.
        lines: Measured lines, outside of which the weights are zero, or None.
        transpose: True for T*, False for T.
    """
    if torch.compiler.is_compiling():
        act = _plain_adjoint if transpose else _plain_forward
        return act(x, maps, weights, grid)
    return _Sense.apply(x, maps, weights, grid, lines, transpose)


class _Sense(torch.autograd.Function):
    """(x, S) ↦ T_S x, linear in both, or T_S* x, conjugate-linear in S."""

    @classmethod
    def apply(cls, *arguments: Any) -> Tensor:  # noqa: ANN401 - whatever the function takes
        """As inherited, without inspecting the signature of `forward` in every call."""
        if transforms_are_active():
            return super().apply(*arguments)
        return super(torch.autograd.Function, cls).apply(*arguments)  # type: ignore[misc]

    @staticmethod
    def forward(  # noqa: PLR0917 - by position in torch's calls
        x: Tensor,
        maps: Tensor | None,
        weights: Tensor,
        grid: Grid,
        lines: Lines | None,
        transpose: bool,  # noqa: FBT001 - by position in torch's calls
    ) -> Tensor:
        return (sense_adjoint if transpose else sense_forward)(x, maps, weights, grid, lines)

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004 - by torch's protocol
        x, maps, weights, ctx.grid, ctx.lines, ctx.transpose = inputs
        ctx.set_materialize_grads(False)
        ctx.x_shape = x.shape
        ctx.save_for_backward(maps, weights, *[x] * ctx.needs_input_grad[1])
        ctx.save_for_forward(maps, weights, x)

    @staticmethod
    def backward(ctx: Context, grad: Tensor | None) -> tuple[Tensor | None, ...]:
        nothing = (None,) * 4
        if grad is None:
            return None, None, *nothing
        maps, weights, *x = ctx.saved_tensors
        back = own = None
        if ctx.needs_input_grad[0]:
            back = _Sense.apply(grad, maps, weights, ctx.grid, ctx.lines, not ctx.transpose)
            back = back if back.shape == ctx.x_shape else back.sum_to_size(ctx.x_shape)
        if x:
            image, data = (grad, x[0]) if ctx.transpose else (x[0], grad)
            own = _gradient_in_maps(image, data, weights, ctx.grid, ctx.lines)
            own = own.sum_to_size(maps.shape)
        return back, own, *nothing

    @staticmethod
    def jvp(ctx: Context, dx: Tensor | None, dmaps: Tensor | None, *_: None) -> Tensor | None:
        maps, weights, x = ctx.saved_tensors
        rest = (weights, ctx.grid, ctx.lines, ctx.transpose)
        parts = [] if dx is None else [_Sense.apply(dx, maps, *rest)]
        parts += [] if dmaps is None else [_Sense.apply(x, dmaps, *rest)]
        return sum(parts[1:], parts[0]) if parts else None

    @staticmethod
    def vmap(
        info: Any,  # noqa: ANN401, ARG004 - torch's
        in_dims: tuple[int | None, ...],
        *arguments: Any,  # noqa: ANN401 - whatever the function takes
    ) -> tuple[Tensor, int]:
        x, maps, weights, grid, lines, transpose = arguments
        number = len(grid.shape)
        coil = number + (maps is not None)
        own = (coil if transpose else number, coil, number)
        x, maps, weights = _mapped(in_dims[:3], (x, maps, weights), own)
        lines = lines if in_dims[2] is None else None  # they belong to other weights
        return _Sense.apply(x, maps, weights, grid, lines, transpose), 0


def _gradient_in_maps(
    image: Tensor, data: Tensor, weights: Tensor, grid: Grid, lines: Lines | None
) -> Tensor:
    """∂Re⟨T_S u, v⟩/∂S_c = conj(u) · P* F* R* (conj(w) v_c)."""
    coil = -len(grid.shape) - 1
    images = _Sense.apply(data, None, weights.unsqueeze(coil), grid, lines, ADJOINT)
    return image.conj().unsqueeze(coil) * images


def _mapped(
    in_dims: tuple[int | None, ...], tensors: tuple[Tensor | None, ...], own: tuple[int, ...]
) -> list[Tensor | None]:
    """Mapped axes in front, with equally many leading axes behind them in all that have one."""
    most = max(
        tensor.ndim - (dim is not None) - axes
        for tensor, dim, axes in zip(tensors, in_dims, own, strict=True)
        if tensor is not None
    )
    moved = []
    for tensor, dim, axes in zip(tensors, in_dims, own, strict=True):
        if tensor is None or dim is None:
            moved.append(tensor)
            continue
        front = tensor.movedim(dim, 0)
        missing = most - (front.ndim - 1 - axes)
        moved.append(front.reshape(front.shape[0], *[1] * missing, *front.shape[1:]))
    return moved


def _plain_forward(u: Tensor, maps: Tensor | None, weights: Tensor, grid: Grid) -> Tensor:
    number = len(grid.shape)
    if maps is not None:
        u = u.unsqueeze(-number - 1) * maps
        weights = weights.unsqueeze(-number - 1)
    around = zip(grid.offsets, grid.shape, grid.encoded, strict=True)
    widths = [(first, N - n - first) for first, n, N in around]
    if grid.shape != grid.encoded:
        u = pad(u, [width for pair in reversed(widths) for width in pair])
    spectrum = torch.fft.fftn(u, dim=grid.axes, norm="ortho")
    if grid.rows is not None:
        rows = torch.tensor(grid.rows, device=u.device)
        spectrum = spectrum.index_select(grid.row_axis, rows)
    return spectrum * weights


def _plain_adjoint(v: Tensor, maps: Tensor | None, weights: Tensor, grid: Grid) -> Tensor:
    number = len(grid.shape)
    weighted = v * (weights if maps is None else weights.unsqueeze(-number - 1)).conj()
    if grid.rows is not None:
        rows = torch.tensor(grid.rows, device=v.device)
        whole = weighted.new_zeros(*weighted.shape[:-number], *grid.encoded)
        weighted = whole.index_add(grid.row_axis, rows, weighted)
    images = torch.fft.ifftn(weighted, dim=grid.axes, norm="ortho")
    for axis, first, n in zip(grid.axes, grid.offsets, grid.shape, strict=True):
        images = images.narrow(axis, first, n)
    return images if maps is None else (maps.conj() * images).sum(-number - 1)
