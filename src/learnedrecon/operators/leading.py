"""Leading axes: numbers and tensors with one value per sample of a batch."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import torch
from torch import Tensor

from learnedrecon.compiling import real_of
from learnedrecon.errors import ShapeError, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Norm: TypeAlias = float | Tensor
"""A number, or float64 (*lead) with one for each sample that has tensors of its own."""

N = TypeVar("N", bound=complex)


def largest(norm: Norm) -> float:
    """The largest of the norms of all samples, as a float.

    Args:
        norm: Number, or one per sample, (*lead).
    """
    return float(norm.detach().max()) if isinstance(norm, Tensor) else norm


def over(norm: N | Tensor, like: Tensor, axes: int) -> N | Tensor:
    """A number, or numbers (*lead, 1, ..., 1) in the precision of ``like``, one per sample.

    Args:
        norm: Number, or one per sample, (*lead).
        like: Tensor that the numbers multiply, (*lead, ...), real or complex.
        axes: Number of axes of ``like`` that are not leading axes.
    """
    if not isinstance(norm, Tensor):
        return norm
    return norm.to(like.device, real_of(like.dtype))[(..., *[None] * axes)]


def per_sample(values: Tensor, space_axes: int) -> Norm:
    """The largest of ``values`` over the last axes: a number, or one per leading axis.

    Args:
        values: Tensor (*lead, *space).
        space_axes: Number of last axes over which the maximum is taken.
    """
    top = values.detach().double()
    if top.ndim <= space_axes:
        return float(top.max())
    return top.flatten(-space_axes).amax(-1)


def joined(
    norms: Sequence[Norm],
    numbers: Callable[..., float],
    tensors: Callable[[Tensor, Tensor], Tensor],
) -> Norm:
    """Norms of several parts combined into one.

    Args:
        norms: Norms of the parts, each a number or one per sample.
        numbers: Combination where all norms are numbers.
        tensors: Combination of two norms where some norms are tensors.
    """
    plain = [norm for norm in norms if not isinstance(norm, Tensor)]
    if len(plain) == len(norms):
        return float(numbers(*plain)) if len(plain) > 1 else plain[0]
    device = next(norm.device for norm in norms if isinstance(norm, Tensor))
    each = [torch.as_tensor(norm, dtype=torch.float64, device=device) for norm in norms]
    return reduce(tensors, each)


def require_leading(tensor: Tensor, own: int, name: str) -> None:
    """Check that per-sample tensors have a channel axis.

    Tensors are (batch, channel, ...). A tensor with a single leading axis would be aligned with the
    channels of the images instead of the batch.

    Args:
        tensor: Per-sample tensor, (*lead, ...).
        own: Number of its other axes; a tensor with only these has no leading axes.
        name: Name of the tensor, for the message.

    Raises:
        ShapeError: There is a single leading axis with more than one entry.
    """
    lead = tuple(tensor.shape[: max(tensor.ndim - own, 0)])
    if len(lead) == 1 and lead[0] > 1:
        rest = ", ".join(map(str, tensor.shape[1:]))
        raise ShapeError(
            describe(
                expected=f"'{name}' with every leading axis of the images, (batch, 1, {rest})",
                found=f"shape {tuple(tensor.shape)}",
                fix=f"add the channel axis: {name}[:, None]",
            )
        )
