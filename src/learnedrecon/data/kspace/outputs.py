"""Files with reconstructed volumes: HDF5 as the challenge has it, npy, NIfTI, TIFF and PNG."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import h5py
import numpy as np

from learnedrecon.data.files.arrays import HDF5_ENDINGS, write_array
from learnedrecon.data.files.dicom_series import (
    DicomIdentity,
    Placement,
    series_paths,
    write_series,
)
from learnedrecon.data.files.nifti import is_nifti, require_nibabel, write_nifti
from learnedrecon.errors import FileFormatError, require
from learnedrecon.files import atomic_path

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RECONSTRUCTION: Final = "reconstruction"
"""The key of a submission to the challenge."""

VOLUME_ENDINGS: Final = (".h5", ".hdf5", ".npy", ".nii", ".nii.gz", ".dcm", ".tif", ".tiff", ".png")
"""By which outputs are known."""

_NOWHERE: Final = Placement()
_NOBODY: Final = DicomIdentity()


def require_volume_ending(path: Path) -> None:
    """Check for an output that can hold a volume.

    Args:
        path: Path of the output.

    Raises:
        FileFormatError: The ending is another one.
        MissingExtraError: It is NIfTI, and nibabel is not installed.
    """
    require(
        path.name.lower().endswith(VOLUME_ENDINGS),
        FileFormatError,
        expected=f"an output that ends in {', '.join(VOLUME_ENDINGS)}",
        found=str(path),
        fix="choose one of these endings",
    )
    if is_nifti(path):
        require_nibabel()


def volume_paths(path: Path, slices: int) -> tuple[Path, ...]:
    """The files that :func:`write_volume` writes.

    Args:
        path: Path of the output.
        slices: Number of slices.
    """
    return series_paths(path, slices) if path.suffix.lower() == ".dcm" else (path,)


def write_volume(
    path: Path,
    images: NDArray[np.complex64],
    place: Placement = _NOWHERE,
    identity: DicomIdentity = _NOBODY,
) -> None:
    """Atomic write of a volume.

    HDF5 has magnitudes, float32, (slice, ny, nx), under the key ``reconstruction``; npy the complex
    images; NIfTI magnitudes with the affine or the size of voxels; DICOM a derived series, one file
    a slice; TIFF magnitudes, one page a slice; PNG magnitudes from 0 to their largest, all slices
    side by side in rows.

    Args:
        path: Path of a file that ends as :data:`VOLUME_ENDINGS` has it.
        images: Images (slice, ny, nx), complex.
        place: Sizes and place of the voxels, for NIfTI and DICOM.
        identity: Patient and study, for DICOM.

    Raises:
        FileFormatError: The ending is unknown, or the file cannot be written.
    """
    require_volume_ending(path)
    ending = path.suffix.lower()
    magnitudes = np.abs(images).astype(np.float32)
    if ending in HDF5_ENDINGS:
        with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
            file.create_dataset(RECONSTRUCTION, data=magnitudes)
    elif is_nifti(path):
        with atomic_path(path) as temporary:
            write_nifti(temporary, magnitudes, place.voxel, place.affine)
    elif ending == ".dcm":
        write_series(path, magnitudes, place, identity)
    elif ending == ".npy":
        write_array(path, images)
    elif ending == ".png":
        picture = montage(magnitudes)
        write_array(path, picture, window=(0.0, float(picture.max()) or 1.0))
    else:
        write_array(path, magnitudes)


def montage(slices: NDArray[np.float32]) -> NDArray[np.float32]:
    """All slices in one picture, row by row, in about as many rows as columns.

    Args:
        slices: Slices (number, ny, nx).
    """
    number, ny, nx = slices.shape
    columns = math.ceil(math.sqrt(number))
    rows = math.ceil(number / columns)
    filled = np.zeros((rows * columns, ny, nx), slices.dtype)
    filled[:number] = slices
    return filled.reshape(rows, columns, ny, nx).transpose(0, 2, 1, 3).reshape(rows * ny, -1)
