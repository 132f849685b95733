"""A memory limit for the construction of a model, from the size of its weights file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from torch.utils._python_dispatch import TorchDispatchMode

from learnedrecon.files import unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_FREE: Final = 1 << 26
_TENSOR: Final = 1 << 12
_NUMBER: Final = 8
_MAKING: Final = frozenset(
    f"aten::{name}" for name in ("empty", "empty_strided", "zeros", "ones", "full", "rand", "randn")
)


class MemoryBudget(TorchDispatchMode):
    """A context that limits the memory of new tensors to a multiple of a file's size.

    A weights file contains every weight of its model. If its description needs far more memory, or
    far more tensors, the description is wrong: building the model would exhaust the memory before
    any shape is compared. Every tensor counts at least 4 KiB.

    Args:
        path: Path of the weights file.
        expected: Noun phrase for the file, for messages.

    Raises:
        FileFormatError: Tensors need more than 64 MiB and four times the size of the file.
    """

    def __init__(self, path: Path, expected: str) -> None:
        super().__init__()
        self._path = path
        self._expected = expected
        self._left = _FREE + 4 * path.stat().st_size

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - an operator of torch
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the operator returns
        """Counts what the operator is about to make."""
        del types
        if func._schema.name in _MAKING:  # noqa: SLF001 - the only way to the name
            self._left -= max(_TENSOR, _NUMBER * math.prod(args[0]))
            if self._left < 0:
                found = "the description of a far larger model than its weights are"
                raise unreadable(self._path, self._expected, found)
        return func(*args, **(kwargs or {}))
