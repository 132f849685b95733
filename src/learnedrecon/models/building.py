"""Construction of models from their records, within the memory that there is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.overrides import TorchFunctionMode

from learnedrecon import specs
from learnedrecon.errors import ConfigError
from learnedrecon.limits import MOST_TENSORS, byte_limit, refuse_bytes, refuse_count
from learnedrecon.models.registry import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from learnedrecon.recorded import Record
    from learnedrecon.schemes.reconstructor import Reconstructor
    from learnedrecon.specs import Registry

_TENSOR: Final = 1 << 12
_MAKING: Final = frozenset(
    (torch.empty, torch.empty_strided, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn)
)


class MemoryBudget(TorchFunctionMode):
    """Count of the memory of all tensors that are made within it, taken before they are.

    Every tensor counts 4 KiB at least.

    Args:
        check: Function of the bytes and of the number of tensors so far, with the one that is about
            to be made, which raises where they are too many.
    """

    def __init__(self, check: Callable[[int, int], None]) -> None:
        super().__init__()
        self._check = check
        self._bytes = 0
        self._number = 0

    def __torch_function__(
        self,
        func: Any,  # noqa: ANN401 - a function of torch
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the function returns
        """Counts what the function is about to make."""
        del types
        asked = kwargs or {}
        if func in _MAKING:
            kind = asked.get("dtype") or torch.get_default_dtype()
            self._bytes += max(_TENSOR, kind.itemsize * math.prod(_sizes(args, asked)))
            self._number += 1
            self._check(self._bytes, self._number)
        return func(*args, **asked)


def _sizes(args: Sequence[Any], asked: Mapping[str, Any]) -> Sequence[int]:
    """The sizes that a function such as ``torch.empty`` is given, together or one by one."""
    given = (asked["size"],) if "size" in asked else args
    if given and isinstance(given[0], Sequence):
        return given[0]
    return [size for size in given if isinstance(size, int)]


@contextmanager
def within_memory(what: str) -> Iterator[None]:
    """Refuses to make more tensors in the block than the memory holds.

    Args:
        what: Name of what is made, for the message.

    Raises:
        ConfigError: The tensors take more bytes than :func:`learnedrecon.limits.byte_limit`, or are
            more than :data:`learnedrecon.limits.MOST_TENSORS`.
    """
    fix = "make its networks narrower or its iterations fewer"
    most = byte_limit()

    def check(taken: int, number: int) -> None:
        refuse_bytes(taken, f"{what} with weights", most=most, kind=ConfigError, fix=fix)
        refuse_count(number, MOST_TENSORS, f"weight tensors of {what}")

    with MemoryBudget(check):
        yield


def build_model(record: Record, models: Registry[Reconstructor] = MODELS) -> Reconstructor:
    """The model of a record, unless the memory is too small for its weights.

    Args:
        record: Record of a registered class.
        models: Registry of the class.

    Raises:
        ConfigError: The weights take more bytes than there are.
    """
    with within_memory(f"the model {type(record).__name__}"):
        return specs.build(models, record)
