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
_WIDEST: Final = 1 << 16
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
    encoding = _root(text, path).find(".//{*}encoding")
    numbers = {} if encoding is None else {part: _numbers(encoding, part) for part in _TAGS}
    matrix, view, lines = (numbers.get(part) for part in _TAGS)
    return EncodingHeader(
        None if matrix is None else (int(matrix[0]), int(matrix[1])),
        None if matrix is None or view is None else (view[2], *_pixels(view, matrix)),
        None if lines is None else _padding(lines),
        tuple(part for part in _TAGS if numbers.get(part) is None),
    )


@dataclass(frozen=True)
class Protocol:
    """The first encoding of the header of a raw scan, and who was scanned.

    Attributes:
        trajectory: Name of the trajectory, in lower case.
        encoded: Encoded matrix (readout, first phase encoding, second), oversampling included.
        pixels: Sizes (readout, first, second) of the pixels of that matrix in mm, or None.
        matrix: Numbers (ny, nx) of these pixels in the reconstructed field of view.
        centre: Number of the line with k = 0, of the first phase encoding.
        embedded: True if calibration lines are part of the image's k-space.
        bandwidth: Noise bandwidth of the receiver, relative to that of the samples.
        attributes: Texts ``acquisition`` and ``patient_id``, where they are there.
    """

    trajectory: str
    encoded: tuple[int, int, int]
    pixels: tuple[float, float, float] | None
    matrix: tuple[int, int]
    centre: int
    embedded: bool
    bandwidth: float
    attributes: tuple[tuple[str, str], ...]


def scan_protocol(text: str | bytes, path: str | os.PathLike[str]) -> Protocol:
    """The protocol of a raw scan.

    The matrix is that of the reconstructed field of view in pixels of the encoded one, whatever
    interpolation the scanner would have added.

    Args:
        text: XML of the header.
        path: Path of its file, for messages.

    Raises:
        FileFormatError: As for :func:`encoding_header`, or the encoded matrix is missing.
    """
    root = _root(text, path)
    encoding = root.find(".//{*}encoding")
    size = None if encoding is None else _triple(encoding, "encodedSpace/matrixSize")
    if encoding is None or size is None or max(size) > _WIDEST:
        raise unreadable(path, _EXPECTED, "no encoded matrix", "export the raw data again")
    view = _triple(encoding, "encodedSpace/fieldOfView_mm")
    shown = _triple(encoding, "reconSpace/fieldOfView_mm")
    encoded = (int(size[0]), int(size[1]), int(size[2]))
    pixels = None if view is None else (view[0] / size[0], view[1] / size[1], view[2] / size[2])
    shares = (1.0, 1.0) if view is None or shown is None else _shares(shown, view)
    rows, columns = (max(1, round(n * s)) for n, s in zip(encoded[:2], shares, strict=True))
    centre = _number(encoding, "encodingLimits/kspace_encoding_step_1/center")
    bandwidth = _number(root, "acquisitionSystemInformation/relativeReceiverNoiseBandwidth")
    found = {
        "acquisition": _text(root, "measurementInformation/protocolName"),
        "patient_id": _text(root, "subjectInformation/patientID"),
    }
    return Protocol(
        _text(encoding, "trajectory").lower(),
        encoded,
        pixels,
        (min(rows, encoded[0]), min(columns, encoded[1])),
        encoded[1] // 2 if centre is None else int(centre),
        _text(encoding, "parallelImaging/calibrationMode").lower() != "separate",
        1.0 if bandwidth is None or bandwidth <= 0 else bandwidth,
        tuple((name, value[:200]) for name, value in found.items() if value),
    )


def _shares(shown: tuple[float, ...], whole: tuple[float, ...]) -> tuple[float, float]:
    return min(1.0, shown[0] / whole[0]), min(1.0, shown[1] / whole[1])


def _root(text: str | bytes, path: str | os.PathLike[str]) -> ET.Element:
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    if len(raw) > _LARGEST or b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        found = "more than 4 MiB" if len(raw) > _LARGEST else "a document type with entities"
        raise unreadable(path, _EXPECTED, found, "export the header again")
    with reading(path, _EXPECTED):
        return ET.fromstring(raw.strip(b"\0 \r\n\t"))  # noqa: S314 - without entities, bounded


def _text(element: ET.Element, part: str) -> str:
    found = element.find("/".join(f"{{*}}{name}" for name in part.split("/")))
    return "" if found is None else (found.text or "").strip()


def _number(element: ET.Element, part: str) -> float | None:
    try:
        number = float(_text(element, part))
    except ValueError:
        return None
    return number if 0 <= number < _LARGEST else None


def _triple(element: ET.Element, part: str) -> tuple[float, float, float] | None:
    """Three positive numbers x, y and z."""
    x, y, z = (_number(element, f"{part}/{axis}") for axis in "xyz")
    if not x or not y or not z or min(x, y, z) < 1e-9:
        return None
    return x, y, z


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
