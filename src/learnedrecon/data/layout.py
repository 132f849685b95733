"""Layouts of folders and HDF5 files with measurements and true images, found without loading.

Accepted layouts, in which all of ``measurement`` or all of ``truth`` may be absent:

- a folder with ``measurement/`` and ``truth/``, files matched by their stem, and optionally
  ``geometry/<stem>.yaml`` for samples with their own operator;
- one HDF5 file, or a folder that contains only one, with the keys ``measurement`` and ``truth``:
  data sets (number, ...), or groups with one data set per sample where shapes differ;
- a flat folder of true images.

True images may be CT slices in DICOM (.dcm, .dicom, .ima), which become attenuation in 1/mm.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py

from learnedrecon.data.files.arrays import (
    HDF5_ENDINGS,
    KEYED_ENDINGS,
    array_header,
    numbers,
    read_array,
)
from learnedrecon.data.files.dicom import (
    DICOM_ENDINGS,
    dicom_header,
    dicom_subject,
    read_attenuation,
)
from learnedrecon.data.files.hdf5 import (
    broken_links,
    get_dataset,
    get_item,
    list_datasets,
    listing,
    open_hdf5,
    read_dataset,
    reading,
)
from learnedrecon.errors import DataError, FileFormatError, describe
from learnedrecon.files import unreadable

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from numpy.typing import NDArray

MEASUREMENT: Final = "measurement"
TRUTH: Final = "truth"
GEOMETRY: Final = "geometry"
_FRAMES: Final = re.compile(r"(?i)(dark|flat|white|bright)(s|[-_]?(field|frame)s?)?[-_ ]?\d*$")
_MEASURED: Final = re.compile(r"(?i)(observation|sinogram|projection|kspace)s?([-_ .\d]|$)")
_CORRECT: Final = (
    "correct the counts by them, with ExchangeScan(counts, white, dark, theta).line_integrals(), "
    "and store the result; rename true images that are called so"
)
_SORT: Final = (
    f"put measurements into a folder '{MEASUREMENT}' and true images of the same names into "
    f"'{TRUTH}', one sample in each file"
)
_NOT_IMAGES: Final = (
    (_FRAMES, "frames without an object", _CORRECT),
    (_MEASURED, "measurements", _SORT),
)
_MOST_SAMPLES: Final = 10_000_000

_ARRAYS: Final = frozenset({".npy", ".tif", ".tiff", ".png"}) | KEYED_ENDINGS | DICOM_ENDINGS


@dataclass(frozen=True)
class ArrayRef:
    """The location of an array: a file, a key, an index.

    Attributes:
        path: Path of the file.
        key: Key of the data set in an HDF5 file, or None.
        index: Index along the first axis of that data set, or None for all of it.
    """

    path: Path
    key: str | None = None
    index: int | None = None

    def __str__(self) -> str:
        place = "" if self.key is None else f" at '{self.key}'"
        return f"{self.path}{place}" + ("" if self.index is None else f"[{self.index}]")

    def read(self) -> NDArray[Any]:
        """The array, with the checks of :func:`learnedrecon.data.files.arrays.read_array`.

        A CT slice in DICOM becomes attenuation in 1/mm; see
        :func:`learnedrecon.data.files.dicom.read_attenuation`.
        """
        if self.is_dicom:
            return read_attenuation(self.path)[0]
        if self.index is None:
            return read_array(self.path, self.key)
        with open_hdf5(self.path) as file:
            values = read_dataset(get_dataset(file, self.key or ""), self.index)
        return numbers(values, str(self))

    def shape(self) -> tuple[int, ...]:
        """The shape of the array, from the header of the file.

        Raises:
            FileFormatError: The file is missing, truncated or corrupt.
        """
        if self.is_dicom:
            return dicom_header(self.path)[0]
        shape = array_header(self.path, self.key).shape
        return shape if self.index is None else shape[1:]

    def pixel_size(self) -> tuple[float, float] | None:
        """The pixel size ``(dy, dx)`` in mm where the file contains it, as in DICOM; or None.

        Raises:
            FileFormatError: The file is missing, truncated or corrupt.
        """
        return dicom_header(self.path)[1] if self.is_dicom else None

    def subject(self) -> str | None:
        """The patient or series of the slice where the file names it, as DICOM may; otherwise None.

        Raises:
            FileFormatError: The file is missing, truncated or corrupt.
        """
        return dicom_subject(self.path) if self.is_dicom else None

    @property
    def is_dicom(self) -> bool:
        """True if the file ending is one of DICOM."""
        return self.path.suffix.lower() in DICOM_ENDINGS


@dataclass(frozen=True)
class Pair:
    """A measurement and the true image of the same object, one of which may be None.

    Attributes:
        id: Name of the sample.
        measurement: Location of the measurement, or None.
        truth: Location of the true image, or None.
        geometry: Path of the YAML file of the sample's own operator, or None.
    """

    id: str
    measurement: ArrayRef | None
    truth: ArrayRef | None
    geometry: Path | None = None


@dataclass(frozen=True)
class Layout:
    """The measurements, true images and geometries of a folder or an HDF5 file.

    Attributes:
        path: Path of the folder or file.
        measurements: Locations of the measurements by sample id; empty where there are none.
        truths: Locations of the true images by sample id; empty where there are none.
        geometries: YAML files of samples' own operators, by sample id.
        ignored: Files without an array.
    """

    path: Path
    measurements: Mapping[str, ArrayRef]
    truths: Mapping[str, ArrayRef]
    geometries: Mapping[str, Path]
    ignored: tuple[Path, ...] = ()

    @property
    def paired(self) -> bool:
        """True if there are both measurements and true images."""
        return bool(self.measurements) and bool(self.truths)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all measurements and true images, sorted."""
        return tuple(sorted({*self.measurements, *self.truths}))

    def unmatched(self) -> tuple[str, ...]:
        """One line per kind of missing partner."""
        lines = []
        if self.paired:
            lines.append(_without(self.measurements.keys() - self.truths.keys(), "true image"))
            lines.append(_without(self.truths.keys() - self.measurements.keys(), "measurement"))
        lines.append(_without(self.geometries.keys() - set(self.ids), "array, but with a geometry"))
        return tuple(line for line in lines if line)

    def pairs(self) -> tuple[Pair, ...]:
        """The samples, sorted by id.

        Raises:
            DataError: A sample has no partner.
        """
        unmatched = self.unmatched()
        if unmatched:
            raise DataError(
                describe(
                    expected=f"in {self.path} a measurement and a true image of the same name for "
                    "every sample",
                    found="; ".join(unmatched),
                    fix="rename or add the missing ones, or move the others to another folder",
                )
            )
        return tuple(
            Pair(
                name, self.measurements.get(name), self.truths.get(name), self.geometries.get(name)
            )
            for name in self.ids
        )


def find_layout(path: str | os.PathLike[str]) -> Layout:
    """The layout of a folder or an HDF5 file.

    Files with other endings, and hidden ones, are ignored and listed.

    Args:
        path: Path of the folder or file.

    Raises:
        FileFormatError: There is no such path, a file is not HDF5, or it does not have the keys.
        DataError: The folder contains no arrays, or two files have the same name.
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() in HDF5_ENDINGS:
        return _in_hdf5(path)
    if not path.is_dir():
        raise FileFormatError(
            describe(
                expected=f"{path} to be a folder, or an HDF5 file that ends in .h5 or .hdf5",
                found="another kind of file" if path.exists() else "no such path",
                fix="check the path",
            )
        )
    if any((path / name).is_dir() for name in (MEASUREMENT, TRUTH)):
        return _in_subfolders(path)
    files, ignored = _arrays_in(path)
    if len(files) == 1 and files[0].suffix.lower() in HDF5_ENDINGS and _has_keys(files[0]):
        return _in_hdf5(files[0])
    if not files:
        raise _nothing(path)
    _refuse_measurements(path, files)
    return Layout(path, {}, _by_stem(files), {}, ignored)


def _in_subfolders(path: Path) -> Layout:
    found: dict[str, dict[str, ArrayRef]] = {MEASUREMENT: {}, TRUTH: {}}
    ignored: tuple[Path, ...] = ()
    for name in found:
        if (path / name).is_dir():
            files, others = _arrays_in(path / name)
            if name == MEASUREMENT:
                _refuse_slices(files)
            found[name] = _by_stem(files)
            ignored += others
            if not files:
                raise _nothing(path / name)
    yamls = sorted((path / GEOMETRY).glob("*.yaml")) if (path / GEOMETRY).is_dir() else []
    geometries = {file.stem: file for file in yamls}
    return Layout(path, found[MEASUREMENT], found[TRUTH], geometries, ignored)


def _in_hdf5(path: Path) -> Layout:
    with open_hdf5(path) as file:
        found = {name: _below(file, path, name) for name in (MEASUREMENT, TRUTH)}
        if not any(found.values()):
            raise FileFormatError(
                describe(
                    expected=f"data sets or groups '{MEASUREMENT}' and '{TRUTH}' in {path}, or one "
                    "of them, with at least one sample",
                    found=listing(list_datasets(file)),
                    fix="store data sets of shape (number, ...) under these keys",
                )
            )
    return Layout(path, found[MEASUREMENT], found[TRUTH], {})


def _below(file: h5py.File, path: Path, name: str) -> dict[str, ArrayRef]:
    with reading(path):
        item = get_item(file, name)
    if isinstance(item, h5py.Dataset):
        number = item.shape[0] if item.shape else 0
        if number > _MOST_SAMPLES:
            raise unreadable(path, "a file of samples", f"{number} of them", "split the file")
        return {f"{index:07d}": ArrayRef(path, name, index) for index in range(number)}
    if isinstance(item, h5py.Group):
        broken = broken_links(item)
        if broken:
            get_dataset(file, f"{name}/{broken[0]}")  # says where the link leads
        return {key: ArrayRef(path, f"{name}/{key}") for key in list_datasets(item)}
    return {}


def _has_keys(path: Path) -> bool:
    with open_hdf5(path) as file, reading(path):
        return any(get_item(file, name) is not None for name in (MEASUREMENT, TRUTH))


def _arrays_in(folder: Path) -> tuple[list[Path], tuple[Path, ...]]:
    files = sorted(file for file in folder.iterdir() if file.is_file())
    arrays = [f for f in files if f.suffix.lower() in _ARRAYS and not f.name.startswith(".")]
    return arrays, tuple(file for file in files if file not in set(arrays))


def _refuse_slices(files: Iterable[Path]) -> None:
    slices = [file.name for file in files if file.suffix.lower() in DICOM_ENDINGS]
    if slices:
        raise DataError(
            describe(
                expected=f"no DICOM files in '{MEASUREMENT}'",
                found=", ".join(slices[:3])
                + (f" and {len(slices) - 3} more" if slices[3:] else ""),
                fix=f"put CT slices into '{TRUTH}', and the measurements into npy, TIFF or HDF5",
            )
        )


def _refuse_measurements(path: Path, files: Iterable[Path]) -> None:
    """Refuses as true images what by its name is a frame without an object, or a measurement."""
    for pattern, what, fix in _NOT_IMAGES:
        names = [file.name for file in files if pattern.match(file.stem)]
        if names:
            more = f" and {len(names) - 3} more" if names[3:] else ""
            raise DataError(
                describe(
                    expected=f"a folder of true images, {path}",
                    found=f"{', '.join(names[:3])}{more}, {what} by the name",
                    fix=fix,
                )
            )


def _by_stem(files: Iterable[Path]) -> dict[str, ArrayRef]:
    found: dict[str, ArrayRef] = {}
    for file in files:
        if file.stem in found:
            raise DataError(
                describe(
                    expected=f"one array called '{file.stem}' in {file.parent}",
                    found=f"{found[file.stem].path.name} and {file.name}",
                    fix="remove or rename one of them",
                )
            )
        found[file.stem] = ArrayRef(file)
    return found


def _without(names: Iterable[str], what: str) -> str:
    ordered = sorted(names)
    if not ordered:
        return ""
    shown = ", ".join(f"'{name}'" for name in ordered[:5])
    rest = f" and {len(ordered) - 5} more" if len(ordered) > 5 else ""
    return f"without a {what}: {shown}{rest}"


def _nothing(path: Path) -> DataError:
    folders = sorted(item.name for item in path.iterdir() if item.is_dir())
    near = [n for n in folders if difflib.get_close_matches(n.lower(), (MEASUREMENT, TRUTH), 1)]
    hint = f"rename {' and '.join(map(repr, near))} to that" if near else "check the path"
    return DataError(
        describe(
            expected=f"arrays ({', '.join(sorted(_ARRAYS))}) in {path}, or in its folders "
            f"'{MEASUREMENT}' and '{TRUTH}'",
            found=f"the folders {', '.join(folders)} and no array" if folders else "no array",
            fix=hint,
        )
    )
