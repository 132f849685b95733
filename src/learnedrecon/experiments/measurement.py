"""Measurements and images in the files of users."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learnedrecon.data.files.arrays import read_array
from learnedrecon.data.files.dicom import DICOM_ENDINGS, read_attenuation
from learnedrecon.data.files.exchange import read_data_exchange
from learnedrecon.data.files.hdf5 import list_datasets, open_hdf5
from learnedrecon.errors import DataError, GeometryError, ShapeError, describe
from learnedrecon.operators.ray.beam3d import Beam3D
from learnedrecon.operators.ray.geometry2d import FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transmission import Transmission

if TYPE_CHECKING:
    from pathlib import Path

    from learnedrecon.operators.ray.geometry2d import Geometry
    from learnedrecon.operators.space import Space

_LOG = logging.getLogger(__name__)

_LOG = logging.getLogger(__name__)

Array = NDArray[np.float32]

_HDF5 = {".h5", ".hdf5"}
_MAGIC = b"DICM"
_TRANSMISSIONS = (-0.25, 1.5)
_COUNTS = 50.0


class Measurement(NamedTuple):
    """What a file holds.

    Attributes:
        values: (angle, detector), or a stack of these in front.
        theta: angles in radians, or None where the file does not say.
    """

    values: Array
    theta: tuple[float, ...] | None = None


def read_measurement(path: Path, key: str | None) -> Measurement:
    """Reads npy, TIFF, PNG, HDF5 and Data Exchange; the latter corrected by flat and dark frames.

    Raises:
        FileFormatError: the file cannot be read.
        ShapeError: it has fewer than two axes, or more than three.
        DataError: NaN, infinity, or frames that cannot be corrected.
    """
    if key is None and is_data_exchange(path):
        scan = read_data_exchange(path)
        lines = scan.line_integrals()
        if lines.clipped:
            _LOG.info(
                f"{lines.clipped} of {lines.values.size} transmissions were below 1e-6: clipped."
            )
        return Measurement(lines.values.astype(np.float32), tuple(scan.theta.tolist()))
    return Measurement(_single(path, read_array(path, key)))


def read_image(path: Path, key: str | None) -> tuple[Array, tuple[float, float] | None]:
    """Reads npy, TIFF, PNG, HDF5 and DICOM; Hounsfield units become attenuation in 1/mm.

    Returns:
        The image (ny, nx), and its pixel size (dy, dx) in mm where the file says it.

    Raises:
        FileFormatError: the file cannot be read.
        ShapeError: not two axes.
        DataError: NaN or infinity.
    """
    if is_dicom(path):
        return read_attenuation(path)
    return read_array(path, key, ndim=2).astype(np.float32), None


def is_dicom(path: Path) -> bool:
    """Whether the ending says so, or the four letters after the preamble."""
    if path.suffix.lower() in DICOM_ENDINGS:
        return True
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == _MAGIC


def is_data_exchange(path: Path) -> bool:
    """Whether this is an HDF5 file with the keys of the Data Exchange layout."""
    if path.suffix.lower() not in _HDF5:
        return False
    with open_hdf5(path) as file:
        return "exchange/data" in list_datasets(file)


def assumed_geometry(measurement: Measurement, path: Path) -> ParallelBeam:
    """The parallel beam of a file that has angles: detector pixels are taken to be 1 mm.

    Raises:
        GeometryError: the file has no angles.
    """
    if measurement.theta is None:
        raise GeometryError(
            describe(
                expected=f"the geometry of the scan in {path}",
                found="none: the file has no angles, and the method was trained on no scan",
                fix="give --geometry G.yaml; 'learnedrecon check data FILE --write-geometry G.yaml'"
                " writes one to fill in",
            )
        )
    pixels = measurement.values.shape[-1]
    _LOG.info(
        f"No --geometry: a parallel beam, {pixels} detector pixels of 1 mm, the rotation axis at "
        "their centre, and the angles of the file."
    )
    return ParallelBeam((pixels, pixels), measurement.theta, FlatDetector(pixels))


def check_data(measurement: Measurement, spec: Any, space: Space, path: Path) -> None:  # noqa: ANN401 - any operator spec
    """Refuses data of another shape than the geometry's; says so where angles differ.

    Raises:
        ShapeError: with both shapes.
    """
    shape, angles = measurement.values.shape, ray_geometry(spec).angle_values
    if shape[-2:] != space.shape:
        raise ShapeError(
            describe(
                expected=f"data of shape {space.shape} (angles, detector pixels), as the geometry",
                found=f"{shape} in {path}",
                fix="correct the geometry and give it with --geometry, or transpose the data",
            )
        )
    if measurement.theta is not None and not np.allclose(angles, measurement.theta, atol=1e-3):
        _LOG.info(f"The angles in {path} are not those of the geometry, which are used.")


def check_transmission(measurement: Measurement, spec: Transmission, path: Path) -> None:
    """Refuses what the detector of ``spec`` cannot show, such as other counts and line integrals.

    Raises:
        DataError: values far outside of [s, s + I₀], which is [0, 1] for shares of photons.
    """
    low, high = float(measurement.values.min()), float(measurement.values.max())
    least, most = (spec.scatter + spec.intensity * share for share in _TRANSMISSIONS)
    if low < least or high > most:
        counts = high > spec.scatter + spec.intensity * _COUNTS
        kind = "raw counts" if counts else "line integrals, logarithms of transmissions"
        ends = f"{spec.scatter:g} and {spec.scatter + spec.intensity:g}"
        raise DataError(
            describe(
                expected=f"transmissions between {ends} in {path}, as the operator measures them",
                found=f"values from {low:.4g} to {high:.4g}, which look like {kind}",
                fix="divide counts by those without an object; for line integrals y store exp(-y), "
                "or take a model of line integrals",
            )
        )


def check_image(image: Array, pixel: tuple[float, float] | None, spec: Any, path: Path) -> None:  # noqa: ANN401 - any operator spec
    """Refuses an image of another shape than the geometry's; says so where pixel sizes differ.

    Raises:
        ShapeError: with both shapes.
    """
    geometry = ray_geometry(spec)
    if image.shape != geometry.shape:
        raise ShapeError(
            describe(
                expected=f"an image of shape {geometry.shape} (ny, nx), as the geometry has it",
                found=f"{image.shape} in {path}",
                fix="resample the image, or give --geometry with its shape and pixel size",
            )
        )
    if pixel is not None and not np.allclose(pixel, geometry.pixel, rtol=1e-2):
        _LOG.info(
            f"{path} has pixels of {pixel[0]:g} x {pixel[1]:g} mm, the geometry of "
            f"{geometry.pixel[0]:g} x {geometry.pixel[1]:g} mm: it is measured as if of these."
        )


def ray_geometry(spec: Any) -> Geometry:  # noqa: ANN401 - any operator spec
    """The beam of an operator.

    Raises:
        GeometryError: that of a volume.
    """
    if isinstance(spec, Beam3D):
        raise GeometryError(
            describe(
                expected="the geometry of an image",
                found=f"{type(spec).__name__}, a scan of a volume",
                fix="reconstruct volumes in Python, by learnedrecon.fdk or learnedrecon.TV; on the"
                " command line 'check operator' takes them",
            )
        )
    return spec.geometry if isinstance(spec, Transmission) else spec


def _single(path: Path, values: NDArray[Any]) -> Array:
    if values.ndim not in {2, 3} or values.dtype.kind == "c":
        raise ShapeError(
            describe(
                expected=f"real data (angle, detector) in {path}, or a stack of these",
                found=f"{values.dtype} of shape {values.shape}",
                fix="store one sinogram, or several along the first axis; complex data need a "
                "complex operator, which is not here yet",
            )
        )
    return values.astype(np.float32)
