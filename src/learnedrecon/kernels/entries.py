"""Checks of the tensors that kernels are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from learnedrecon.errors import DtypeError, ShapeError, describe

if TYPE_CHECKING:
    from torch import Tensor


def check_entries(tensor: Tensor, last: tuple[int, ...], what: str) -> None:
    """Check of the precision and of the last axes of a tensor.

    Args:
        tensor: Images or data.
        last: Sizes of the last axes.
        what: Name for messages, with its shape.

    Raises:
        DtypeError: Neither float32 nor float64.
        ShapeError: The last axes have other sizes.
    """
    if tensor.dtype not in {torch.float32, torch.float64}:
        raise DtypeError(
            describe(
                expected=f"{what} of float32 or float64",
                found=str(tensor.dtype),
                fix="convert it, and run projectors outside autocast",
            )
        )
    if tuple(tensor.shape[-len(last) :]) != tuple(last):
        raise ShapeError(
            describe(
                expected=f"{what} that ends in {tuple(last)}",
                found=f"shape {tuple(tensor.shape)}",
                fix="use the geometry of these data, or put the space axes last",
            )
        )
