"""Measurements and images from users' files, as elements of an operator's spaces."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from learnedrecon.data.datasets import image_tensor
from learnedrecon.data.files.arrays import read_array
from learnedrecon.data.files.dicom import DICOM_ENDINGS, read_attenuation
from learnedrecon.errors import DtypeError, GeometryError, ShapeError, describe
from learnedrecon.experiments.acquisition import angles_of, data_axes, pixel_of, refuse_values
from learnedrecon.experiments.raw import RawInput, is_raw, read_line_integrals
from learnedrecon.operators.ray.geometry2d import FlatDetector, ParallelBeam

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.space import Space
    from learnedrecon.recorded import Record

_LOG = logging.getLogger(__name__)

Array = NDArray[Any]

_MAGIC = b"DICM"


class Measurement(NamedTuple):
    """The content of a measurement file.

    Attributes:
        values: Numbers, with the axes that they have in the file.
        theta: Angles in radians, or None where the file has none.
        path: Path of the file, for messages.
        raw: Raw input of a raw scan, whose values are (angle, row, detector), or None.
    """

    values: Array
    theta: tuple[float, ...] | None = None
    path: Path = Path("the measurement")
    raw: RawInput | None = None


def read_measurement(path: Path, key: str | None, raw: RawInput | None = None) -> Measurement:
    """The measurement in a file as it is, or of a raw scan as line integrals.

    Raw scans are Data Exchange, NXtomo, folders of projections, and whatever comes with ``raw``.

    Args:
        path: Path of a file, or of a folder of projections.
        key: Key of the data set in an HDF5 file.
        raw: Frames, rows, angles and corrections, or None.

    Raises:
        FileFormatError: The file cannot be read.
        ShapeError: Frames, angles or rows do not fit.
        DataError: A value is NaN or infinite, or frames cannot be corrected.
    """
    raw = RawInput() if raw is None else raw
    if is_raw(path, key, raw):
        lines = read_line_integrals(path, key, raw)
        for note in lines.notes:
            _LOG.info(note)
        return Measurement(lines.values, lines.theta, path, raw)
    return Measurement(read_array(path, key), None, path)


def read_image(path: Path, key: str | None) -> tuple[Array, tuple[float, float] | None]:
    """The image in an npy, TIFF, PNG, HDF5 or DICOM file.

    Hounsfield units become attenuation in 1/mm.

    Args:
        path: Path of the file.
        key: Key of the data set in an HDF5 file.

    Returns:
        Image, and its pixel size (dy, dx) in mm where the file contains it.

    Raises:
        FileFormatError: The file cannot be read.
        DataError: A value is NaN or infinite.
    """
    if is_dicom(path):
        return read_attenuation(path)
    return read_array(path, key), None


def is_dicom(path: Path) -> bool:
    """True if the file has an ending of DICOM, or its four letters after the preamble.

    Args:
        path: Path of the file.
    """
    if path.suffix.lower() in DICOM_ENDINGS:
        return True
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == _MAGIC


def assumed_geometry(measurement: Measurement) -> ParallelBeam:
    """The parallel beam of a file with angles, with detector pixels assumed to be 1 mm.

    Args:
        measurement: Content of the file.

    Raises:
        GeometryError: The file has no angles.
    """
    if measurement.theta is None:
        raise GeometryError(
            describe(
                expected=f"the geometry of the scan in {measurement.path}",
                found="none: the file has no angles, and the method was trained on no scan",
                fix="give --geometry G.yaml, or the angles with --theta FILE; 'learnedrecon check "
                "data FILE --write-geometry G.yaml' writes one to fill in",
            )
        )
    pixels = measurement.values.shape[-1]
    _LOG.info(
        f"No --geometry: a parallel beam, {pixels} detector pixels of 1 mm, the rotation axis at "
        "their centre, and the angles of the file."
    )
    return ParallelBeam((pixels, pixels), measurement.theta, FlatDetector(pixels))


def as_data(measurement: Measurement, spec: Record, space: Space, channels: int = 1) -> Tensor:
    """A measurement as data of an operator, in single precision.

    Angles in the file that differ from those of the geometry are logged.

    Args:
        measurement: Numbers of the shape of the codomain, with channels or a stack in front, or
            both, the stack first.
        spec: Record of the operator, or None.
        space: Codomain of the operator.
        channels: Number of channels that the method is built for.

    Returns:
        Data (batch, channel, *codomain).

    Raises:
        ShapeError: The shapes differ; the message shows both.
        DtypeError: The numbers are complex, and the codomain is real.
        DataError: Float32 cannot represent the values, or the operator cannot have measured them.
    """
    names = data_axes(spec)
    what = "data" + (f" ({names})" if names else "")
    values = arranged(measurement, space)
    data = stacked(values, space, channels, f"{what} in {measurement.path}")
    refuse_values(spec, measurement.values, measurement.path)
    angles = angles_of(spec)
    theta = measurement.theta
    if (
        theta is not None
        and angles is not None
        and (len(theta) != len(angles) or not np.allclose(angles, theta, atol=1e-3))
    ):
        _LOG.info(
            f"The angles in {measurement.path} are not those of the geometry, which are used."
        )
    return data


def arranged(measurement: Measurement, space: Space) -> Array:
    """The values with the axes of an operator's data: of raw scans, the detector rows in place.

    An operator of two axes (angle, detector) has one sample for each detector row that was chosen.

    Args:
        measurement: Content of the file.
        space: The codomain of the operator.

    Raises:
        ShapeError: A raw scan of several rows, none of them chosen, for an operator of one row.
    """
    values = measurement.values
    if measurement.raw is None or space.ndim == values.ndim:
        return values
    rows = values.shape[1]
    if rows > 1 and measurement.raw.rows is None:
        raise ShapeError(
            describe(
                expected=f"a row or rows of {measurement.path}, as the geometry has one row",
                found=f"{rows} detector rows, and none chosen",
                fix=f"choose one of 0 to {rows - 1} with --row, such as --row {rows // 2}, or "
                f"several with --rows, such as --rows 0:{rows}",
            )
        )
    return np.ascontiguousarray(np.moveaxis(values, 1, 0))


def as_image(
    image: Array,
    pixel: tuple[float, float] | None,
    spec: Record,
    space: Space,
    *,
    path: Path,
    channels: int = 1,
) -> Tensor:
    """An image as an element of an operator's domain.

    Different pixel sizes are logged.

    Args:
        image: Numbers of the shape of the domain, or with channels in front.
        pixel: Size of its pixels in mm, or None.
        spec: Record of the operator, or None.
        space: Domain of the operator.
        path: Path of the file, for messages.
        channels: Number of channels that the method is built for.

    Returns:
        Image (batch, channel, *domain).

    Raises:
        ShapeError: The shapes differ; the message shows both.
        DtypeError: The numbers are complex, and the domain is real.
    """
    truth = stacked(image, space, channels, f"an image in {path}")
    known = pixel_of(spec)
    if pixel is not None and known is not None and not np.allclose(pixel, known, rtol=1e-2):
        _LOG.info(
            f"{path} has pixels of {pixel[0]:g} x {pixel[1]:g} mm, the geometry of "
            f"{known[0]:g} x {known[1]:g} mm: it is measured as if of these."
        )
    return truth


def stacked(values: Array | Tensor, space: Space, channels: int, what: str) -> Tensor:
    """Numbers as a batch of elements of a space.

    Args:
        values: Numbers (*space), (channel, *space) where there are as many, (stack, *space), or
            (stack, channel, *space). A tensor keeps its precision, an array becomes single.
        space: Space of one sample.
        channels: Expected number of channels.
        what: Noun for the numbers in messages.

    Returns:
        Batch (batch, channel, *space).

    Raises:
        ShapeError: The last axes or the number of channels differ.
        DtypeError: The numbers are complex, and the space is real.
    """
    tensor = values if isinstance(values, torch.Tensor) else image_tensor(values, what)
    shape = tuple(tensor.shape)
    leading = shape[: len(shape) - space.ndim]
    fits = shape[-space.ndim :] == space.shape and len(leading) <= 2
    if fits and len(leading) < 2:
        as_channels = leading == (channels,) and channels > 1
        single = (1, *leading) if as_channels or not leading else (*leading, 1)
        tensor = tensor.reshape(*(single if len(single) == 2 else (1, 1)), *space.shape)
    if not fits or tensor.shape[1] != channels:
        front = f"({channels}, " if channels > 1 else "("
        raise ShapeError(
            describe(
                expected=f"{what} of shape {front}{', '.join(map(str, space.shape))}), as the "
                "operator has it, or a stack of these",
                found=f"{shape}",
                fix="correct the geometry and give it with --geometry, or transpose the data",
            )
        )
    if tensor.is_complex() and not space.is_complex:
        raise DtypeError(
            describe(
                expected=f"{what} of real numbers, as the operator has them",
                found=f"{tensor.dtype}",
                fix="name the operator of complex data with --geometry, such as one of MRI, or "
                "store the real part or the magnitude",
            )
        )
    if space.is_complex:
        tensor = tensor.to(torch.promote_types(tensor.dtype, torch.complex64))
    return tensor
