"""Rules for reading measurements that depend on the kind of scan.

``@data_axes.register(MySpec)`` and the like add rules for your own operator; without one its
measurements are read by the shape and dtype of its spaces only.
"""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from learnedrecon.errors import DataError, GeometryError, describe
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.mri.non_cartesian import NonCartesian
from learnedrecon.operators.ray.arranged import Arranged
from learnedrecon.operators.ray.beam2d import Beam2D
from learnedrecon.operators.ray.beam3d import Beam3D
from learnedrecon.operators.ray.geometry2d import Beam
from learnedrecon.operators.ray.geometry3d import RotatingBeam3D
from learnedrecon.operators.ray.transmission import Transmission

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from learnedrecon.recorded import Record

_TRANSMISSIONS: Final = (-0.25, 1.5)
_COUNTS: Final = 50.0


@singledispatch
def data_axes(spec: Record) -> str:  # noqa: ARG001 - what other kinds look at
    """The names of the axes of the data, such as "angles, detector pixels"; empty by default.

    Args:
        spec: Record of an operator.
    """
    return ""


@data_axes.register(Beam2D)
@data_axes.register(Transmission)
def _(spec: Beam2D | Transmission) -> str:  # noqa: ARG001 - the same for all
    return "angles, detector pixels"


@data_axes.register(Beam3D)
def _(spec: Beam3D) -> str:  # noqa: ARG001 - the same for all
    return "angles, detector rows, detector columns"


@data_axes.register(Arranged)
def _(spec: Arranged) -> str:
    names = {"angle": "angles", "row": "detector rows"}
    last = "detector columns" if len(spec.data_order) == 3 else "detector pixels"
    return ", ".join(names.get(axis.removeprefix("-"), last) for axis in spec.data_order)


@data_axes.register(Cartesian)
def _(spec: Cartesian) -> str:
    coils = [] if spec.coils is None else ["coils"]
    return ", ".join([*coils, *("kz", "ky", "kx")[-len(spec.shape) :]])


@data_axes.register(NonCartesian)
def _(spec: NonCartesian) -> str:
    coils = [] if spec.coils is None else ["coils"]
    return ", ".join([*coils, "readouts", "samples"])


@singledispatch
def pixel_of(spec: Record) -> tuple[float, ...] | None:  # noqa: ARG001 - what other kinds look at
    """The pixel size of an image in mm, one number per axis; None where the operator has none.

    Args:
        spec: Record of an operator.
    """
    return None


@pixel_of.register(Beam2D)
@pixel_of.register(Beam3D)
def _(spec: Beam2D | Beam3D) -> tuple[float, ...]:
    return spec.pixel


@pixel_of.register(Arranged)
def _(spec: Arranged) -> tuple[float, ...]:
    return spec.pixel


@pixel_of.register(Transmission)
def _(spec: Transmission) -> tuple[float, ...]:
    return spec.geometry.pixel


@singledispatch
def image_unit(spec: Record) -> str:  # noqa: ARG001 - what other kinds look at
    """The unit of image values, such as "1/mm"; empty where the operator does not say it.

    Args:
        spec: Record of an operator.
    """
    return ""


@image_unit.register(Beam)
@image_unit.register(Beam3D)
def _(spec: Beam | Beam3D) -> str:  # noqa: ARG001 - line integrals have no unit, lengths are in mm
    return "1/mm"


@image_unit.register(Transmission)
def _(spec: Transmission) -> str:
    return "1/mm" if spec.mu == 1 else f"{spec.mu:g}/mm"


@singledispatch
def angles_of(spec: Record) -> tuple[float, ...] | None:  # noqa: ARG001 - as above
    """The angles of a scan in radians; None where the operator has none.

    Args:
        spec: Record of an operator.
    """
    return None


@angles_of.register(Beam)
@angles_of.register(RotatingBeam3D)
def _(spec: Beam | RotatingBeam3D) -> tuple[float, ...]:
    return tuple(spec.angle_values)


@angles_of.register(Arranged)
def _(spec: Arranged) -> tuple[float, ...] | None:
    return angles_of(spec.geometry)


@angles_of.register(Transmission)
def _(spec: Transmission) -> tuple[float, ...] | None:
    return angles_of(spec.geometry)


@singledispatch
def with_angles(spec: Record, theta: tuple[float, ...]) -> Record:
    """The same scan at other angles.

    Args:
        spec: The record of an operator.
        theta: Angles in radians.

    Raises:
        GeometryError: An operator without angles.
    """
    raise GeometryError(
        describe(
            expected="an operator with angles for those that are given",
            found=f"{type(spec).__name__} and {len(theta)} angles",
            fix="omit the angles, or name the geometry of a scan with --geometry",
        )
    )


@with_angles.register(Beam)
@with_angles.register(RotatingBeam3D)
def _(spec: Beam | RotatingBeam3D, theta: tuple[float, ...]) -> Record:
    return spec.with_angles(theta)


@with_angles.register(Transmission)
def _(spec: Transmission, theta: tuple[float, ...]) -> Record:
    return replace(spec, geometry=spec.geometry.with_angles(theta))


@singledispatch
def refuse_values(spec: Record, values: NDArray[Any], path: Path) -> None:
    """Check for values that the detector of an operator can measure; by default all are accepted.

    Args:
        spec: Record of an operator.
        values: Values of the measurement.
        path: Path of the file, for the message.

    Raises:
        DataError: Scans of this kind have no such values.
    """


@refuse_values.register(Transmission)
def _(spec: Transmission, values: NDArray[Any], path: Path) -> None:
    """Values far outside of [s, s + I₀], which is [0, 1] for shares of photons."""
    low, high = float(np.min(values)), float(np.max(values))
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
                "or use a model of line integrals",
            )
        )
