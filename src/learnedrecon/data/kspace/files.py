"""Files with k-space: fastMRI's HDF5, and arrays whose axes a text beside them names.

fastMRI (Zbontar et al. 2018, arXiv:1811.08839): ``kspace``, complex, (slice, coil, ky, kx) or, of
one coil, (slice, ky, kx), where ky is the readout, oversampled, and kx the phase encoding;
``reconstruction_rss`` or ``reconstruction_esc``, (slice, ny, nx), the image of all of k-space, with
the readout cropped; ``mask``, (kx,), in files that are undersampled; ``ismrmrd_header``, XML; and
attributes ``acquisition`` and ``patient_id``. Each of these but ``kspace`` may be missing.

Another array, npy, npz or HDF5, is k-space where ``NAME.yaml`` beside NAME.npy, or ``kspace.yaml``
in its folder, names its axes:

    axes: [coil, ky, kx]     # of slice, coil, ky and kx; ky and kx must be there
    key: data                # of an array in npz or HDF5, where there are several
    matrix: [320, 320]       # the reconstructed image, (ny, nx), where it is smaller than k-space
    voxel: [3.0, 0.7, 0.7]   # mm, (dz, dy, dx)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py

from learnedrecon.data.files.arrays import HDF5_ENDINGS, array_header, read_array
from learnedrecon.data.files.hdf5 import (
    get_dataset,
    get_item,
    open_hdf5,
    read_dataset,
    reading,
)
from learnedrecon.data.kspace.header import KSpaceFile, KSpaceSource
from learnedrecon.data.kspace.ismrmrd_xml import EncodingHeader, encoding_header
from learnedrecon.data.kspace.raw_scan import is_raw_scan, read_raw_scan
from learnedrecon.data.yaml_text import read_yaml
from learnedrecon.errors import DataError, FileFormatError, ShapeError, describe, require
from learnedrecon.files import refuse_size, require_file
from learnedrecon.specs import from_plain

if TYPE_CHECKING:
    import os

    import numpy as np
    from numpy.typing import NDArray

KSPACE: Final = "kspace"
"""The key of k-space in fastMRI's files."""

REFERENCES: Final = ("reconstruction_rss", "reconstruction_esc")
"""The keys of reference images in fastMRI's files."""

SHARED: Final = "kspace.yaml"
"""The text that names the axes of every array of a folder."""

PLAIN_ENDINGS: Final = frozenset({".npy", ".npz"}) | HDF5_ENDINGS
_AXES: Final = ("slice", "coil", "ky", "kx")


@dataclass(frozen=True)
class SideCar:
    """The text beside an array of k-space.

    Attributes:
        axes: Names of its axes, of slice, coil, ky and kx, in the order of the array.
        key: Key of the array in npz or HDF5, or None.
        matrix: Shape (ny, nx) of the reconstructed image, or None for that of k-space.
        voxel: Size (dz, dy, dx) of a voxel in mm, or None.

    Raises:
        DataError: An axis is unknown, twice there or missing, or a size is not positive.
    """

    axes: tuple[str, ...]
    key: str | None = None
    matrix: tuple[int, int] | None = None
    voxel: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        known = set(self.axes) <= set(_AXES) and len(set(self.axes)) == len(self.axes)
        require(
            known and {"ky", "kx"} <= set(self.axes),
            DataError,
            expected="axes among slice, coil, ky and kx, each once, with ky and kx",
            found=", ".join(self.axes) or "none",
            fix="name every axis of the array, in its order; a 3D scan is first transformed along "
            "its third axis, which then numbers slices",
        )
        sizes = (*(self.matrix or (1,)), *(self.voxel or (1,)))
        require(
            min(sizes) > 0,
            DataError,
            expected="a matrix and a voxel of positive sizes",
            found=f"matrix {self.matrix}, voxel {self.voxel}",
            fix="correct or omit them",
        )


@dataclass(frozen=True)
class ArraySource(KSpaceSource):
    """An array of a file whose axes are known.

    Attributes:
        key: Key of the array in the file, or None.
        axes: Places of (slice, coil, ky, kx) in the array, None for those that it does not have.
    """

    key: str | None
    axes: tuple[int | None, ...]
    layout = "an array with named axes"

    def slice(self, path: Path, number: int) -> NDArray[Any]:
        with_slices = self.axes[0] is not None
        if path.suffix.lower() in HDF5_ENDINGS and self.axes[0] in {0, None}:
            with open_hdf5(path) as file:
                dataset = get_dataset(file, self.key or "")
                values = read_dataset(dataset, number if with_slices else ())
        else:
            whole = _kept_array(path, self.key, path.stat().st_mtime_ns)
            values = whole.take(number, axis=self.axes[0]) if with_slices else whole
        places = [place for place in self.axes[1:] if place is not None]
        return values.transpose([sorted(places).index(place) for place in places])


@dataclass(frozen=True)
class FastMRISource(ArraySource):
    """The arrays of fastMRI.

    Attributes:
        reference: Key of the reference images, or None.
    """

    reference: str | None = None
    layout = "fastMRI's layout"

    def reference_image(self, path: Path, number: int) -> NDArray[Any] | None:
        if self.reference is None:
            return None
        with open_hdf5(path) as file:
            return read_dataset(get_dataset(file, self.reference), number)


def is_kspace(path: str | os.PathLike[str], key: str | None = None) -> bool:
    """True if a file has k-space: fastMRI's key, or a text beside it that names its axes.

    A file that cannot be read is none.

    Args:
        path: Path of a file.
        key: Key that the user gave, or None; with another than ``kspace`` the file is none.
    """
    path = Path(path)
    if key not in {None, KSPACE} or path.suffix.lower() not in PLAIN_ENDINGS:
        return False
    if not path.is_file():
        return False
    try:
        return _side_car_path(path) is not None or _has_kspace(path)
    except FileFormatError:
        return False


def read_kspace(path: str | os.PathLike[str]) -> KSpaceFile:
    """The header of a file with k-space.

    Args:
        path: Path of the file.

    Raises:
        FileFormatError: The file cannot be read, or has no k-space.
        ShapeError: k-space has another number of axes, or is empty.
        DataError: k-space is not complex, or a mask does not fit.
    """
    path = require_file(path, "a file with k-space")
    side = _side_car_path(path)
    if side is not None:
        return _plain(path, from_plain(SideCar, read_yaml(side), str(side)))
    if path.suffix.lower() in HDF5_ENDINGS:
        if is_raw_scan(path):
            return read_raw_scan(path)
        with open_hdf5(path) as file:
            return _fastmri(path, file)
    raise FileFormatError(
        describe(
            expected=f"HDF5 with the key '{KSPACE}', or {path.stem}.yaml beside {path.name}, which "
            "names its axes",
            found="neither",
            fix=f"write {path.with_suffix('.yaml')} with 'axes: [coil, ky, kx]' or as they are",
        )
    )


def _fastmri(path: Path, file: h5py.File) -> KSpaceFile:
    dataset = get_dataset(file, KSPACE)
    with reading(path):
        shape, dtype = tuple(dataset.shape or ()), dataset.dtype
    _require_complex(path, dtype, shape, (3, 4))
    axes = (0, 1, 2, 3) if len(shape) == 4 else (0, None, 1, 2)
    whole = shape if len(shape) == 4 else (shape[0], 1, *shape[1:])
    header = _header(path, file)
    reference, size = _reference(path, file, shape[0])
    matrix = header.matrix or size or (whole[2], whole[3])
    missing = [*header.missing, *([] if reference else ["a reference image"])]
    if header.matrix is None and size is not None:
        missing.remove("the reconstructed matrix")
    slices, coils, ky, kx = whole
    return KSpaceFile(
        path,
        FastMRISource(KSPACE, axes, reference),
        (slices, coils, ky, kx),
        coils if len(shape) == 4 else None,
        _within(matrix, ky, kx),
        header.voxel,
        padding=header.padding,
        reference=reference,
        mask=_mask(path, file, kx),
        attributes=_attributes(path, file),
        missing=tuple(missing),
    )


def _plain(path: Path, side: SideCar) -> KSpaceFile:
    header = array_header(path, side.key)
    _require_complex(path, header.dtype, header.shape, (len(side.axes),))
    places = tuple(side.axes.index(name) if name in side.axes else None for name in _AXES)
    slices, coils, ky, kx = (1 if p is None else header.shape[p] for p in places)
    refuse_size(path, header.dtype.itemsize * slices * coils * ky * kx)
    return KSpaceFile(
        path,
        ArraySource(side.key, places),
        (slices, coils, ky, kx),
        None if places[1] is None else coils,
        _within(side.matrix or (ky, kx), ky, kx),
        side.voxel,
        missing=("a reference image", *(() if side.voxel else ("the size of voxels",))),
    )


def _within(matrix: tuple[int, int], ky: int, kx: int) -> tuple[int, int]:
    """The matrix, at most k-space; fastMRI takes a square where there are fewer columns."""
    rows, columns = matrix
    return (min(rows, kx, ky), kx) if kx < columns else (min(rows, ky), columns)


def _require_complex(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    require(
        dtype.kind == "c",
        DataError,
        expected=f"complex k-space in {path}",
        found=f"values of type {dtype}",
        fix="store real and imaginary parts as complex numbers, such as complex64",
    )
    require(
        len(shape) in axes and 0 not in shape,
        ShapeError,
        expected=f"k-space with {' or '.join(map(str, axes))} axes and no empty one in {path}",
        found=f"shape {shape}",
        fix="store (slice, coil, ky, kx), or of one coil (slice, ky, kx); of other arrays the text "
        "beside the file names the axes",
    )


def _header(path: Path, file: h5py.File) -> EncodingHeader:
    with reading(path):
        item = get_item(file, "ismrmrd_header")
        if not isinstance(item, h5py.Dataset) or item.size != 1:
            return EncodingHeader()
    value: Any = read_dataset(get_dataset(file, "ismrmrd_header")).reshape(-1)[0]
    return encoding_header(value if isinstance(value, str | bytes) else bytes(value), path)


def _reference(
    path: Path, file: h5py.File, slices: int
) -> tuple[str | None, tuple[int, int] | None]:
    """The key and the shape (ny, nx) of the reference images."""
    for key in REFERENCES:
        with reading(path):
            item = get_item(file, key)
            shape = tuple(item.shape or ()) if isinstance(item, h5py.Dataset) else None
        if shape is None:
            continue
        require(
            len(shape) == 3 and shape[0] == slices and 0 not in shape,
            ShapeError,
            expected=f"'{key}' of shape ({slices}, ny, nx) in {path}, as many slices as k-space",
            found=f"shape {shape}",
            fix="copy or download the file again",
        )
        return key, (shape[1], shape[2])
    return None, None


def _mask(path: Path, file: h5py.File, columns: int) -> tuple[bool, ...] | None:
    with reading(path):
        if not isinstance(get_item(file, "mask"), h5py.Dataset):
            return None
    values = read_dataset(get_dataset(file, "mask"))
    require(
        values.size == columns and values.dtype.kind in "biuf" and not set(values.flat) - {0, 1},
        DataError,
        expected=f"a mask of {columns} zeros and ones in {path}, one for each column of k-space",
        found=f"shape {values.shape}, {values.dtype}",
        fix="remove the mask from the file, or write the one that it was measured with",
    )
    return tuple(bool(value) for value in values.reshape(-1))


def _attributes(path: Path, file: h5py.File) -> tuple[tuple[str, str], ...]:
    found = {}
    with reading(path):
        for name in ("acquisition", "patient_id"):
            value = file.attrs.get(name)
            if isinstance(value, bytes):
                value = value.decode("utf-8", "replace")
            if isinstance(value, str) and value:
                found[name] = value[:200]
    return tuple(found.items())


def _has_kspace(path: Path) -> bool:
    if path.suffix.lower() not in HDF5_ENDINGS:
        return False
    with open_hdf5(path) as file, reading(path):
        if isinstance(get_item(file, KSPACE), h5py.Dataset):
            return True
    return is_raw_scan(path)


def _side_car_path(path: Path) -> Path | None:
    """The text with the axes of an array; another text of the same name is none."""
    for side in (path.with_suffix(".yaml"), path.parent / SHARED):
        if side.is_file() and path.suffix.lower() in PLAIN_ENDINGS:
            values = read_yaml(side)
            if isinstance(values, dict) and "axes" in values:
                return side
    return None


@lru_cache(maxsize=1)
def _kept_array(path: Path, key: str | None, _changed: int) -> NDArray[Any]:
    """An array that is read as a whole, of which slice after slice is taken."""
    return read_array(path, key)
