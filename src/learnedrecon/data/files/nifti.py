"""Writing of volumes in NIfTI-1, without a library."""

from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NIFTI_ENDINGS: Final = (".nii", ".nii.gz")
"""By which NIfTI files are known."""

_HEADER: Final = 348
_OFFSET: Final = 352
_FLOAT32: Final = 16
_MILLIMETRES: Final = 2


def is_nifti(path: Path) -> bool:
    """True if a path ends as NIfTI files do.

    Args:
        path: Path of a file.
    """
    return path.name.lower().endswith(NIFTI_ENDINGS)


def nifti_bytes(volume: NDArray[np.floating], voxel: tuple[float, float, float] | None) -> bytes:
    """A volume as the content of a NIfTI-1 file, in single precision.

    The first axis of the file is the column, the second the row, the third the slice. Voxel sizes
    are in mm; no orientation is claimed (``qform_code`` and ``sform_code`` are 0), so that readers
    take the affine from the voxel sizes alone.

    Args:
        volume: Numbers (slice, ny, nx).
        voxel: Size (dz, dy, dx) of a voxel in mm; None where it is not known, which is written as 1
            without a unit.
    """
    slices, ny, nx = volume.shape
    dz, dy, dx = (1.0, 1.0, 1.0) if voxel is None else voxel
    header = bytearray(_OFFSET)
    struct.pack_into("<i", header, 0, _HEADER)
    struct.pack_into("<8h", header, 40, 3, nx, ny, slices, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, _FLOAT32, 32)
    struct.pack_into("<8f", header, 76, 1.0, dx, dy, dz, 0.0, 0.0, 0.0, 0.0)
    struct.pack_into("<3f", header, 108, float(_OFFSET), 1.0, 0.0)
    header[123] = 0 if voxel is None else _MILLIMETRES
    header[344:348] = b"n+1\0"
    return bytes(header) + np.ascontiguousarray(volume, dtype="<f4").tobytes()


def write_nifti(
    path: Path,
    volume: NDArray[np.floating],
    voxel: tuple[float, float, float] | None,
    *,
    compressed: bool,
) -> None:
    """Writes a volume in NIfTI-1.

    Args:
        path: Path of the file.
        volume: Numbers (slice, ny, nx).
        voxel: Size (dz, dy, dx) of a voxel in mm, or None.
        compressed: True for gzip, without a time, so that equal volumes are equal files.
    """
    content = nifti_bytes(volume, voxel)
    path.write_bytes(gzip.compress(content, mtime=0) if compressed else content)
