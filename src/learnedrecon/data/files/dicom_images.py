"""Magnitude images of MRI from DICOM files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from learnedrecon.data.files.dicom import read_dicom, stored_pixels
from learnedrecon.data.files.hdf5 import require_finite
from learnedrecon.errors import FileFormatError
from learnedrecon.files import reading, unreadable

if TYPE_CHECKING:
    import os

    import pydicom
    from numpy.typing import NDArray

_EXPECTED: Final = "a DICOM file with one slice of an MRI scan"
_DAMAGED: Final = "a header that is damaged"
_AGAIN: Final = "export the slice again"
_MOST: Final = 1 << 16


class MagnitudeSlice(NamedTuple):
    """One slice of an MRI scan.

    Attributes:
        values: Magnitudes (ny, nx), float32, rescaled, row 0 at the top of the display.
        voxel: Size (dz, dy, dx) of a voxel in mm; None where the header does not have it.
        subject: Text of PatientID or SeriesInstanceUID, or None.
    """

    values: NDArray[np.float32]
    voxel: tuple[float, float, float] | None
    subject: str | None


def is_magnitude_dicom(path: str | os.PathLike[str]) -> bool:
    """True if a file is DICOM of the modality MR; False if it cannot be read.

    Args:
        path: Path of the file.
    """
    path = Path(path)
    if not path.is_file():
        return False
    try:
        dataset = read_dicom(path, pixels=False, expected=_EXPECTED)
        with reading(path, _EXPECTED, corrupt=_DAMAGED, fix=_AGAIN):
            return bool(dataset.get("Modality") == "MR")
    except FileFormatError:
        return False


def read_magnitude_dicom(path: str | os.PathLike[str]) -> MagnitudeSlice:
    """One slice of an MRI scan, with rescale slope and intercept applied where they are there.

    Args:
        path: Path of a DICOM file with one grey frame of the modality MR.

    Raises:
        FileFormatError: There is no such file; it is not DICOM, or not MR; there are several frames
            or colours; or a tag or the pixel data are damaged.
        DataError: A value is NaN or infinite.
    """
    path = Path(path)
    dataset = read_dicom(path, expected=_EXPECTED)
    with reading(path, _EXPECTED, corrupt=_DAMAGED, fix=_AGAIN):
        _check_kind(path, dataset)
        shape = (int(dataset.Rows), int(dataset.Columns))
        slope = _number(dataset, "RescaleSlope", 1.0)
        intercept = _number(dataset, "RescaleIntercept", 0.0)
        voxel = _voxel(dataset)
        names = [str(dataset.get(tag) or "").strip() for tag in ("PatientID", "SeriesInstanceUID")]
        if not 0 < min(shape) <= max(shape) < _MOST:
            raise unreadable(path, _EXPECTED, f"{shape[0]} x {shape[1]} pixels", _AGAIN)
    stored = stored_pixels(path, dataset, shape, _EXPECTED)
    with np.errstate(over="ignore", invalid="ignore"):
        values = (stored.astype(np.float64) * slope + intercept).astype(np.float32)
    require_finite(values, str(path))
    return MagnitudeSlice(values, voxel, next((name for name in names if name), None))


def _check_kind(path: Path, dataset: pydicom.Dataset) -> None:
    modality = dataset.get("Modality")
    if modality != "MR":
        raise unreadable(path, _EXPECTED, f"Modality {modality}", "choose a slice of an MRI scan")
    frames = dataset.get("NumberOfFrames") or 1
    if int(frames) != 1:
        found = f"{frames} frames"
        raise unreadable(path, _EXPECTED, found, "export one file for each slice")
    if int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise unreadable(path, _EXPECTED, "colours", "choose the slice itself, no screenshot")


def _number(dataset: pydicom.Dataset, tag: str, default: float) -> float:
    value: Any = dataset.get(tag)
    return default if value is None else float(value)


def _voxel(dataset: pydicom.Dataset) -> tuple[float, float, float] | None:
    spacing: Any = dataset.get("PixelSpacing")
    depth: Any = dataset.get("SliceThickness")
    if spacing is None or depth is None:
        return None
    rows, columns = (float(length) for length in spacing)
    sizes = (float(depth), rows, columns)
    return sizes if all(0 < size < 1e6 and math.isfinite(size) for size in sizes) else None
