"""Operators on tensors without values, on PyTorch's device meta."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learnedrecon.errors import DtypeError, LearnedReconError, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def on_meta(evaluate: Callable[[Tensor], Tensor], x: Tensor, kind: str) -> Tensor:
    """The result of an operator without values, where the operator determines its shape.

    Args:
        evaluate: T or T*.
        x: Tensor on the device meta.
        kind: Name of the operator.

    Raises:
        DtypeError: The operator needs values, or has tensors of its own on another device.
    """
    try:
        return evaluate(x)
    except LearnedReconError:
        raise
    except Exception as error:
        raise DtypeError(
            describe(
                expected=f"a tensor with values for {kind}",
                found=f"one of shape {tuple(x.shape)} on the device meta ({error})",
                fix="give one on the CPU or a GPU; where shapes are asked for, domain.shape and "
                "codomain.shape say them",
            )
        ) from error
