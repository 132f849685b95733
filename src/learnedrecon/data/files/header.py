"""What the header of a file promises, before any of its values is read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from learnedrecon.files import refuse_size

if TYPE_CHECKING:
    import os

    import numpy as np


class Header(NamedTuple):
    """The shape and the type of number of an array in a file."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def refuse_size(self, path: str | os.PathLike[str]) -> None:
        """Refuses an array that is too large, see :func:`learnedrecon.files.refuse_size`.

        Raises:
            FileFormatError: it is larger than the memory or than the file can hold.
        """
        refuse_size(path, math.prod(self.shape) * self.dtype.itemsize)
