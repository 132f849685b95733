"""What is in a user's file or folder, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from learnedrecon.cli.geometry_text import geometry_text
from learnedrecon.cli.measurement import is_data_exchange, is_dicom
from learnedrecon.data.arrays import read_array
from learnedrecon.data.dicom import read_ct_dicom
from learnedrecon.data.exchange import read_data_exchange
from learnedrecon.data.hdf5 import list_datasets, open_hdf5
from learnedrecon.data.summary import ArraySummary, FolderSummary, inspect_folder
from learnedrecon.errors import FileFormatError, describe

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_HDF5 = {".h5", ".hdf5"}
_PAIR_KEYS = {"measurement", "truth"}


class View(NamedTuple):
    """What was seen.

    Attributes:
        lines: for the user.
        geometry: YAML of a geometry to fill in, or None where there is no measurement.
        usable: whether nothing is broken.
    """

    lines: tuple[str, ...]
    geometry: str | None = None
    usable: bool = True


def look_at(path: Path, key: str | None = None) -> View:
    """Describes a file or a folder.

    Raises:
        FileFormatError: no such path, or a file that cannot be read.
        DataError: NaN or infinity.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise FileFormatError(
            describe(expected=f"a file or folder {path}", found="none", fix="correct the path")
        )
    if is_dicom(path):
        return _dicom(path)
    if path.suffix.lower() in _HDF5 and key is None:
        return _hdf5(path)
    return _array(str(path), read_array(path, key))


def folder_lines(summary: FolderSummary) -> tuple[str, ...]:
    """A folder of pairs in sentences."""
    arrays = (("measurements", summary.measurement), ("true images", summary.truth))
    return (
        f"{summary.path}: {len(summary.ids)} samples.",
        *(_array_line(name, array) for name, array in arrays),
        *([f"{summary.geometries} with a geometry of their own."] if summary.geometries else []),
        *(f"PROBLEM: {line}" for line in (*summary.unmatched, *summary.problems)),
        *([f"{len(summary.ignored)} other files, ignored."] if summary.ignored else []),
    )


def _folder(path: Path) -> View:
    summary = inspect_folder(path)
    lines = list(folder_lines(summary))
    if summary.truth is not None and summary.usable:
        lines.append(f"Next: learnedrecon init --from {path} -o config.yaml")
    elif summary.truth is None:
        lines.append("Without true images nothing can be learned; 'reconstruct' takes one file.")
    geometry = None
    if summary.measurement is not None and summary.measurement.shapes:
        shape = None if summary.truth is None else _image_shape(summary.truth)
        angles, pixels = summary.measurement.shapes[0][0][-2:]
        geometry = geometry_text((angles, pixels), shape=shape)
    return View(tuple(lines), geometry, summary.usable)


def _image_shape(truth: ArraySummary) -> tuple[int, int] | None:
    if not truth.shapes or len(truth.shapes[0][0]) < 2:
        return None
    ny, nx = truth.shapes[0][0][-2:]
    return ny, nx


def _array_line(name: str, array: ArraySummary | None) -> str:
    if array is None:
        return f"No {name}."
    shapes = ", ".join(f"{shape} ({number}x)" for shape, number in array.shapes[:5])
    dtypes = ", ".join(dtype for dtype, _ in array.dtypes)
    if array.low is None:
        return f"{array.number} {name}, none of which can be read."
    return f"{array.number} {name}: {shapes}, {dtypes}, values {array.low:.4g} to {array.high:.4g}."


def _dicom(path: Path) -> View:
    ct = read_ct_dicom(path)
    low, high = ct.hounsfield.min(), ct.hounsfield.max()
    dy, dx = ct.pixel_size
    return View(
        (
            f"{path}: a CT slice (DICOM), {ct.hounsfield.shape}, pixels of {dy:g} x {dx:g} mm,",
            f"{low:g} to {high:g} Hounsfield units, {int(ct.padding.sum())} padding pixels.",
            f"Next: learnedrecon reconstruct MODEL {path} --simulate -o image.tif",
        )
    )


def _hdf5(path: Path) -> View:
    if is_data_exchange(path):
        return _exchange(path)
    with open_hdf5(path) as file:
        datasets = list_datasets(file)
        dtypes = {name: str(file[name].dtype) for name in datasets}
    if {name.split("/")[0] for name in datasets} & _PAIR_KEYS:
        return _folder(path)
    lines = [f"{path}: HDF5 with {len(datasets)} data sets."]
    lines += [f"  --key {name}: {shape}, {dtypes[name]}" for name, shape in datasets.items()]
    if len(datasets) != 1:
        lines.append("Name one with --key to look into it.")
        return View(tuple(lines))
    view = _array(str(path), read_array(path))
    return View((*lines, *view.lines), view.geometry)


def _exchange(path: Path) -> View:
    scan = read_data_exchange(path)
    values, clipped = scan.line_integrals()
    angles, pixels = values.shape
    first, last = np.rad2deg(scan.theta[[0, -1]])
    low, high = values.min(), values.max()
    lines = (
        f"{path}: Data Exchange, row 0: {angles} angles from {first:.4g} to {last:.4g} degrees.",
        f"{pixels} detector pixels; {len(scan.white)} white and {len(scan.dark)} dark frames.",
        f"Corrected line integrals from {low:.4g} to {high:.4g}, {clipped} clipped.",
        "Missing: the detector's pitch, the rotation axis, the image's shape and pixel size.",
    )
    return View(lines, geometry_text((angles, pixels), theta=scan.theta.tolist()))


def _array(name: str, values: NDArray[np.generic]) -> View:
    low, high = np.abs(values).min() if values.dtype.kind == "c" else values.min(), values.max()
    lines = (
        f"{name}: {values.shape}, {values.dtype}, values {low:.4g} to {high:.4g}, all finite.",
    )
    if values.ndim not in {2, 3}:
        return View((*lines, "Neither an image nor a sinogram: these have two axes."))
    angles, pixels = values.shape[-2:]
    return View(
        (
            *lines,
            f"As a measurement: {angles} angles and {pixels} detector pixels.",
            "Its geometry is missing: --write-geometry G.yaml writes one to fill in.",
            f"As an image: {angles} rows of {pixels} pixels; 'reconstruct --simulate' takes it.",
        ),
        geometry_text((angles, pixels)),
    )
