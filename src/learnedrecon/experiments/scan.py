"""Measurements with their operators, from a file or simulated from an image."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from learnedrecon import specs
from learnedrecon.config.yaml_file import read_operator
from learnedrecon.data.noise import NoNoise
from learnedrecon.data.simulate import Simulation, Simulator
from learnedrecon.errors import ConfigError, GeometryError, describe
from learnedrecon.experiments.acquisition import with_angles
from learnedrecon.experiments.agreement import note_raw_values
from learnedrecon.experiments.measurement import (
    Measurement,
    as_data,
    as_image,
    assumed_geometry,
    is_dicom,
    read_image,
    read_measurement,
)
from learnedrecon.operators.base import Operator
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.registry import OPERATORS

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from learnedrecon.experiments.method import Method
    from learnedrecon.experiments.raw import RawInput
    from learnedrecon.recorded import Record

    Path_ = str | os.PathLike[str]

_LOG = logging.getLogger(__name__)


class Scan(NamedTuple):
    """A measurement with its operator.

    Attributes:
        operator: T, on the device.
        data: Measurement (batch, channel, *codomain).
        truth: True image where data were simulated, or None.
    """

    operator: Operator
    data: Tensor
    truth: Tensor | None = None


def measured(  # noqa: PLR0917 - what a command line has
    measurement: Path_ | Tensor | NDArray[Any],
    method: Method | None,
    given: Operator | Record,
    key: str | None,
    device: torch.device,
    raw: RawInput | None = None,
) -> Scan:
    """The measurement of a file or array, with its operator.

    Args:
        measurement: Path of a file, array or tensor.
        method: Method, for the operator of its training, or None.
        given: Operator or record that takes precedence, or None.
        key: Key of the data set in an HDF5 file.
        device: Device of the data and the operator.
        raw: Frames, rows and corrections of a raw scan, or None; its angles replace those of the
            operator.

    Raises:
        ShapeError: The measurement does not fit the operator.
        GeometryError: There is no operator.
        DataError: The operator cannot have measured the values.
        ConfigError: The file is an image, as DICOM files are.
    """
    if isinstance(measurement, Tensor | np.ndarray):
        content = Measurement(np.asarray(torch.as_tensor(measurement).cpu()))
    else:
        path = Path(measurement)
        if is_dicom(path):
            raise ConfigError(
                describe(
                    expected=f"a measurement in {path}",
                    found="an image, a slice in DICOM",
                    fix="add --simulate to measure it first",
                )
            )
        content = read_measurement(path, key, raw)
    operator = _operator(given, method)
    if operator is not None and raw is not None and raw.theta is not None and content.theta:
        operator = specs.build(OPERATORS, with_angles(operator.spec, content.theta))
    if operator is None:
        operator = specs.build(OPERATORS, assumed_geometry(content))
    _refuse_other_kind(method, operator)
    channels = 1 if method is None else method.channels
    data = as_data(content, operator.spec, operator.codomain, channels)
    if isinstance(measurement, Tensor):
        data = data.to(torch.promote_types(data.dtype, measurement.dtype))
    note_raw_values(operator, data, str(content.path))
    return Scan(operator.to(device), data.to(device))


def simulated(
    measurement: Path_ | Tensor | NDArray[Any],
    method: Method | None,
    given: Operator | Record,
    key: str | None,
    device: torch.device,
) -> Scan:
    """The simulated measurement of an image, with the noise of the run if it has any.

    Args:
        measurement: Path of an image file, array or tensor.
        method: Method, for operator and noise of its training, or None.
        given: Operator or record that takes precedence, or None.
        key: Key of the data set in an HDF5 file.
        device: Device of the data and the operator.

    Raises:
        ShapeError: The image does not fit the operator.
        GeometryError: There is no operator.
    """
    pixel: tuple[float, float] | None = None
    if isinstance(measurement, Tensor | np.ndarray):
        path, image = Path("the image"), np.asarray(torch.as_tensor(measurement).cpu())
    else:
        path = Path(measurement)
        image, pixel = read_image(path, key)
    operator = _operator(given, method)
    if operator is None:
        raise GeometryError(
            describe(
                expected="a geometry to measure the image with",
                found="none: the method was trained on no scan",
                fix="give --geometry G.yaml",
            )
        )
    _refuse_other_kind(method, operator)
    operator = operator.to(device)
    channels = 1 if method is None else method.channels
    truth = as_image(image, pixel, operator.spec, operator.domain, path=path, channels=channels).to(
        device
    )
    simulation = simulation_of(method, tuple(truth.shape[2:]))
    ids = [path.stem if len(truth) == 1 else f"{path.stem}-{k}" for k in range(len(truth))]
    data = Simulator(simulation, operator, operator.spec)(truth, ids)
    return Scan(operator, data, truth)


def simulation_of(method: Method | None, shape: tuple[int, ...]) -> Simulation:
    """The simulation of a run; without noise if there is no run, or its data are measured.

    A grid that is coarser than the image would blur it, and is omitted.

    Args:
        method: Method with the configuration of the run, or None.
        shape: Shape of the image.
    """
    config = None if method is None else method.config
    simulation = None if config is None else config.data.simulation
    if simulation is None:
        _LOG.info("Measured without noise: only a run that simulates knows how its data are made.")
        return Simulation(NoNoise())
    _LOG.info(f"Measured with {simulation.noise}.")
    grid = simulation.grid
    coarse = grid is not None and (grid[0] < shape[0] or grid[1] < shape[1])
    return replace(simulation, grid=None) if coarse else simulation


def operator_record(operator: Path_ | Record) -> Record:
    """The record of an operator that is given as a path or as a record.

    Args:
        operator: Path of a file, or record.
    """
    return read_operator(operator) if isinstance(operator, str | Path) else operator


def _operator(given: Operator | Record, method: Method | None) -> Operator | None:
    if isinstance(given, Operator):
        return given
    if given is not None:
        return specs.build(OPERATORS, given)
    return None if method is None else method.operator


def _refuse_other_kind(method: Method | None, operator: Operator) -> None:
    """Refuses line integrals for a model of transmissions, and the other way round.

    Raises:
        GeometryError: One operator is linear and the other is not.
    """
    trained = None if method is None else method.operator
    if trained is not None and (
        isinstance(trained, LinearOperator) != isinstance(operator, LinearOperator)
    ):
        raise GeometryError(
            describe(
                expected=f"an operator as in the training, {type(trained).__name__}",
                found=type(operator).__name__,
                fix="take the logarithm of transmissions, or another model",
            )
        )
