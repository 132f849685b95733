"""Row subsets of operators as indices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index
from typing import TypeAlias

import numpy as np
from torch import Tensor

from learnedrecon.errors import GeometryError, describe

Rows: TypeAlias = Sequence[int] | slice | np.ndarray | Tensor


def row_indices(rows: Rows, number: int) -> tuple[int, ...]:
    """The indices selected by ``rows`` among ``number`` rows.

    Args:
        rows: Whole numbers in any order (a sequence, or an array or tensor with one axis), or a
            slice.
        number: Number of all rows.

    Raises:
        GeometryError: No rows, a row out of range, or a value that is not a whole number.
    """
    chosen = tuple(range(*rows.indices(number))) if isinstance(rows, slice) else _listed(rows)
    if not chosen or min(chosen) < 0 or max(chosen) >= number:
        raise GeometryError(
            describe(
                expected=f"at least one row, each in 0..{number - 1}",
                found=f"{list(chosen)[:8]}",
                fix="choose rows of this operator",
            )
        )
    return chosen


def _listed(rows: Sequence[int] | np.ndarray | Tensor) -> tuple[int, ...]:
    plain = rows.tolist() if isinstance(rows, Tensor | np.ndarray) else rows
    if isinstance(plain, Iterable) and not isinstance(plain, str | bytes):
        items = list(plain)
        try:
            if not any(isinstance(item, bool | np.bool_) for item in items):
                return tuple(index(item) for item in items)
        except TypeError:
            pass
    raise GeometryError(
        describe(
            expected="rows as a list, an array or a tensor of whole numbers, or as a slice",
            found=f"{rows!r:.80} of type {type(rows).__name__}",
            fix="write for example T.subset([0, 4, 8]) or T.subset(slice(0, None, 4)); "
            "turn a mask into numbers by mask.nonzero()",
        )
    )
