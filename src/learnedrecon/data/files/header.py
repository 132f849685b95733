"""Headers of array files, read before any values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from learnedrecon.files import refuse_size

if TYPE_CHECKING:
    import os

    import numpy as np


class Header(NamedTuple):
    """The shape and dtype of an array in a file.

    Attributes:
        shape: Shape of the array.
        dtype: NumPy dtype of the array.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def refuse_size(self, path: str | os.PathLike[str]) -> None:
        """Check that the array is not too large, see :func:`learnedrecon.files.refuse_size`.

        Raises:
            FileFormatError: The array is larger than the memory or than the file can contain.
        """
        refuse_size(path, math.prod(self.shape) * self.dtype.itemsize)
