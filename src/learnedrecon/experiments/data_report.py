"""What is in a user's file or folder, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from learnedrecon.data.files.arrays import read_array
from learnedrecon.data.files.dicom import read_ct_dicom
from learnedrecon.data.files.exchange import read_data_exchange
from learnedrecon.data.files.hdf5 import list_datasets, open_hdf5, reading
from learnedrecon.data.splits import NUMBERED, numbered_objects, split_ids
from learnedrecon.data.summary import ArraySummary, FolderSummary, inspect_folder
from learnedrecon.errors import FileFormatError, describe
from learnedrecon.experiments.geometry_text import geometry_text, image_geometry_text
from learnedrecon.experiments.measurement import is_data_exchange, is_dicom

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
        *_split_lines(summary),
        *([f"{summary.geometries} with a geometry of their own."] if summary.geometries else []),
        *(f"PROBLEM: {line}" for line in (*summary.unmatched, *summary.problems)),
        *([f"{len(summary.ignored)} other files, ignored."] if summary.ignored else []),
    )


def _split_lines(summary: FolderSummary) -> tuple[str, ...]:
    """How many samples each split has by default, and which have none."""
    if summary.truth is None or not summary.ids:
        return ()
    splits = split_ids(summary.ids, groups=summary.groups)
    counts = {name: len(ids) for name, ids in splits.items()}
    text = ", ".join(f"{number} {name}" for name, number in counts.items())
    empty = [name for name, number in counts.items() if not number]
    warning = f" Too few: none for {' and '.join(empty)}." if empty else ""
    return (f"Split by default: {text}.{warning}", *_group_lines(summary))


def _group_lines(summary: FolderSummary) -> tuple[str, ...]:
    """What stays together in a split, or seems to be in need of it."""
    if summary.groups:
        subjects = len(set(summary.groups.values()))
        return (f"Slices of one patient share a split: {subjects} patients or series (DICOM).",)
    objects = numbered_objects(summary.ids)
    if not objects:
        return ()
    warning = (
        f"WARNING: these seem to be numbered slices of {objects} objects. By default each slice is "
        "put into a split by itself, so that one object is both learned from and tested on."
    )
    return (warning, f"If so, keep the slices of an object together: group: '{NUMBERED}'")


def _folder(path: Path) -> View:
    summary = inspect_folder(path)
    lines = list(folder_lines(summary))
    if summary.truth is not None and summary.usable:
        lines.append(f"Next: learnedrecon init --from {path} -o config.yaml")
    elif summary.truth is None:
        lines.append("Without true images nothing can be learned; 'reconstruct' takes one file.")
    geometry = None
    if summary.measurement is not None and _is_stack(summary.measurement):
        shape = None if summary.truth is None else _image_shape(summary.truth)
        angles, pixels = summary.measurement.shapes[0][0][-2:]
        geometry = geometry_text((angles, pixels), shape=shape)
    return View(tuple(lines), geometry, summary.usable)


def _is_stack(array: ArraySummary) -> bool:
    return bool(array.shapes) and len(array.shapes[0][0]) >= 2


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
    values = "magnitudes" if "complex" in dtypes else "values"
    return (
        f"{array.number} {name}: {shapes}, {dtypes}, {values} {array.low:.4g} to {array.high:.4g}."
    )


def _dicom(path: Path) -> View:
    ct = read_ct_dicom(path)
    low, high = ct.hounsfield.min(), ct.hounsfield.max()
    dy, dx = ct.pixel_size
    rows, columns = ct.hounsfield.shape
    return View(
        (
            f"{path}: a CT slice (DICOM), {ct.hounsfield.shape}, pixels of {dy:g} x {dx:g} mm,",
            f"{low:g} to {high:g} Hounsfield units, {int(ct.padding.sum())} padding pixels.",
            "An image, which can be measured by simulation. Next, with a model and its geometry:",
            f"  learnedrecon reconstruct MODEL {path} --simulate -o image.tif",
            "or with a scan of this image: --write-geometry G.yaml writes one to fill in, for",
            f"  learnedrecon reconstruct fbp {path} --simulate --geometry G.yaml -o image.tif",
        ),
        image_geometry_text((rows, columns), ct.pixel_size),
    )


def _hdf5(path: Path) -> View:
    if is_data_exchange(path):
        return _exchange(path)
    with open_hdf5(path) as file:
        datasets = list_datasets(file)
        with reading(path):
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
    imaginary = values.dtype.kind == "c"
    seen = np.abs(values) if imaginary else values
    what = "magnitudes" if imaginary else "values"
    first = (
        f"{name}: {values.shape}, {values.dtype}, {what} {seen.min():.4g} to {seen.max():.4g}, "
        "all finite."
    )
    if values.ndim not in {2, 3}:
        return View((first, "Neither an image nor a sinogram: these have two axes."))
    if imaginary:
        return View((first, *_complex_lines(values.shape)))
    *stack, rows, columns = values.shape
    sinogram = f"{rows} angles and {columns} detector pixels"
    image = f"{rows} rows of {columns} pixels"
    middle: tuple[str, ...]
    if stack:
        middle = (
            f"A stack of {stack[0]} along the first axis.",
            f"As measurements: each of {sinogram}; 'reconstruct' takes them all.",
            f"As images: each of {image}; store each in a file of its own.",
        )
    else:
        middle = (
            f"As a measurement: {sinogram}.",
            f"As an image: {image}; 'reconstruct --simulate' takes it.",
        )
    last = (
        "The geometry of a measurement is missing: --write-geometry G.yaml writes one to fill in."
    )
    return View((first, *middle, last), geometry_text((rows, columns)))


def _complex_lines(shape: tuple[int, ...]) -> tuple[str, ...]:
    *stack, rows, columns = shape
    many = f"A stack of {stack[0]} slices or coils" if stack else "One array"
    return (
        f"{many} of {rows} x {columns} complex numbers, such as k-space data of MRI.",
        "They need a complex operator, which is not here yet: nothing here reconstructs them.",
    )
