"""CT slices from DICOM files, and conversion between Hounsfield units and attenuation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learnedrecon.errors import DataError, FileFormatError, describe
from learnedrecon.files import reading, refuse_size, require_file, unreadable

if TYPE_CHECKING:
    import os

    import pydicom

FloatArray = NDArray[np.float64]
PixelSize = tuple[float, float]

DICOM_ENDINGS: Final = frozenset({".dcm", ".dicom", ".ima"})
"""By which DICOM files are known."""

WATER: Final = 0.02
"""Attenuation of water in 1/mm, near 60 to 70 keV: the effective energy of a clinical scan."""

_EXPECTED: Final = "a DICOM file with one slice of a CT scan"
_DAMAGED: Final = "a file that breaks off or is corrupt"
_AGAIN: Final = "export the slice again"
_DEFLATED: Final = b"1.2.840.10008.1.2.1.99"
_FINEST, _COARSEST = 1e-9, 1e6  # mm

_NEEDED: Final = (
    "Modality",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PixelSpacing",
    "RescaleSlope",
    "RescaleIntercept",
)


class CtSlice(NamedTuple):
    """One slice of a CT scan.

    Attributes:
        hounsfield: Hounsfield values (ny, nx), float64, row 0 at the top of the display.
        pixel_size: Size of a pixel, ``(dy, dx)`` in mm.
        padding: Mask (ny, nx), bool, true where the scanner reconstructed nothing and wrote its
            padding value; ``hounsfield`` has no meaning there.
    """

    hounsfield: FloatArray
    pixel_size: tuple[float, float]
    padding: NDArray[np.bool_]


def read_ct_dicom(path: str | os.PathLike[str]) -> CtSlice:
    """One CT slice from a DICOM file, with rescale slope and intercept applied.

    Args:
        path: Path of a DICOM file with one monochrome frame of a CT scan.

    Raises:
        FileFormatError: There is no such file; it is not DICOM; pixel data are missing, truncated
            or in an unreadable compression; there are several frames or colours; it is not CT; or a
            tag is missing or invalid.
        DataError: The Hounsfield values are not finite.
    """
    path = Path(path)
    dataset = read_dicom(path)
    tags = _tags(path, dataset)
    stored = stored_pixels(path, dataset, tags.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        hounsfield = stored.astype(np.float64) * tags.slope + tags.intercept
    if tags.slope == 0.0 or not np.isfinite(hounsfield).all():
        raise DataError(
            describe(
                expected=f"finite Hounsfield units in {path}",
                found=f"RescaleSlope {tags.slope}, RescaleIntercept {tags.intercept}",
                fix="export the slice again",
            )
        )
    low, high = tags.padding
    return CtSlice(hounsfield, tags.pixel_size, (stored >= low) & (stored <= high))


def read_attenuation(path: str | os.PathLike[str]) -> tuple[NDArray[np.float32], PixelSize]:
    """A CT slice as attenuation in 1/mm, 0 in padding and where it is negative.

    Args:
        path: Path of a DICOM file, as in :func:`read_ct_dicom`.

    Returns:
        The image, float32 of shape (ny, nx), and its pixel size ``(dy, dx)`` in mm.

    Raises:
        FileFormatError: As for :func:`read_ct_dicom`.
        DataError: As for :func:`read_ct_dicom`.
    """
    ct = read_ct_dicom(path)
    image = hounsfield_to_attenuation(ct.hounsfield, clip=True)
    image[ct.padding] = 0.0
    return image.astype(np.float32), ct.pixel_size


def dicom_header(path: str | os.PathLike[str]) -> tuple[tuple[int, int], PixelSize]:
    """The shape (ny, nx) of a slice and its pixel size ``(dy, dx)`` in mm, without its pixels.

    Args:
        path: Path of a DICOM file.

    Raises:
        FileFormatError: As for :func:`read_ct_dicom`, as far as the header shows.
    """
    path = Path(path)
    tags = _tags(path, read_dicom(path, pixels=False))
    return tags.shape, tags.pixel_size


def dicom_subject(path: str | os.PathLike[str]) -> str | None:
    """The patient or series of a slice: PatientID, else SeriesInstanceUID, else None.

    Args:
        path: Path of a DICOM file.

    Raises:
        FileFormatError: There is no such file, or it is not DICOM.
    """
    dataset = read_dicom(Path(path), pixels=False)
    for tag in ("PatientID", "SeriesInstanceUID"):
        with reading(path, _EXPECTED, corrupt=f"a {tag} that is damaged"):
            value = str(dataset.get(tag) or "").strip()
        if value:
            return f"{tag} {value}"
    return None


def hounsfield_to_attenuation(
    hounsfield: FloatArray, water: float = WATER, *, clip: bool = False
) -> FloatArray:
    """The linear attenuation ``μ = water · (1 + HU/1000)``, in the unit of ``water``.

    Air, at -1000 HU, becomes 0. Values below it, from noise and from padding, become negative.

    Args:
        hounsfield: Hounsfield values of any shape.
        water: Attenuation of water, in 1/mm by default.
        clip: True to set negative attenuation to 0, which has no inverse.

    Raises:
        DataError: ``water`` is not positive.
    """
    _check_water(water)
    attenuation = water * (1.0 + hounsfield / 1000.0)
    return np.maximum(attenuation, 0.0) if clip else attenuation


def attenuation_to_hounsfield(attenuation: FloatArray, water: float = WATER) -> FloatArray:
    """``HU = 1000 · (μ/water - 1)``, the inverse of :func:`hounsfield_to_attenuation`.

    Args:
        attenuation: Attenuation of any shape, in the unit of ``water``.
        water: Attenuation of water, in 1/mm by default.

    Raises:
        DataError: ``water`` is not positive.
    """
    _check_water(water)
    return 1000.0 * (attenuation / water - 1.0)


class _Tags(NamedTuple):
    """The needed values of a header, as numbers."""

    shape: tuple[int, int]
    pixel_size: PixelSize
    slope: float
    intercept: float
    padding: tuple[float, float]


def read_dicom(path: Path, *, pixels: bool = True, expected: str = _EXPECTED) -> pydicom.Dataset:
    """A DICOM file, of which values are decoded only when they are used.

    Args:
        path: Path of the file.
        pixels: False to stop before the pixel data.
        expected: Noun phrase for the expected file, for messages.

    Raises:
        FileFormatError: There is no such file, or it is not DICOM.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    require_file(path, expected)
    with reading(path, expected, corrupt=_DAMAGED, fix=_AGAIN):
        with path.open("rb") as file:
            deflated = _DEFLATED in file.read(4096)
        if deflated:  # all of it is inflated at once
            refuse_size(path, 1032 * path.stat().st_size)
        try:
            return pydicom.dcmread(path, stop_before_pixels=not pixels)
        except InvalidDicomError as error:
            raise unreadable(path, expected, "no DICOM header", "check that it is DICOM") from error


def _tags(path: Path, dataset: pydicom.Dataset) -> _Tags:
    """The header, checked; values are decoded only now, and may be damaged."""
    with reading(path, _EXPECTED, corrupt=_DAMAGED, fix=_AGAIN):
        _check_kind(path, dataset)
        unit = dataset.get("RescaleType", "HU")
        if unit not in ("HU", "US"):  # US: unspecified, which older scanners write for CT
            raise _unreadable(path, f"RescaleType {unit}", "choose a slice in Hounsfield units, HU")
        low = dataset.get("PixelPaddingValue")
        high = dataset.get("PixelPaddingRangeLimit", low)
        ends = () if low is None else (float(low), float(high))
        return _Tags(
            (int(dataset.Rows), int(dataset.Columns)),
            _pixel_size(path, dataset),
            _number(path, dataset, "RescaleSlope"),
            _number(path, dataset, "RescaleIntercept"),
            (min(ends), max(ends)) if ends else (math.inf, -math.inf),
        )


def _check_kind(path: Path, dataset: pydicom.Dataset) -> None:
    modality = dataset.get("Modality")
    if modality is not None and modality != "CT":
        raise _unreadable(path, f"Modality {modality}", "choose a slice of a CT scan")
    frames = dataset.get("NumberOfFrames") or 1
    if int(frames) != 1:
        raise _unreadable(path, f"{frames} frames", "export one file for each slice")
    missing = [tag for tag in _NEEDED if dataset.get(tag) is None]
    if missing:
        raise _unreadable(path, f"no value for {', '.join(missing)}")
    if dataset.SamplesPerPixel != 1:
        raise _unreadable(
            path,
            f"colour, SamplesPerPixel {dataset.SamplesPerPixel}",
            "choose the slice itself and not a screenshot of it",
        )


def stored_pixels(
    path: Path, dataset: pydicom.Dataset, shape: tuple[int, int], expected: str = _EXPECTED
) -> NDArray[Any]:
    """The pixels of a file with one grey frame, as they are stored.

    Args:
        path: Path of the file.
        dataset: Content of the file.
        shape: Shape (ny, nx) that its header has.
        expected: Noun phrase for the expected file, for messages.

    Raises:
        FileFormatError: Pixel data are missing, truncated, of another shape, or in an unreadable
            compression.
    """
    if "PixelData" not in dataset:
        raise unreadable(path, expected, "no PixelData", _AGAIN)
    refuse_size(path, 8 * math.prod(shape))
    with reading(path, expected, corrupt="pixel data that break off, are corrupt or compressed"):
        stored = np.asarray(dataset.pixel_array)
    if stored.shape != shape:
        raise unreadable(path, expected, f"pixel data of shape {stored.shape} for {shape}", _AGAIN)
    return stored


def _pixel_size(path: Path, dataset: pydicom.Dataset) -> PixelSize:
    spacing = dataset.PixelSpacing
    try:
        rows, columns = (float(length) for length in spacing)
    except (TypeError, ValueError) as error:
        raise _unreadable(path, f"PixelSpacing {spacing}, not two numbers") from error
    if not all(_FINEST < length < _COARSEST for length in (rows, columns)):
        raise _unreadable(path, f"PixelSpacing {rows}, {columns}, not two positive lengths in mm")
    return rows, columns


def _number(path: Path, dataset: pydicom.Dataset, tag: str) -> float:
    from pydicom.multival import MultiValue

    value = dataset[tag].value
    if isinstance(value, MultiValue):
        raise _unreadable(path, f"{len(value)} values for {tag} instead of one")
    return float(value)


def _unreadable(path: Path, found: str, fix: str = _AGAIN) -> FileFormatError:
    return unreadable(path, _EXPECTED, found, fix)


def _check_water(water: float) -> None:
    if not (math.isfinite(water) and water > 0.0):
        raise DataError(
            describe(
                expected="a positive attenuation of water",
                found=str(water),
                fix="use about 0.02 per mm, or 0.2 per cm",
            )
        )
