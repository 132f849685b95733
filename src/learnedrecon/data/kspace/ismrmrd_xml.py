"""The parts of an ISMRMRD header in XML that a reconstruction needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from learnedrecon.files import reading, unreadable

if TYPE_CHECKING:
    import os

_EXPECTED: Final = "an ISMRMRD header in XML"
_LARGEST: Final = 1 << 22
_TAGS: Final = {
    "the reconstructed matrix": ("reconSpace/matrixSize/x", "reconSpace/matrixSize/y"),
    "the field of view": tuple(f"reconSpace/fieldOfView_mm/{axis}" for axis in "xyz"),
    "the encoded lines": (
        "encodedSpace/matrixSize/y",
        "encodingLimits/kspace_encoding_step_1/center",
        "encodingLimits/kspace_encoding_step_1/maximum",
    ),
}


@dataclass(frozen=True)
class EncodingHeader:
    """The first encoding of an ISMRMRD header.

    Attributes:
        matrix: Shape (ny, nx) of the reconstructed image, along readout and phase encoding, or
            None.
        voxel: Size (dz, dy, dx) of a voxel in mm, or None.
        padding: First measured column of k-space and the one after the last, or None.
        missing: Names of the parts that the header does not have.
    """

    matrix: tuple[int, int] | None = None
    voxel: tuple[float, float, float] | None = None
    padding: tuple[int, int] | None = None
    missing: tuple[str, ...] = tuple(_TAGS)


def encoding_header(text: str | bytes, path: str | os.PathLike[str]) -> EncodingHeader:
    """The matrix, voxels and measured columns in an ISMRMRD header.

    Columns are those of fastMRI: padding on the left is N/2 - center for N encoded lines, and the
    last measured column is ``maximum`` after it.

    Args:
        text: XML of the header.
        path: Path of its file, for messages.

    Raises:
        FileFormatError: The text is not XML, is larger than 4 MiB, or has a document type, whose
            entities could expand without end.
    """
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    if len(raw) > _LARGEST or b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        found = "more than 4 MiB" if len(raw) > _LARGEST else "a document type with entities"
        raise unreadable(path, _EXPECTED, found, "export the header again")
    with reading(path, _EXPECTED):
        root = ET.fromstring(raw.strip(b"\0 \r\n\t"))  # noqa: S314 - without entities, bounded
        encoding = root.find(".//{*}encoding")
    numbers = {} if encoding is None else {part: _numbers(encoding, part) for part in _TAGS}
    matrix, view, lines = (numbers.get(part) for part in _TAGS)
    return EncodingHeader(
        None if matrix is None else (int(matrix[0]), int(matrix[1])),
        None if matrix is None or view is None else (view[2], *_pixels(view, matrix)),
        None if lines is None else _padding(lines),
        tuple(part for part in _TAGS if numbers.get(part) is None),
    )


def _numbers(encoding: ET.Element, part: str) -> tuple[float, ...] | None:
    """The numbers of a part; None unless all are there and possible, of which limits may be 0."""
    found = []
    for tag in _TAGS[part]:
        element = encoding.find("/".join(f"{{*}}{name}" for name in tag.split("/")))
        try:
            number = float((element.text or "") if element is not None else "")
        except ValueError:
            return None
        if not (0 if "Limits" in tag else 1e-9) <= number < _LARGEST:
            return None
        found.append(number)
    return tuple(found)


def _pixels(view: tuple[float, ...], matrix: tuple[float, ...]) -> tuple[float, float]:
    return view[0] / matrix[0], view[1] / matrix[1]


def _padding(lines: tuple[float, ...]) -> tuple[int, int] | None:
    number, centre, maximum = map(int, lines)
    left = number // 2 - centre
    return (left, left + maximum + 1) if left >= 0 else None
