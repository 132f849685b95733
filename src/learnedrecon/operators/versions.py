"""Versions of tensors, for results that are computed from them once."""

from __future__ import annotations

import torch
from torch import Tensor


def version_of(tensor: Tensor | None) -> int:
    """The number of changes in place; 0 for None and tensors of inference mode, which do not count.

    Args:
        tensor: Any tensor, or None.
    """
    return 0 if tensor is None or tensor.is_inference() else tensor._version  # noqa: SLF001


def changed(tensor: Tensor | None, version: int) -> bool:
    """True if a tensor was changed in place after this version; False while compiling.

    Args:
        tensor: Any tensor, or None.
        version: Version to compare with, of :func:`version_of`.
    """
    return not torch.compiler.is_compiling() and version_of(tensor) != version
