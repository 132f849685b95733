"""Volumes of magnitude images, from which k-space can be simulated: NIfTI, DICOM, PNG and npy."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from learnedrecon.data.files.arrays import ending_of, read_array
from learnedrecon.data.files.dicom import DICOM_ENDINGS
from learnedrecon.data.files.dicom_images import is_magnitude_dicom, read_magnitude_dicom
from learnedrecon.data.files.nifti import NIFTI_ENDINGS, is_nifti, nifti_header
from learnedrecon.errors import DataError, ShapeError, require

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from learnedrecon.data.files.nifti import Affine


class MagnitudeVolume(NamedTuple):
    """A volume of magnitudes.

    Attributes:
        values: Magnitudes (slice, ny, nx), float32.
        voxel: Size (dz, dy, dx) of a voxel in mm, or None.
        affine: Position of the voxels in the scanner, or None.
        subject: Name of the patient or series, or None.
    """

    values: NDArray[np.float32]
    voxel: tuple[float, float, float] | None = None
    affine: Affine | None = None
    subject: str | None = None


def is_magnitude_scan(path: Path) -> bool:
    """True if a file is a scan of MRI by its kind: NIfTI, or DICOM of the modality MR.

    Args:
        path: Path of the file.
    """
    if is_nifti(path):
        return path.is_file()
    return path.suffix.lower() in DICOM_ENDINGS and is_magnitude_dicom(path)


def magnitude_volume(path: Path) -> MagnitudeVolume:
    """The volume in a file; the last two that were read are kept in memory.

    Args:
        path: Path of a file that ends as :data:`MAGNITUDE_ENDINGS` has it.

    Raises:
        FileFormatError: The file cannot be read.
        ShapeError: It has neither two nor three axes.
        DataError: A value is complex, negative, NaN or infinite, or all are zero.
    """
    return _kept(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=2)
def _kept(path: Path, _changed: int) -> MagnitudeVolume:
    found = _READERS[ending_of(path)](path)
    values = found.values if found.values.ndim == 3 else found.values[None]
    require(
        values.ndim == 3,
        ShapeError,
        expected=f"an image (ny, nx) or a volume (slice, ny, nx) in {path}",
        found=f"shape {found.values.shape}",
        fix="store one volume in each file",
    )
    require(
        values.dtype.kind in "iuf" and float(values.min()) >= 0 and float(values.max()) > 0,
        DataError,
        expected=f"magnitudes that are not all zero, without negative ones, in {path}",
        found=f"{values.dtype}, {values.min()} to {values.max()}",
        fix="store the magnitude of the image",
    )
    return found._replace(values=np.ascontiguousarray(values, dtype=np.float32))


def _array(path: Path) -> MagnitudeVolume:
    return MagnitudeVolume(read_array(path))


def _nifti(path: Path) -> MagnitudeVolume:
    header = nifti_header(path)
    return MagnitudeVolume(read_array(path), header.voxel, header.affine)


def _dicom(path: Path) -> MagnitudeVolume:
    found = read_magnitude_dicom(path)
    return MagnitudeVolume(found.values[None], found.voxel, None, found.subject)


_READERS: Final[dict[str, Callable[[Path], MagnitudeVolume]]] = {
    ".npy": _array,
    ".png": _array,
    **dict.fromkeys(NIFTI_ENDINGS, _nifti),
    **dict.fromkeys(sorted(DICOM_ENDINGS), _dicom),
}
MAGNITUDE_ENDINGS: Final = frozenset(_READERS)
"""By which files with magnitude images are known."""
