"""Masks of bad pixels in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learnedrecon.data.files.angles import TEXT_ENDINGS, read_column
from learnedrecon.data.files.arrays import read_array
from learnedrecon.data.files.stacks import source
from learnedrecon.data.raw.bad_pixels import bad_pixels

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from learnedrecon.data.raw.correction import Mending


def read_mask(where: str | os.PathLike[str], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The bad pixels that a file names.

    Args:
        where: An array (row, detector) or (detector,), not zero where a pixel is bad, in any format
            of arrays (FILE:KEY in an HDF5 file); or, for one detector row, a text with the numbers
            of the bad pixels, counted from 0.
        shape: Shape (row, detector) of the detector.

    Raises:
        FileFormatError: No such file, or one that cannot be read.
        ShapeError: Another shape.
        DataError: Numbers of pixels that the detector does not have.
    """
    place = source(where)
    text = place.path.suffix.lower() in TEXT_ENDINGS
    values = read_column(place.path) if text else read_array(place.path, place.key)
    return bad_pixels(values, shape).mask


def mending(word: str, shape: tuple[int, int], folder: Path) -> Mending:
    """The meaning of ``bad_pixels`` of a dataset.

    Args:
        word: "auto", "none", or a file with a mask.
        shape: Shape (row, detector) of the detector.
        folder: Folder in which a relative path of the file begins.

    Raises:
        FileFormatError: No such file, or one that cannot be read.
        ShapeError: A mask of another shape.
    """
    if word == "auto":
        return "auto"
    return "none" if word == "none" else read_mask(folder / word, shape)
