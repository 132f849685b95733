"""Greyscale TIFF: one picture, a stack, or separately written pages of one shape.

Compressions that tifffile leaves to the package imagecodecs, such as LZW, are read by Pillow where
it gives the same dtype.
"""

from __future__ import annotations

import math
import os
import struct
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tifffile
from PIL import Image, ImageSequence, UnidentifiedImageError

from learnedrecon.data.files.header import Header
from learnedrecon.files import reading, unreadable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_BIG: Final = 43  # in place of 42, in a BigTIFF
EXPECTED: Final = "a TIFF file with one greyscale picture or a stack"


def tiff_header(path: Path) -> Header:
    """Shape and dtype of all pages together.

    Args:
        path: Path of the file.

    Raises:
        FileFormatError: The file is truncated or corrupt, has colours, or has pages of several
            shapes.
    """
    _refuse_circles(path)
    with reading(path, EXPECTED), tifffile.TiffFile(path) as file:
        return _header(path, file)


def read_tiff(path: Path) -> NDArray[Any]:
    """The pages as one array, (page, row, column) where there are several.

    Args:
        path: Path of the file.

    Raises:
        FileFormatError: As for :func:`tiff_header`, or the file does not fit into memory, or its
            compression needs another package.
    """
    _refuse_circles(path)
    with reading(path, EXPECTED), tifffile.TiffFile(path) as file:
        header = _header(path, file)
        header.refuse_size(path)
        if all(_decodable(series.keyframe) for series in file.series):
            series = [np.asarray(each.asarray()) for each in file.series]
            return series[0] if len(series) == 1 else np.stack(series)
        compression = getattr(file.pages.first.compression, "name", "unknown")
    return _by_pillow(path, header, compression)


def write_tiff(path: Path, array: NDArray[np.float32]) -> None:
    """Writes one picture or a stack, without colours.

    Args:
        path: Path of the file.
        array: Values (ny, nx) or (page, ny, nx), float32.
    """
    tifffile.imwrite(path, array, photometric="minisblack")


def _refuse_circles(path: Path) -> None:
    """Refuses a chain of pages that comes back to itself, along which tifffile goes for long."""
    with reading(path, EXPECTED), path.open("rb") as file:
        start = file.read(16)
        order = ">" if start[:2] == b"MM" else "<"
        large = struct.unpack_from(f"{order}H", start, 2)[0] == _BIG
        number, offset, entry = ("Q", "Q", 20) if large else ("H", "I", 12)
        (place,) = struct.unpack_from(order + offset, start, 8 if large else 4)
        seen: set[int] = set()
        while place and place not in seen:
            seen.add(place)
            file.seek(place)
            entries = file.read(struct.calcsize(order + number))
            if len(entries) < struct.calcsize(order + number):
                return
            file.seek(entry * struct.unpack(order + number, entries)[0], os.SEEK_CUR)
            following = file.read(struct.calcsize(order + offset))
            if len(following) < struct.calcsize(order + offset):
                return
            (place,) = struct.unpack(order + offset, following)
    if place in seen:
        raise unreadable(path, EXPECTED, "a file that is corrupt: pages in a circle")


def _header(path: Path, file: tifffile.TiffFile) -> Header:
    shapes = {(tuple(series.shape), series.dtype) for series in file.series}
    kinds = {tifffile.PHOTOMETRIC(series.keyframe.photometric).name for series in file.series}
    if kinds != {"MINISBLACK"}:
        found = f"colours or inverted grey ({', '.join(sorted(kinds - {'MINISBLACK'}))})"
        raise unreadable(path, EXPECTED, found, "convert it to greyscale")
    if len(shapes) != 1:
        found = f"{len(file.series)} pictures of unequal shape or type"
        raise unreadable(path, EXPECTED, found, "split the file")
    strips = sum(math.prod(series.keyframe.chunked) for series in file.series)
    if strips > path.stat().st_size:
        found = f"{strips} strips or tiles, for each of which it has less than a byte"
        raise unreadable(path, EXPECTED, found)
    ((shape, dtype),) = shapes
    number = len(file.series)
    return Header(shape if number == 1 else (number, *shape), np.dtype(dtype))


def _decodable(page: Any) -> bool:  # noqa: ANN401 - tifffile's
    """True if tifffile decodes the page without another package."""
    tables = tifffile.TIFF.DECOMPRESSORS, tifffile.TIFF.UNPREDICTORS
    try:
        return all(
            table[key]
            for table, key in zip(tables, (page.compression, page.predictor), strict=True)
        )
    except KeyError:
        return False


def _by_pillow(path: Path, header: Header, compression: str) -> NDArray[Any]:
    """The same by libtiff, if it keeps the type of number."""
    other = unreadable(
        path,
        EXPECTED,
        f"the compression {compression} of {header.dtype}, which another package decodes",
        "run: pip install imagecodecs, or store the file without compression",
    )
    with reading(path, EXPECTED), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is odd about the file, which the error then says
        try:
            with Image.open(path, formats=("TIFF",)) as picture:
                pages = [np.asarray(page) for page in ImageSequence.Iterator(picture)]
        except (UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise other from error
    found = {(page.shape, page.dtype.newbyteorder("=")) for page in pages}
    shape = header.shape if len(pages) == 1 else header.shape[1:]
    if found != {(shape, header.dtype.newbyteorder("="))}:
        raise other
    return pages[0] if len(pages) == 1 else np.stack(pages)
