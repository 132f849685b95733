"""The same scan with another image: cut into other pixels, or of another size."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from learnedrecon.errors import ConfigError, describe
from learnedrecon.operators.ray.geometry2d import FanBeam, ParallelBeam
from learnedrecon.operators.ray.transmission import Transmission

if TYPE_CHECKING:
    from learnedrecon.operators.ray.geometry2d import Geometry


def on_grid(spec: Any, grid: tuple[int, int]) -> Any:  # noqa: ANN401 - any operator spec
    """The spec of the same scan of the same rectangle in millimetres, cut into other pixels.

    Args:
        spec: a parallel or a fan beam, or a transmission through one.
        grid: ``(ny, nx)``.

    Raises:
        ConfigError: another spec, or none.
    """
    geometry = _geometry_of(spec)
    (ny, nx), (dy, dx) = geometry.shape, geometry.pixel
    pixel = (ny * dy / grid[0], nx * dx / grid[1])
    return _with_geometry(spec, replace(geometry, shape=grid, pixel_size=pixel))


def with_shape(spec: Any, shape: tuple[int, int]) -> Any:  # noqa: ANN401 - any operator spec
    """The spec of the same scan with pixels of the same size, but ``shape`` of them.

    Args:
        spec: a parallel or a fan beam, or a transmission through one.
        shape: ``(ny, nx)``.

    Raises:
        ConfigError: another spec, or none.
        GeometryError: the image would reach beyond the source of a fan beam.
    """
    return _with_geometry(spec, replace(_geometry_of(spec), shape=shape))


def _geometry_of(spec: Any) -> Geometry:  # noqa: ANN401 - any operator spec
    match spec:
        case ParallelBeam() | FanBeam():
            return spec
        case Transmission():
            return spec.geometry
    raise ConfigError(
        describe(
            expected="the spec of a tomographic operator, whose images can have any shape",
            found="none" if spec is None else type(spec).__name__,
            fix="use images of the operator's own shape, and no other grid",
        )
    )


def _with_geometry(spec: Any, geometry: Geometry) -> Any:  # noqa: ANN401 - any operator spec
    return replace(spec, geometry=geometry) if isinstance(spec, Transmission) else geometry
