"""Reconstruction of an image from a measurement, in a file or in memory."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from learnedrecon.allocation import kept_memory
from learnedrecon.data.draws import draws_of
from learnedrecon.data.files.arrays import write_array
from learnedrecon.data.files.dicom import DICOM_ENDINGS
from learnedrecon.data.files.dicom_series import DicomIdentity, Placement, check_identity
from learnedrecon.data.kspace.files import KSPACE, is_kspace
from learnedrecon.data.kspace.images import is_magnitude_scan
from learnedrecon.data.kspace.outputs import require_volume_ending, volume_paths, write_volume
from learnedrecon.errors import (
    ConfigError,
    DataError,
    DtypeError,
    FileFormatError,
    ShapeError,
    describe,
)
from learnedrecon.experiments.experiment import FIDELITIES
from learnedrecon.experiments.kspace_reconstruction import (
    number_of_slices,
    reconstruct_kspace,
    refuse_options,
)
from learnedrecon.experiments.method import Method, find_method
from learnedrecon.experiments.provenance import provenance_path, write_provenance
from learnedrecon.experiments.scan import Scan, measured, operator_record, simulated
from learnedrecon.experiments.tuned_baselines import with_automatic
from learnedrecon.files import plan_outputs
from learnedrecon.metrics.image import SSIM_WINDOW, psnr, ssim
from learnedrecon.metrics.pictures import pictures
from learnedrecon.metrics.ranges import MaxMinPerImage
from learnedrecon.models.classical import FBP
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.base import Operator
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.problem import InverseProblem
from learnedrecon.solvers.direct.extrapolation import truncation_of
from learnedrecon.solvers.direct.pseudo_inverse import has_pseudo_inverse
from learnedrecon.training.accelerator import choose_device

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from learnedrecon.experiments.raw import RawInput
    from learnedrecon.recorded import Record
    from learnedrecon.schemes.reconstructor import Reconstructor

    Path_ = str | os.PathLike[str]

_LOG = logging.getLogger(__name__)

_WRITABLE = (".npy", ".tif", ".tiff", ".png", ".h5", ".hdf5")
_FAMILIAR = 5.0


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A reconstructed image, with its operator, time and scores.

    Attributes:
        image: Image (batch, channel, *domain), on the CPU.
        operator: T of the reconstruction.
        seconds: Time of the reconstruction in seconds.
        status: Outcome of a solver, or None.
        truth: Image that was measured by simulation, or None.
        psnr: PSNR in dB with the range of the true image; None where it is not defined.
        ssim: SSIM with the range of the true image; None where it is not defined.
        file: Path of the written file, or None.
    """

    image: Tensor
    operator: Operator
    seconds: float
    status: str | None
    truth: Tensor | None
    psnr: float | None
    ssim: float | None
    file: Path | None


@kept_memory()
def reconstruct(  # noqa: PLR0913 - the keywords of one call
    method: Path_ | Reconstructor | Method,
    measurement: Path_ | Tensor | NDArray[Any],
    *,
    operator: Path_ | Operator | Record = None,
    output: Path_ | None = None,
    arguments: Mapping[str, Any] | None = None,
    key: str | None = None,
    raw: RawInput | None = None,
    simulate: bool = False,
    scale: float = 1.0,
    identity: DicomIdentity | None = None,
    force: bool = False,
    device: str = "auto",
) -> Reconstruction:
    """The image of a measurement, by a trained model or by a method without learning.

    Args:
        method: Run folder, weights file, name of a registered method without weights, such as "fbp"
            or "tv", or a model.
        measurement: Path of a file, or an array or tensor (*codomain), (channel, *codomain), or a
            stack of these; an image (*domain) with ``simulate``.
        operator: T, its record, or a file with it; that of the training unless given. The operator
            of a file with k-space follows from the file.
        output: Path of the file for the image, or None.
        arguments: Arguments of a method that is given by its name, such as {"weight": 0.02}.
            Without any, arguments that the noise of the data can choose, such as the weight of
            total variation and the bandwidth of filtered backprojection, are chosen by it.
            Filtered backprojection extrapolates truncated projections unless "extrapolate" is set.
        key: Key of the data set in an HDF5 file.
        raw: Flats, darks, detector rows, angles, bad pixels and rings of a raw scan in files.
        simulate: True if ``measurement`` is a true image that is measured first, with the noise of
            the run if it has any. k-space of NIfTI and of DICOM of the modality MR is simulated.
        scale: Size of the image relative to those that the model was trained on.
        identity: Patient and study of a series in DICOM, for k-space alone; those of
            ``measurement`` where it is DICOM itself.
        force: True if ``output`` may be overwritten.
        device: "auto", "cpu" or "cuda".

    Raises:
        FileFormatError: A file is missing, broken or of another kind.
        ConfigError: Arguments or the scale are wrong, or the output exists.
        GeometryError: There is no operator, or the method does not support it.
        ShapeError: The measurement does not fit the operator.
        DtypeError: Data are complex for a real operator, or the image is complex for a picture
            file.
        DataError: The operator cannot have made the measurement, or the image is not finite.
    """
    where = choose_device(device)
    if raw is not None and raw.asked and (simulate or isinstance(measurement, Tensor | np.ndarray)):
        raise _misplaced("flats, rows and the like for a measurement in a file alone", f"{raw}")
    inputs = (measurement, operator, *(() if raw is None else raw.files))
    _require_scale(scale)
    if isinstance(measurement, str | Path) and _is_mri(Path(measurement), key, simulate=simulate):
        asked = {"geometry": operator, "key": key if key != KSPACE else None}
        refuse_options(asked | {"flats and the like": raw.asked if raw is not None else None})
        path = Path(measurement)
        whose = _identity(identity, path)
        slices = number_of_slices(path, simulate=simulate)
        planned = _planned_volume(output, (*inputs, whose.source), slices, force=force)
        given_method = find_method(method, arguments=arguments, device=where)
        return _of_kspace(given_method, _Slices(path, scale, simulate, where), planned, whose)
    if identity is not None:
        raise _misplaced("DICOM of reconstructed k-space alone", f"{identity}")
    file = _planned(output, inputs, force=force)
    chosen = _with_extrapolation(method, with_automatic(method, arguments))
    known = find_method(method, arguments=chosen, device=where)
    given = operator if isinstance(operator, Operator) else operator_record(operator)
    scan = (
        simulated(measurement, known, given, key, where)
        if simulate
        else measured(measurement, known, given, key, where, raw)
    )
    if known.trained_on is not None and scan.operator.spec != known.trained_on:
        _LOG.warning("This geometry is not the one that the model was trained with.")
    _refuse_picture(file, scan.operator)
    _warn_of_truncation(scan)
    image, seconds, status = reconstructed(known, scan, scale)
    require_finite_image(known, scan, image)
    result = _result(image.cpu(), scan, seconds, status, file)
    if file is not None:
        _write(file, result.image)
    return result


def reconstructed(method: Method, scan: Scan, scale: float) -> tuple[Tensor, float, str | None]:
    """The image, the time in seconds, and the status of the solver.

    Args:
        method: Method.
        scan: Measurement with its operator.
        scale: Size of the image relative to those that the model was trained on.

    Raises:
        ConfigError: A scale is given for a nonlinear operator.
    """
    if scale != 1.0 and not isinstance(scan.operator, LinearOperator):
        raise _misplaced("no --scale for a nonlinear operator", f"--scale {scale}")
    problem = InverseProblem(scan.operator, scan.data / scale, FIDELITIES[method.fidelity]())
    if number := method.model.draws:
        problem = replace(problem, draws=draws_of(number))
    _note_size(method, problem, scale)
    start = time.perf_counter()
    with torch.no_grad():
        estimate = method.model(problem)
    return scale * estimate.image, time.perf_counter() - start, estimate.status


class _Slices(NamedTuple):
    """The slices of a file with k-space that are reconstructed, and the device.

    Attributes:
        path: Path of the file.
        scale: Size of the image relative to those that the model was trained on.
        simulate: True for magnitude images, from which k-space is simulated.
        device: Device of the reconstruction.
    """

    path: Path
    scale: float
    simulate: bool
    device: torch.device


def _of_kspace(
    method: Method, slices: _Slices, file: Path | None, identity: DicomIdentity
) -> Reconstruction:
    """All slices of a file with k-space, written with a record beside them."""
    found = reconstruct_kspace(
        method, slices.path, device=slices.device, scale=slices.scale, simulate=slices.simulate
    )
    if file is not None:
        place = Placement(found.file.voxel, found.file.affine)
        write_volume(file, found.images[:, 0].numpy(), place, identity)
        write_provenance(file, method, slices.path, seconds=found.seconds, residual=found.residual)
    status = f"Data residual |Tu - y|/|y| = {found.residual:.3g}."
    status = status if found.status is None else f"{status} {found.status}"
    return Reconstruction(
        found.images, found.operator, found.seconds, status, None, None, None, file
    )


def _is_mri(path: Path, key: str | None, *, simulate: bool) -> bool:
    """True for a file with k-space, or with the magnitude images that it is simulated from."""
    return is_magnitude_scan(path) and key is None if simulate else is_kspace(path, key)


def _identity(given: DicomIdentity | None, measurement: Path) -> DicomIdentity:
    """The patient and the study of a series, checked before anything is computed."""
    found = given or DicomIdentity()
    if found.source is None and measurement.suffix.lower() in DICOM_ENDINGS:
        found = replace(found, source=measurement)
    check_identity(found)
    return found


def _planned_volume(
    output: Path_ | None, inputs: Iterable[object], slices: int, *, force: bool
) -> Path | None:
    """The file of a volume, which has a record beside it."""
    if output is None:
        return None
    path = Path(output)
    require_volume_ending(path)
    read = [each for each in inputs if isinstance(each, str | Path)]
    files = (*volume_paths(path, slices), provenance_path(path))
    plan_outputs(files, inputs=read, force=force)
    return path


def require_finite_image(method: Method, scan: Scan, image: Tensor) -> None:
    """Check that a reconstructed image is finite, before it is written.

    Args:
        method: Method, for the message.
        scan: Measurement, for the message.
        image: Reconstructed image.

    Raises:
        DataError: A value is NaN or infinite; the message has the method and the range of the data.
    """
    bad = int((~image.isfinite()).sum())
    if bad:
        sizes = scan.data.abs() if scan.data.is_complex() else scan.data
        low, high = sizes.min().item(), sizes.max().item()
        raise DataError(
            describe(
                expected=f"a finite image from '{method.label}'",
                found=f"NaN or infinity in {bad} of its {image.numel()} pixels, which the method "
                f"made of finite data from {low:.4g} to {high:.4g}",
                fix="compare this range with the data that the method was trained on, see --scale; "
                "nothing was written",
            )
        )


def _with_extrapolation(
    method: Path_ | Reconstructor | Method, arguments: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """The arguments of a named method, with "auto" for an argument ``extrapolate`` that it has."""
    if not isinstance(method, str) or method not in MODELS:
        return arguments
    takes = "extrapolate" in {each.name for each in fields(MODELS[method].spec)}
    return {"extrapolate": "auto", **(arguments or {})} if takes else arguments


def _warn_of_truncation(scan: Scan) -> None:
    """Says so where the detector does not see the whole object, with numbers."""
    found = truncation_of(scan.operator, scan.data)
    if not found:
        return
    _LOG.warning(
        "%s Filtered back-projection continues them unless --extrapolate is none; for every other"
        " method the image has to cover the whole object.",
        found,
    )


def _note_size(method: Method, problem: InverseProblem, scale: float) -> None:
    """Says so where the image is far larger or smaller than what the model was trained on."""
    known = method.model.image_scale
    if known is None or not isinstance(problem.operator, LinearOperator):
        return
    size = _typical_size(problem)
    if not known / _FAMILIAR < size < known * _FAMILIAR:
        better = scale * size / known
        _LOG.warning(
            f"The values of the image are about {size:.2g}; the model was trained on values about "
            f"{known:g}. Consider --scale {better:.2g}."
        )


def _typical_size(problem: InverseProblem) -> float:
    """A large value of the image: of filtered back-projection, else of a step along T*y."""
    if has_pseudo_inverse(problem.operator):
        image = FBP("hann", 0.5)(problem).image
    else:
        back = problem.adjoint(problem.data)
        seen = problem.forward(back)
        image = back * (back.norm() / seen.norm().clamp_min(1e-30)).square()
    sizes = image.abs().flatten()
    return sizes[:: max(1, len(sizes) >> 23)].quantile(0.99).item()


def _planned(output: Path_ | None, inputs: Iterable[object], *, force: bool) -> Path | None:
    """The file to write, checked before anything is computed."""
    if output is None:
        return None
    path = Path(output)
    if path.suffix.lower() not in _WRITABLE:
        raise FileFormatError(
            describe(
                expected=f"an output that ends in {', '.join(_WRITABLE)}",
                found=str(path),
                fix="choose one of these endings",
            )
        )
    read = [each for each in inputs if isinstance(each, str | Path)]
    plan_outputs([path], inputs=read, force=force)
    return path


def _refuse_picture(file: Path | None, operator: Operator) -> None:
    """Refuses a complex image for TIFF and PNG, and a volume for PNG.

    Raises:
        DtypeError: The image will be complex.
        ShapeError: It will not have two axes.
    """
    ending = "" if file is None else file.suffix.lower()
    if ending in {".png", ".tif", ".tiff"} and operator.domain.is_complex:
        raise DtypeError(
            describe(
                expected=f"real images for {file}",
                found="an operator of complex images",
                fix="name an output that ends in .npy or .h5",
            )
        )
    if ending == ".png" and operator.domain.ndim != 2:
        raise ShapeError(
            describe(
                expected=f"an image of two axes for {file}",
                found=f"one of shape {operator.domain.shape}",
                fix="name an output that ends in .npy, .tif or .h5",
            )
        )


def _write(file: Path, image: Tensor) -> None:
    """Writes without the axes of a single image and a single channel."""
    values = image.squeeze(1).squeeze(0).numpy()
    window = None
    if file.suffix.lower() == ".png":
        low = float(values.min())
        window = (low, low + 1.0) if low == values.max() else None
        _LOG.info(
            "A PNG shows from the smallest value to the largest; other formats keep the numbers."
        )
    write_array(file, values, window=window)


def _result(
    image: Tensor, scan: Scan, seconds: float, status: str | None, file: Path | None
) -> Reconstruction:
    truth = None if scan.truth is None else scan.truth.cpu()
    decibel = similarity = None
    if truth is not None:
        u, v = pictures(truth[:1]), pictures(image[:1])
        if bool(MaxMinPerImage().defined(u).all()):
            pair = {"truth": u, "estimate": v}
            decibel = float(psnr(**pair, data_range=MaxMinPerImage())[0])
            if min(u.shape[-2:]) >= SSIM_WINDOW:
                similarity = float(ssim(**pair, data_range=MaxMinPerImage())[0])
    return Reconstruction(image, scan.operator, seconds, status, truth, decibel, similarity, file)


def report(result: Reconstruction) -> list[str]:
    """The reconstruction and, where the truth is known, its scores, in lines of text.

    Args:
        result: Reconstruction.
    """
    sizes = result.image.abs() if result.image.is_complex() else result.image
    what = "magnitudes" if result.image.is_complex() else "values"
    shape = tuple(result.image.squeeze(1).squeeze(0).shape)
    low, high = sizes.min().item(), sizes.max().item()
    begin = "Reconstructed" if result.file is None else f"Wrote {result.file}:"
    lines = [f"{begin} {shape}, {what} {low:.4g} to {high:.4g}, {result.seconds:.2f} s."]
    if result.psnr is not None:
        similar = "" if result.ssim is None else f", SSIM {result.ssim:.3f}"
        lines.append(f"PSNR {result.psnr:.2f} dB{similar}, data range max-min.")
    elif result.truth is not None:
        lines.append(
            "The true image is constant: it has no PSNR and no SSIM with the range max-min."
        )
    return lines if result.status is None else [*lines, result.status]


def _require_scale(scale: float) -> None:
    if not (scale > 0 and math.isfinite(scale)):
        raise _misplaced("--scale > 0", f"--scale {scale}")


def _misplaced(expected: str, found: str) -> ConfigError:
    return ConfigError(describe(expected=expected, found=found, fix="omit it or correct it"))
