"""Greyscale pictures in PNG format."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from learnedrecon.data.files.header import Header
from learnedrecon.files import reading, require_file, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

EXPECTED: Final = "a PNG file with one greyscale picture"
_GREY: Final = ("L", "I;16")


def png_header(path: Path) -> Header:
    """Shape and dtype of the picture that :func:`read_png` returns.

    Args:
        path: Path of the file.

    Raises:
        FileFormatError: The header is corrupt, or that of a picture with colours.
    """
    with _opened(path) as picture:
        mode, shape = picture.mode, (picture.height, picture.width)
    if mode not in _GREY:
        raise unreadable(
            path,
            EXPECTED,
            f"a picture of mode {mode}",
            "convert it to greyscale of 8 or 16 bits without transparency",
        )
    return Header(shape, np.dtype(np.float32))


def read_png(path: Path) -> NDArray[np.float32]:
    """The picture in [0, 1]: stored integers divided by 255 or 65535.

    Args:
        path: Path of the file.

    Raises:
        FileFormatError: As for :func:`png_header`, or the file is truncated, or does not fit into
            memory.
    """
    picture = read_png_integers(path)
    return picture.astype(np.float32) / np.float32(np.iinfo(picture.dtype).max)


def read_png_integers(path: Path) -> NDArray[Any]:
    """The integers that are stored, of 8 or 16 bits: the counts of a detector.

    Args:
        path: Path of the file.

    Raises:
        FileFormatError: The file is missing, no greyscale PNG, truncated, or too large.
    """
    require_file(path, EXPECTED)
    png_header(path).refuse_size(path)
    with _opened(path) as file:
        return np.asarray(file)


def write_png(path: Path, array: NDArray[np.uint16]) -> None:
    """Writes grey values of 16 bits.

    Args:
        path: Path of the file.
        array: Grey values (ny, nx), uint16.
    """
    Image.fromarray(array).save(path, format="PNG")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    with reading(path, EXPECTED), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=("PNG",)) as picture:
                yield picture
        except Image.DecompressionBombError as error:
            fix = "write it as npy or HDF5; if it should be small, its header is damaged"
            raise unreadable(path, EXPECTED, str(error), fix) from error
