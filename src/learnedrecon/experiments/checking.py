"""Checks of data, operators and models before their use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from learnedrecon import specs
from learnedrecon.config.yaml_file import read_operator
from learnedrecon.errors import ShapeError, describe
from learnedrecon.experiments.agreement import agreement_lines
from learnedrecon.experiments.data_report import View, look_at
from learnedrecon.experiments.geometry_text import geometry_file_text
from learnedrecon.experiments.method import find_method, require_operator
from learnedrecon.files import plan_outputs, write_text
from learnedrecon.operators.base import Operator
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.problem import InverseProblem
from learnedrecon.testing import check_operator as check_one_operator
from learnedrecon.testing import check_reconstructor

if TYPE_CHECKING:
    import os

    from learnedrecon.experiments.method import Method
    from learnedrecon.experiments.raw import RawInput
    from learnedrecon.recorded import Record
    from learnedrecon.schemes.reconstructor import Reconstructor
    from learnedrecon.testing import Report

_TOLERANCE = 1e-4
_PRECISIONS = (torch.float64, torch.float32)


def check_data(
    path: str | os.PathLike[str],
    *,
    operator: str | os.PathLike[str] | Record = None,
    key: str | None = None,
    raw: RawInput | None = None,
    write_geometry: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> View:
    """A description of a file or folder of data: content, missing parts, next steps.

    Args:
        path: Path of a file, or of a folder of measurements and true images.
        operator: Record of T, or path of a geometry file, configuration or run folder, with which
            data are compared, see :mod:`learnedrecon.data.consistency`.
        key: Key of the data set in an HDF5 file.
        raw: Flats, darks, rows and angles of a raw scan, or None.
        write_geometry: Path of a YAML file for a geometry template, or None.
        force: True if that file may be overwritten.

    Raises:
        FileFormatError: There is no such path, or a file cannot be read.
        DataError: A value is NaN or infinite.
        ShapeError: A geometry is asked for, and there is no measurement; or data do not fit the
            operator.
        ConfigError: The geometry file exists, or is an input.
    """
    path = Path(path)
    if write_geometry is not None:
        inputs = (path, *(() if raw is None else raw.files))
        plan_outputs([write_geometry], inputs=inputs, force=force)
    view = look_at(path, key, raw)
    if operator is not None and view.usable:
        record = read_operator(operator) if isinstance(operator, str | Path) else operator
        lines, agrees = agreement_lines(path, record, key, raw)
        view = view._replace(lines=(*view.lines, *lines), usable=agrees)
    if write_geometry is not None:
        if view.geometry is None:
            raise ShapeError(
                describe(
                    expected=f"a measurement (angle, detector) in {path}",
                    found="none",
                    fix="name the file of a measurement, and its data set with --key",
                )
            )
        write_text(write_geometry, geometry_file_text(view.geometry, path))
    return view


def check_operator(
    operator: str | os.PathLike[str] | Operator | Record,
) -> dict[torch.dtype, Report]:
    """The checks of adjoint, linearity and derivatives of an operator in both precisions.

    Args:
        operator: Operator, its record, or a path of a configuration, geometry file or run folder.

    Raises:
        CheckError: A property does not hold.
        FileFormatError: The file cannot be read.
        ConfigError: The record is invalid.
    """
    if not isinstance(operator, Operator):
        record = read_operator(operator) if isinstance(operator, str | Path) else operator
        operator = specs.build(OPERATORS, record)
    return {dtype: check_one_operator(operator.to(dtype)) for dtype in _PRECISIONS}


def check_model(
    method: str | os.PathLike[str] | Reconstructor, *, operator: Operator | None = None
) -> Report:
    """The checks of a model: independence of samples, gradients, saving and loading.

    Args:
        method: Run folder, weights file, or model.
        operator: T; that of the training unless given.

    Raises:
        CheckError: A property does not hold.
        ConfigError: There is no operator.
        FileFormatError: There is no such run or file, or weights are broken.
    """
    found = find_method(method)
    given = require_operator(found, method) if operator is None else operator
    found.model.cpu()
    return check_reconstructor(found.model, example(found, given), tolerance=_TOLERANCE)


def example(method: Method, operator: Operator) -> InverseProblem:
    """Two smooth random images of the size in training, measured by T.

    Args:
        method: Method of the model.
        operator: T.
    """
    generator = torch.Generator().manual_seed(0)
    images = operator.domain.random(generator, (2, method.channels))
    for axis in range(-operator.domain.ndim, 0):
        images = (images + images.roll(1, axis) + images.roll(-1, axis)) / 3
    images = images if operator.domain.is_complex else images.abs()
    size = images.abs().amax()
    return InverseProblem(operator, operator((method.model.image_scale or 1.0) * images / size))
