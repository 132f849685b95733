"""Leading axes: numbers and tensors that every sample of a batch has for itself."""

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
    """The largest of the norms of all samples."""
    return float(norm.detach().max()) if isinstance(norm, Tensor) else norm


def over(norm: N | Tensor, like: Tensor, axes: int) -> N | Tensor:
    """A number, or numbers (*lead, 1, ..., 1) in the precision of ``like``, one for each sample.

    Args:
        norm: a number or (*lead).
        like: what it multiplies, (*lead, ...), real or complex.
        axes: how many axes of ``like`` are no leading axes.
    """
    if not isinstance(norm, Tensor):
        return norm
    return norm.to(like.device, real_of(like.dtype))[(..., *[None] * axes)]


def per_sample(values: Tensor, space_axes: int) -> Norm:
    """The largest of ``values`` over the last axes: a number, or one for each leading axis."""
    top = values.detach().double()
    if top.ndim <= space_axes:
        return float(top.max())
    return top.flatten(-space_axes).amax(-1)


def joined(
    norms: Sequence[Norm],
    numbers: Callable[..., float],
    tensors: Callable[[Tensor, Tensor], Tensor],
) -> Norm:
    """Norms of parts as one: by ``numbers`` where all are, else two by two by ``tensors``."""
    plain = [norm for norm in norms if not isinstance(norm, Tensor)]
    if len(plain) == len(norms):
        return float(numbers(*plain)) if len(plain) > 1 else plain[0]
    device = next(norm.device for norm in norms if isinstance(norm, Tensor))
    each = [torch.as_tensor(norm, dtype=torch.float64, device=device) for norm in norms]
    return reduce(tensors, each)


def require_leading(tensor: Tensor, own: int, name: str) -> None:
    """Refuses per-sample tensors without the channel axis, which pair every sample with each.

    Tensors are (batch, channel, ...): one leading axis alone would stand where images have their
    channels.

    Args:
        tensor: (*lead, ...).
        own: the number of its other axes; a tensor with fewer has no leading ones.
        name: of the tensor.

    Raises:
        ShapeError: a single leading axis of more than one entry.
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
