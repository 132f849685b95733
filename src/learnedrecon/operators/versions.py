"""How often a tensor was written into, for what is computed from it once."""

from __future__ import annotations

import torch
from torch import Tensor


def version_of(tensor: Tensor | None) -> int:
    """The number of changes in place; 0 for None and tensors of inference mode, which do not count.

    Args:
        tensor: A tensor that something is computed from.
    """
    return 0 if tensor is None or tensor.is_inference() else tensor._version  # noqa: SLF001


def changed(tensor: Tensor | None, version: int) -> bool:
    """Whether a tensor was changed in place since it had this version; never while compiling.

    Args:
        tensor: A tensor that something is computed from.
        version: Its version when that was done.
    """
    return not torch.compiler.is_compiling() and version_of(tensor) != version
