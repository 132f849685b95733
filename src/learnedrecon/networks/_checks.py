"""What every network asks of its input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learnedrecon.errors import DtypeError, ShapeError, describe

if TYPE_CHECKING:
    import torch


def check_images(u: torch.Tensor, *, channels: int, dims: int, name: str) -> None:
    """Refuses what is not a real (batch, ``channels``, and ``dims`` non-empty axes) tensor.

    Raises:
        ShapeError: wrong number of axes, wrong number of channels, or an empty space axis.
        DtypeError: complex or integer numbers.
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
                fix="give real and imaginary part as two channels, or convert integers to floats",
            )
        )
