"""Volumes in NIfTI-1 and NIfTI-2, by the headers of nibabel, an extra.

The first axis of a file is the column, the second the row, the third the slice: arrays here are
(slice, ny, nx). An affine stays that of the file's axes (column, row, slice), in mm. Header
extensions are not parsed.
"""

from __future__ import annotations

import gzip
import math
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from learnedrecon.data.files.hdf5 import require_finite
from learnedrecon.errors import Library, ShapeError, load_extra, require
from learnedrecon.files import reading, refuse_size, require_file, unreadable

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray

Affine = tuple[tuple[float, float, float, float], ...]
"""The rows of a 4 x 4 matrix from (column, row, slice, 1) to (x, y, z, 1) in mm."""

NIFTI_ENDINGS: Final = (".nii", ".nii.gz")
"""By which NIfTI files are known."""

_LIBRARY, _EXTRA = "nibabel", "nifti"
_EXPECTED: Final = "a NIfTI file with one volume"
_MM: Final = {"mm": 1.0, "meter": 1e3, "micron": 1e-3, "unknown": 1.0}
_FARTHEST: Final = 1 << 24
"""The largest offset of the values in a file, in bytes."""
_AGAIN: Final = "export or convert the volume again"


class NiftiHeader(NamedTuple):
    """The header of a volume.

    Attributes:
        shape: Shape (slice, ny, nx).
        dtype: Type of the stored numbers.
        voxel: Size (dz, dy, dx) of a voxel in mm; None where it is not given.
        affine: Position of the voxels in the scanner or in a template; None where none is claimed.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    voxel: tuple[float, float, float] | None
    affine: Affine | None


def is_nifti(path: str | os.PathLike[str]) -> bool:
    """True if a path ends as NIfTI files do.

    Args:
        path: Path of a file.
    """
    return Path(path).name.lower().endswith(NIFTI_ENDINGS)


def require_nibabel() -> None:
    """Check that nibabel is installed.

    Raises:
        MissingExtraError: It is not; the message says what to install.
    """
    load_extra(_LIBRARY, _EXTRA)


def nifti_header(path: str | os.PathLike[str]) -> NiftiHeader:
    """The header of a volume.

    Args:
        path: Path of a file that ends in .nii or .nii.gz.

    Raises:
        MissingExtraError: The package nibabel is not installed.
        FileFormatError: There is no such file, or it is damaged or no single NIfTI file.
        ShapeError: It has a time axis or further ones, or is empty.
    """
    path = Path(path)
    header = _library_header(path)
    with reading(path, _EXPECTED, fix=_AGAIN):
        dtype = header.get_data_dtype()
        shape = tuple(int(n) for n in header.get_data_shape())
        factor = _MM[header.get_xyzt_units()[0]]
        sizes = tuple(factor * float(size) for size in header.get_zooms()[:3])
        claimed = int(header["qform_code"]) > 0 or int(header["sform_code"]) > 0
        affine = np.asarray(header.get_best_affine(), np.float64)
    if dtype.kind not in "iuf":
        raise unreadable(path, _EXPECTED, f"values of type {dtype}", "store real numbers")
    full = (*shape, 1, 1, 1)
    require(
        min(full) > 0 and math.prod(full[3:]) == 1,
        ShapeError,
        expected=f"one volume of three axes in {path}",
        found=f"shape {shape}, (column, row, slice, time, ...)",
        fix="store the volume that you want in a file of its own",
    )
    affine[:3] *= factor
    known = len(sizes) == 3 and all(math.isfinite(size) and size > 0 for size in sizes)
    return NiftiHeader(
        (full[2], full[1], full[0]),
        dtype,
        (sizes[2], sizes[1], sizes[0]) if known else None,
        _as_tuples(affine) if claimed and bool(np.isfinite(affine).all()) else None,
    )


def read_nifti(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """A volume, (slice, ny, nx), with its slope and intercept applied.

    Args:
        path: Path of a file that ends in .nii or .nii.gz.

    Raises:
        MissingExtraError: The package nibabel is not installed.
        FileFormatError: The file cannot be read, breaks off, or does not fit into memory.
        ShapeError: It has a time axis or further ones, or is empty.
        DataError: A value is NaN or infinite.
    """
    path = Path(path)
    known, header = nifti_header(path), _library_header(path)
    tools = load_extra("nibabel.volumeutils", _EXTRA)
    refuse_size(path, max(4, known.dtype.itemsize) * math.prod(known.shape))
    with reading(path, _EXPECTED, fix=_AGAIN), np.errstate(over="ignore", invalid="ignore"):
        slope, intercept = header.get_slope_inter()
        offset = int(header.get_data_offset())
        if not 0 <= offset <= _FARTHEST:
            raise unreadable(path, _EXPECTED, f"values at byte {offset}", _AGAIN)
        with _opened(path) as file:
            columns = known.shape[::-1]
            stored = tools.array_from_file(columns, known.dtype, file, offset, mmap=False)
        values = np.asarray(tools.apply_read_scaling(stored, slope, intercept)).T
        values = np.ascontiguousarray(values, dtype=np.float32)
    require_finite(values, str(path))
    return values


def write_nifti(
    path: Path,
    volume: NDArray[np.floating],
    voxel: tuple[float, float, float] | None = None,
    affine: Affine | None = None,
) -> None:
    """Writes a volume in NIfTI-1, in single precision; equal volumes are equal files.

    Args:
        path: Path of a file that ends in .nii, or in .gz for gzip.
        volume: Numbers (slice, ny, nx).
        voxel: Size (dz, dy, dx) of a voxel in mm; None where it is not known, which is written as 1
            without a unit.
        affine: Position of the voxels in the scanner. None claims no orientation: both codes are 0,
            and readers take the affine from the voxel sizes alone.

    Raises:
        MissingExtraError: The package nibabel is not installed.
    """
    library = load_extra(_LIBRARY, _EXTRA)
    values = np.ascontiguousarray(volume, dtype=np.float32).transpose(2, 1, 0)
    image = library.Nifti1Image(values, None if affine is None else np.asarray(affine))
    if voxel is not None and affine is None:
        image.header.set_zooms(voxel[::-1])
    if voxel is not None or affine is not None:
        image.header.set_xyzt_units("mm")
    if affine is not None:
        image.set_sform(np.asarray(affine), code="scanner")
        image.set_qform(None, code="unknown")
    content = image.to_bytes()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _library_header(path: Path) -> Library:
    """The library's header of a single file."""
    require_file(path, _EXPECTED)
    library = load_extra(_LIBRARY, _EXTRA)
    with reading(path, _EXPECTED, fix=_AGAIN):
        with _opened(path) as file:
            block = file.read(540)
        kinds = {348: library.Nifti1Header, 540: library.Nifti2Header}
        orders = [int.from_bytes(block[:4], order) for order in ("little", "big")]
        size = next((each for each in orders if each in kinds), 0)
        if not size or len(block) < size:
            raise unreadable(path, _EXPECTED, "no header of NIfTI-1 or NIfTI-2", _AGAIN)
        header = kinds[size](block[:size])
    if not bytes(header["magic"]).startswith(b"n+"):
        raise unreadable(
            path, _EXPECTED, "the header of a pair of files, .hdr and .img", "convert it to .nii"
        )
    return header


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        yield file  # type: ignore[misc]


def _as_tuples(affine: NDArray[np.float64]) -> Affine:
    return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in affine)
