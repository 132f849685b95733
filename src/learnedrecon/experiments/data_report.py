"""A description of a user's file or folder, in sentences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import h5py
import numpy as np
import torch

from learnedrecon.config.yaml_file import dump_operator
from learnedrecon.data.datasets import image_tensor
from learnedrecon.data.files.arrays import HDF5_ENDINGS, read_array
from learnedrecon.data.files.dicom import read_ct_dicom
from learnedrecon.data.files.hdf5 import get_item, list_datasets, open_hdf5, reading
from learnedrecon.data.kspace.files import KSPACE
from learnedrecon.data.kspace.folder import holds_kspace, holds_magnitude_scans
from learnedrecon.data.kspace.simulated import MagnitudeSimulation
from learnedrecon.data.raw_values import seems_raw
from learnedrecon.data.summary import ArraySummary, FolderSummary, inspect_folder
from learnedrecon.errors import LearnedReconError
from learnedrecon.experiments.folder_config import try_config
from learnedrecon.experiments.folder_lines import folder_lines
from learnedrecon.experiments.geometry_text import geometry_text, image_geometry_text
from learnedrecon.experiments.kspace_report import kspace_lines
from learnedrecon.experiments.measurement import is_dicom
from learnedrecon.experiments.published import next_line, recognised
from learnedrecon.experiments.raw import RawInput, is_raw
from learnedrecon.experiments.raw_report import raw_lines
from learnedrecon.experiments.truncation_lines import truncation_lines
from learnedrecon.files import require_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PAIR_KEYS = {"measurement", "truth"}


class View(NamedTuple):
    """A description of data.

    Attributes:
        lines: Lines for the user.
        geometry: YAML of a geometry template, or None where there is no measurement.
        usable: True if nothing is broken.
    """

    lines: tuple[str, ...]
    geometry: str | None = None
    usable: bool = True


def look_at(path: Path, key: str | None = None, raw: RawInput | None = None) -> View:
    """The description of a file or a folder.

    Args:
        path: Path of the file or folder.
        key: Key of the data set in an HDF5 file.
        raw: Frames, rows, angles and corrections of a raw scan, or None.

    Raises:
        FileFormatError: There is no such path, or a file cannot be read.
        DataError: A value is NaN or infinite.
    """
    raw = RawInput() if raw is None else raw
    if not raw.asked and key in {None, KSPACE} and holds_kspace(path):
        lines, whole = kspace_lines(path)
        return View(lines, usable=whole)
    if not raw.asked and key is None and holds_magnitude_scans(path):
        lines, whole = kspace_lines(path, MagnitudeSimulation())
        return View(lines, usable=whole)
    if path.is_dir() and not raw.asked:
        return _folder(path)
    if not path.is_dir():
        require_file(path, "a file or a folder")
    if not path.is_dir() and is_dicom(path):
        return _dicom(path)
    if is_raw(path, key, raw):
        return View(*raw_lines(path, key, raw))
    if path.suffix.lower() in HDF5_ENDINGS and key is None:
        return _hdf5(path)
    return _array(str(path), read_array(path, key))


def _folder(path: Path) -> View:
    found = recognised(path)
    if found is not None:
        line = next_line(path, Path("config.yaml"), found)
        operator = None if found.operator is None else dump_operator(found.operator)
        return View((*found.lines, line), operator)
    summary = inspect_folder(path)
    lines = list(folder_lines(summary))
    if summary.truth is not None and summary.usable:
        lines.append(_next_line(path, summary))
    elif summary.truth is None:
        lines.append("Without true images nothing can be learned; 'reconstruct' takes one file.")
    geometry = None
    if summary.measurement is not None and _is_stack(summary.measurement):
        shape = None if summary.truth is None else _image_shape(summary.truth)
        angles, pixels = summary.measurement.shapes[0][0][-2:]
        geometry = geometry_text((angles, pixels), shape=shape)
    return View(tuple(lines), geometry, summary.usable)


def _next_line(path: Path, summary: FolderSummary) -> str:
    """The command that goes on, which has been tried, or why there is none."""
    try:
        try_config(path, summary)
    except LearnedReconError as error:
        return f"Nothing can be learned from it as it is: {error}"
    return f"Next: learnedrecon init --from {path} -o config.yaml"


def _is_stack(array: ArraySummary) -> bool:
    return bool(array.shapes) and len(array.shapes[0][0]) >= 2


def _image_shape(truth: ArraySummary) -> tuple[int, int] | None:
    if not truth.shapes or len(truth.shapes[0][0]) < 2:
        return None
    ny, nx = truth.shapes[0][0][-2:]
    return ny, nx


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
    with open_hdf5(path) as file:
        datasets = list_datasets(file)
        with reading(path):
            dtypes = {name: str(_type_of(file, name)) for name in datasets}
    if {name.split("/")[0] for name in datasets} & _PAIR_KEYS:
        return _folder(path)
    lines = [f"{path}: HDF5 with {len(datasets)} data sets."]
    lines += [f"  --key {name}: {shape}, {dtypes[name]}" for name, shape in datasets.items()]
    if len(datasets) != 1:
        lines.append("Name one with --key to look into it.")
        return View(tuple(lines))
    view = _array(str(path), read_array(path))
    return View((*lines, *view.lines), view.geometry)


def _type_of(file: h5py.File, key: str) -> object:
    item = get_item(file, key)
    return item.dtype if isinstance(item, h5py.Dataset) else "nothing"


def _array(name: str, values: NDArray[np.generic]) -> View:
    imaginary = values.dtype.kind == "c"
    seen = np.abs(values) if imaginary else values
    what = "magnitudes" if imaginary else "values"
    first = (
        f"{name}: {values.shape}, {values.dtype}, {what} {seen.min():.4g} to {seen.max():.4g}, "
        "all finite."
    )
    try:
        image_tensor(values, name)
    except LearnedReconError as error:
        return View((first, f"PROBLEM: {error}"), usable=False)
    if values.ndim not in {2, 3}:
        return View((first, "Neither an image nor a sinogram: these have two axes."))
    if imaginary:
        return View((first, *_complex_lines(values.shape)))
    odd = seems_raw(torch.from_numpy(values.astype(np.float32)))
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
            *truncation_lines(values),
            f"As an image: {image}; 'reconstruct --simulate' takes it.",
        )
    if odd is not None:
        middle = (*middle, f"WARNING: as a measurement, its values {odd}.")
    last = (
        "The geometry of a measurement is missing: --write-geometry G.yaml writes one to fill in."
    )
    return View((first, *middle, last), geometry_text((rows, columns)))


def _complex_lines(shape: tuple[int, ...]) -> tuple[str, ...]:
    *stack, rows, columns = shape
    many = f"A stack of {stack[0]} slices or coils" if stack else "One array"
    return (
        f"{many} of {rows} x {columns} complex numbers, such as k-space data of MRI.",
        "They need the operator of the scan, such as cartesian_mri: give it with --geometry.",
        "Or a YAML beside the file, of the same name, calls them k-space and names the axes,",
        "such as 'axes: [coil, ky, kx]': check, init, train and reconstruct go on from there.",
    )
