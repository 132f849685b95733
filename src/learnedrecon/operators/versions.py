"""Versions of tensors, for results that are computed from them once."""

from __future__ import annotations

import torch
from torch import Tensor


def version_of(tensor: Tensor | None) -> int:
    """The number of changes in place; 0 where it is not known: in inference mode, while compiling.

    Args:
        tensor: Any tensor, or None.
    """
    if tensor is None or torch.compiler.is_compiling() or tensor.is_inference():
        return 0
    return tensor._version  # noqa: SLF001 - torch has no public name


def changed(tensor: Tensor | None, version: int) -> bool:
    """True if a tensor was changed in place after this version; False while compiling.

    Args:
        tensor: Any tensor, or None.
        version: Version to compare with, of :func:`version_of`.
    """
    return not torch.compiler.is_compiling() and version_of(tensor) != version
