"""What `learnedrecon reconstruct` does."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from learnedrecon import specs
from learnedrecon.config.yaml_file import read_config, read_operator
from learnedrecon.data.draws import draws_of
from learnedrecon.data.files.arrays import write_array
from learnedrecon.data.noise import NoNoise
from learnedrecon.data.simulate import Simulation, Simulator
from learnedrecon.errors import ConfigError, DataError, FileFormatError, GeometryError, describe
from learnedrecon.experiments.experiment import FIDELITIES
from learnedrecon.experiments.measurement import (
    Measurement,
    assumed_geometry,
    check_data,
    check_image,
    check_transmission,
    is_dicom,
    read_image,
    read_measurement,
)
from learnedrecon.experiments.method import CLASSICAL, Method, classical, open_run, open_weights
from learnedrecon.experiments.tuned_baselines import natural_weight
from learnedrecon.files import refuse_overwriting
from learnedrecon.metrics.image import psnr, ssim
from learnedrecon.metrics.ranges import MaxMinPerImage
from learnedrecon.models.classical import FBP, TV
from learnedrecon.operators.base import Operator
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.ray.transmission import Transmission
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.problem import InverseProblem
from learnedrecon.solvers.direct.pseudo_inverse import pseudo_inverse

_LOG = logging.getLogger(__name__)

_LOG = logging.getLogger(__name__)

_WRITABLE = (".npy", ".tif", ".tiff", ".png", ".h5", ".hdf5")
_FAMILIAR = 5.0


class Request(NamedTuple):
    """The arguments of the command, see there."""

    model: str
    file: Path
    output: Path
    geometry: Path | None
    key: str | None
    simulate: bool
    weight: float | None
    signed: bool
    scale: float
    device: torch.device


@dataclass(frozen=True, eq=False)
class Scan:
    """What is reconstructed.

    Attributes:
        spec: of the operator.
        operator: T, on the device.
        data: (batch, 1, angle, detector).
        truth: (1, 1, ny, nx) where the data were simulated, or None.
    """

    spec: Any
    operator: Operator
    data: Tensor
    truth: Tensor | None = None


def run(request: Request) -> None:
    """Reads, reconstructs, writes, and says what was done.

    Raises:
        LearnedReconError: in all the ways in which a file, a model or a geometry can be wrong.
    """
    method = find_method(request)
    given = None if request.geometry is None else read_operator(request.geometry)
    scan = (
        simulated(request, method, given) if request.simulate else measured(request, method, given)
    )
    if method.trained_on is not None and scan.spec != method.trained_on:
        _LOG.info("This geometry is not the one that the model was trained with.")
    if request.model == "tv":
        method = with_weight(scan, request)
    image, seconds, status = reconstructed(method, scan, request)
    require_finite_image(method, scan, image)
    write_array(request.output, image.squeeze(1).squeeze(0).cpu().numpy())
    if request.output.suffix.lower() == ".png":
        _LOG.info(
            "A PNG shows from the smallest value to the largest; other formats keep the numbers."
        )
    report(request.output, scan, image, seconds)
    if status is not None:
        _LOG.info(status)


def find_method(request: Request) -> Method:
    """The method that the user named; the weight of total variation may still be missing.

    Raises:
        ConfigError: --weight, --signed or --scale out of place or range.
        FileFormatError: no such run or file, or broken weights.
    """
    if request.weight is not None and request.model != "tv":
        raise _misplaced("--weight for 'tv' alone", f"--weight with {request.model}")
    if request.signed and request.model != "tv":
        raise _misplaced("--signed for 'tv' alone", f"--signed with {request.model}")
    if not (request.scale > 0 and math.isfinite(request.scale)):
        raise _misplaced("--scale > 0", f"--scale {request.scale}")
    if request.model in CLASSICAL:
        model = FBP() if request.model == "fbp" else TV(1.0)
        return classical(request.model, model, device=request.device)
    path = Path(request.model)
    if path.is_dir():
        return open_run(path, device=request.device)[0]
    if not path.exists():
        raise FileFormatError(
            describe(
                expected="a run folder, a weights file, 'fbp' or 'tv' as MODEL",
                found=f"'{path}', which does not exist",
                fix="correct the path",
            )
        )
    config = path.parent.parent / "config.yaml"
    beside = path.parent.name == "checkpoints" and config.is_file()
    settings = read_config(config) if beside else None
    return open_weights(path, config=settings, device=request.device)


def measured(request: Request, method: Method, given: Any) -> Scan:  # noqa: ANN401 - any operator spec
    """The measurement in the file.

    Raises:
        ShapeError: it does not fit the geometry.
        GeometryError: there is no geometry.
        DataError: values that the operator cannot have measured.
        ConfigError: an image, as DICOM has it.
    """
    if is_dicom(request.file):
        raise ConfigError(
            describe(
                expected=f"a measurement in {request.file}",
                found="an image, a slice in DICOM",
                fix="add --simulate to measure it first",
            )
        )
    measurement = read_measurement(request.file, request.key)
    spec = given or method.trained_on or assumed_geometry(measurement, request.file)
    refuse_other_kind(method, spec)
    operator = specs.build(OPERATORS, spec).to(request.device)
    check_data(measurement, spec, operator.codomain, request.file)
    if isinstance(spec, Transmission):
        check_transmission(measurement, spec, request.file)
    return Scan(spec, operator, _batched(measurement, operator).to(request.device))


def simulated(request: Request, method: Method, given: Any) -> Scan:  # noqa: ANN401 - any operator spec
    """The image in the file, measured with the noise of the run where it has some.

    Raises:
        ShapeError: the image does not fit the geometry.
        GeometryError: there is no geometry.
    """
    image, pixel = read_image(request.file, request.key)
    spec = given or method.trained_on
    if spec is None:
        raise GeometryError(
            describe(
                expected="a geometry to measure the image with",
                found=f"none: {request.model} was trained on no scan",
                fix="give --geometry G.yaml",
            )
        )
    refuse_other_kind(method, spec)
    check_image(image, pixel, spec, request.file)
    operator = specs.build(OPERATORS, spec).to(request.device)
    simulation = simulation_of(method, image.shape)
    truth = torch.from_numpy(image)[None, None].to(request.device)
    data = Simulator(simulation, operator, spec)(truth, (request.file.stem,))
    return Scan(spec, operator, data, truth)


def simulation_of(method: Method, shape: tuple[int, ...]) -> Simulation:
    """How the run makes its data; without noise where there is no run, or it has data.

    A grid that is coarser than the image would blur it, and is left away.
    """
    simulation = None if method.config is None else method.config.data.simulation
    if simulation is None:
        _LOG.info("Measured without noise: only a run that simulates knows how its data are made.")
        return Simulation(NoNoise())
    _LOG.info(f"Measured with {simulation.noise}.")
    grid = simulation.grid
    coarse = grid is not None and (grid[0] < shape[0] or grid[1] < shape[1])
    return replace(simulation, grid=None) if coarse else simulation


def reconstructed(method: Method, scan: Scan, request: Request) -> tuple[Tensor, float, str | None]:
    """The image, the seconds it took, and how the solver ended.

    Raises:
        ConfigError: a --scale for a nonlinear operator.
    """
    c = request.scale
    if c != 1.0 and not isinstance(scan.operator, LinearOperator):
        raise _misplaced("no --scale for a nonlinear operator", f"--scale {c}")
    problem = InverseProblem(scan.operator, scan.data / c, FIDELITIES[method.fidelity]())
    if number := method.model.draws:
        problem = replace(problem, draws=draws_of(number))
    note_size(method, problem, request)
    start = time.perf_counter()
    with torch.no_grad():
        estimate = method.model(problem)
    return c * estimate.image, time.perf_counter() - start, estimate.status


def require_finite_image(method: Method, scan: Scan, image: Tensor) -> None:
    """Refuses what a method made of good data and cannot be written.

    Raises:
        DataError: NaN or infinity; the method and the range of the data are named.
    """
    bad = int((~image.isfinite()).sum())
    if bad:
        low, high = scan.data.min().item(), scan.data.max().item()
        raise DataError(
            describe(
                expected=f"a finite image from '{method.label}'",
                found=f"NaN or infinity in {bad} of its {image.numel()} pixels, which the method "
                f"made of finite data from {low:.4g} to {high:.4g}",
                fix="compare this range with the data that the method was trained on, see --scale; "
                "nothing was written",
            )
        )


def note_size(method: Method, problem: InverseProblem, request: Request) -> None:
    """Says so where the image is far larger or smaller than what the model was trained on."""
    known = method.model.image_scale
    if known is None:
        return
    image = pseudo_inverse(problem.operator, problem.data, window="hann", bandwidth=0.5)
    size = image.abs().flatten().quantile(0.99).item() if image.numel() < 2**24 else known
    if not known / _FAMILIAR < size < known * _FAMILIAR:
        better = request.scale * size / known
        _LOG.info(
            f"The values of the image are about {size:.2g}; the model was trained on values about "
            f"{known:g}. Consider --scale {better:.2g}."
        )


def with_weight(scan: Scan, request: Request) -> Method:
    """Total variation with the weight that the user gave.

    Raises:
        ConfigError: none was given; a number to begin with is.
    """
    if request.weight is not None:
        model = TV(request.weight, nonnegative=not request.signed)
        return classical("tv", model, device=request.device)
    begin = natural_weight(scan.operator, scan.data)
    raise ConfigError(
        describe(
            expected="--weight for total variation, which one measurement cannot tune",
            found="none",
            fix=f"begin with --weight {begin:.2g} and look at the image, or take what "
            "'learnedrecon compare RUN tv' finds for a run of the same geometry and noise",
        )
    )


def refuse_other_kind(method: Method, spec: Any) -> None:  # noqa: ANN401 - any operator spec
    """Refuses line integrals for a model of transmissions, and the other way round.

    Raises:
        GeometryError: the operators are not of one kind.
    """
    kinds = [
        isinstance(specs.build(OPERATORS, each), LinearOperator)
        for each in (method.trained_on or spec, spec)
    ]
    if kinds[0] != kinds[1]:
        raise GeometryError(
            describe(
                expected=f"an operator as in the training, {type(method.trained_on).__name__}",
                found=type(spec).__name__,
                fix="take the logarithm of transmissions, or another model",
            )
        )


def refuse_output(path: Path, measurement: Path, *, force: bool) -> None:
    """Refuses an output that cannot be written, or would cost a file, before anything is computed.

    Args:
        path: the image to write.
        measurement: the file that is reconstructed; it is never written to.
        force: whether another file may be overwritten.

    Raises:
        FileFormatError: an ending that cannot be written.
        ConfigError: there is a file.
    """
    if path.suffix.lower() not in _WRITABLE:
        raise FileFormatError(
            describe(
                expected=f"an output that ends in {', '.join(_WRITABLE)}",
                found=str(path),
                fix="choose one of these endings",
            )
        )
    if path.exists() and measurement.exists() and path.samefile(measurement):
        raise ConfigError(
            describe(
                expected="another output than the measurement",
                found=f"{path} for both",
                fix="choose another name with -o",
            )
        )
    refuse_overwriting(path, force=force)


def report(output: Path, scan: Scan, image: Tensor, seconds: float) -> None:
    """Prints what was written, and scores where the truth is known."""
    low, high = image.min().item(), image.max().item()
    shape = tuple(image.squeeze(1).squeeze(0).shape)
    _LOG.info(f"Wrote {output}: {shape}, values {low:.4g} to {high:.4g}, {seconds:.2f} s.")
    if scan.truth is not None:
        pair = {"truth": scan.truth.cpu(), "estimate": image.cpu()}
        values = [float(metric(**pair, data_range=MaxMinPerImage())[0]) for metric in (psnr, ssim)]
        _LOG.info(f"PSNR {values[0]:.2f} dB, SSIM {values[1]:.3f}, data range max-min.")


def _batched(measurement: Measurement, operator: Operator) -> Tensor:
    values = torch.from_numpy(measurement.values)
    return values.reshape(-1, 1, *operator.codomain.shape)


def _misplaced(expected: str, found: str) -> ConfigError:
    return ConfigError(describe(expected=expected, found=found, fix="leave it away or correct it"))
