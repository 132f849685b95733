"""The rotation axis of a scan in a file, and the geometry with it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from learnedrecon.config.yaml_file import write_geometry
from learnedrecon.errors import ConfigError, describe
from learnedrecon.experiments.scan import measured, operator_record
from learnedrecon.files import plan_outputs
from learnedrecon.operators.base import Operator
from learnedrecon.recorded import Record
from learnedrecon.solvers.axis.search import AxisResult, rotation_axis

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from learnedrecon.experiments.raw import RawInput

    Path_ = str | os.PathLike[str]

_LOG = logging.getLogger(__name__)

_AGREE = 0.5


@dataclass(frozen=True, eq=False)
class Alignment:
    """A scan with its estimated rotation axis.

    Attributes:
        axis: Estimated axis, with its uncertainty and the result of each method.
        geometry: Record of the scan with the estimated axis.
        given: Axis offset in mm that the scan had before.
        file: Path of the written geometry, or None.
    """

    axis: AxisResult
    geometry: Record
    given: float
    file: Path | None


def align(
    measurement: Path_ | Tensor | NDArray[Any],
    *,
    operator: Path_ | Operator | Record = None,
    output: Path_ | None = None,
    key: str | None = None,
    raw: RawInput | None = None,
    force: bool = False,
) -> Alignment:
    """Finds the rotation axis of a parallel, fan or cone beam scan, and writes its geometry.

    See :func:`learnedrecon.solvers.rotation_axis`. Methods that differ by more than half a detector
    pixel are logged as a warning.

    Args:
        measurement: Path of a file, or an array or tensor of line integrals (*codomain), or a
            stack.
        operator: T, its record, or a file with it; without one, the angles in the file and a
            parallel beam with detector pixels of 1 mm.
        output: Path of a YAML file for the geometry with the axis, or None.
        key: Key of the data set in an HDF5 file.
        raw: Flats, darks, detector rows, angles, bad pixels and rings of a raw scan in files.
        force: True if ``output`` may be overwritten; inputs never are.

    Raises:
        FileFormatError: A file is missing, broken or of another kind.
        ConfigError: The output exists, is an input, or is not a YAML file.
        GeometryError: There is no operator, or it has no rotation axis.
        ShapeError: The measurement does not fit the operator.
        DataError: A value is NaN or infinite, or all are zero.
    """
    inputs = (measurement, operator, *(() if raw is None else raw.files))
    file = _planned(output, inputs, force=force)
    given = operator if isinstance(operator, Operator) else operator_record(operator)
    scan = measured(measurement, None, given, key, torch.device("cpu"), raw)
    axis = rotation_axis(scan.operator, scan.data)  # type: ignore[arg-type]
    geometry = scan.operator.spec
    before = geometry.detector.axis_offset
    if axis.disagreement is not None and axis.disagreement > _AGREE * axis.pitch:
        _LOG.warning(
            "Two methods differ by %.2g detector pixels about the rotation axis: look at both"
            " images. An object that is not seen whole, wrong angles, or one that moved does this.",
            axis.disagreement / axis.pitch,
        )
    geometry = replace(geometry, detector=replace(geometry.detector, axis_offset=axis.offset))
    if file is not None:
        write_geometry(file, geometry)
    return Alignment(axis, geometry, before, file)


def report(result: Alignment) -> list[str]:
    """The axis with its uncertainty, in lines of text.

    Args:
        result: Result of :func:`align`.
    """
    axis = result.axis
    sure = max(axis.deviation / axis.pitch, 0.005)
    place = f"detector pixel {axis.pixel:.2f} ± {sure:.2f}, counted from 0"
    offset = f"axis_offset {axis.offset:.4g} mm (it was {result.given:.4g})"
    lines = [f"Rotation axis at {place}: {offset}."]
    middle = axis.pixel - axis.offset / axis.pitch
    for name, each in axis.estimates.items():
        pixel, deviation = middle + each.offset / axis.pitch, each.deviation / axis.pitch
        lines.append(f"  by the {name}: {pixel:.2f} ± {max(deviation, 0.005):.2f}")
    if axis.disagreement is not None:
        lines.append(f"  The methods agree to {axis.disagreement / axis.pitch:.2g} pixels.")
    if result.file is not None:
        lines.append(f"Wrote {result.file}.")
    return lines


def _planned(output: Path_ | None, inputs: Iterable[object], *, force: bool) -> Path | None:
    if output is None:
        return None
    path = Path(output)
    if path.suffix.lower() not in {".yaml", ".yml"}:
        raise ConfigError(
            describe(
                expected="an output that ends in .yaml", found=str(path), fix="choose this ending"
            )
        )
    read = [each for each in inputs if isinstance(each, str | Path)]
    return plan_outputs([path], inputs=read, force=force)[0]
