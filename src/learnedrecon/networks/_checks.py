"""Checks of the input of networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learnedrecon.errors import DtypeError, ShapeError, describe

if TYPE_CHECKING:
    import torch


def check_images(u: torch.Tensor, *, channels: int, dims: int, name: str) -> None:
    """Check for a real tensor (batch, ``channels``, *space) with ``dims`` non-empty space axes.

    Args:
        u: Input of a network.
        channels: Required number of channels.
        dims: Required number of space axes.
        name: Name of the network, for the message.

    Raises:
        ShapeError: The number of axes or channels is wrong, or a space axis is empty.
        DtypeError: The tensor is complex or of integers.
    """
    if u.ndim != dims + 2 or u.shape[1] != channels or 0 in u.shape[2:]:
        raise ShapeError(
            describe(
                expected=f"for {name} a (batch, {channels}, *space) tensor, {dims} space axes",
                found=f"shape {tuple(u.shape)}",
                fix="fold other axes into the batch, stack the inputs along axis 1, or change "
                "the channels of the spec",
            )
        )
    if not u.is_floating_point():
        raise DtypeError(
            describe(
                expected=f"for {name} real floating-point numbers",
                found=str(u.dtype),
                fix="wrap the network in AsReal, which has two real channels for each complex one, "
                "or convert integers to floats",
            )
        )
