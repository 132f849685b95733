"""What the tests of files of arrays share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENDINGS = [".npy", ".tif", ".tiff", ".png", ".h5", ".hdf5"]
KEEPING = [".npy", ".h5", ".hdf5"]


def example() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(24, 20)).astype(np.float32)
