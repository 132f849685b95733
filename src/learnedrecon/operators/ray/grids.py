"""The same scan on another pixel grid or with another image size.

Both functions are open: ``on_grid.register(MySpec, ...)`` adds the specs of other operators.
"""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch
from typing import TYPE_CHECKING

from learnedrecon.errors import ConfigError, describe
from learnedrecon.operators.ray.arranged import Arranged
from learnedrecon.operators.ray.beam2d import Beam2D
from learnedrecon.operators.ray.transmission import Transmission

if TYPE_CHECKING:
    from learnedrecon.recorded import Record


@singledispatch
def on_grid(spec: Record, grid: tuple[int, int]) -> Record:  # noqa: ARG001 - what other kinds look at
    """The spec of the same scan of the same rectangle in mm, divided into other pixels.

    Args:
        spec: Spec of the scan of an image, a transmission through one, or a registered one.
        grid: Number of pixels, ``(ny, nx)``.

    Raises:
        ConfigError: The spec is None or of another kind.
    """
    raise _unknown(spec)


@singledispatch
def with_shape(spec: Record, shape: tuple[int, int]) -> Record:  # noqa: ARG001 - what other kinds look at
    """The spec of the same scan with another number of pixels of the same size.

    Args:
        spec: Spec of the scan of an image, a transmission through one, or a registered one.
        shape: Number of pixels, ``(ny, nx)``.

    Raises:
        ConfigError: The spec is None or of another kind.
        GeometryError: The image would reach beyond the source of a fan beam.
    """
    raise _unknown(spec)


@on_grid.register
def _(spec: Beam2D, grid: tuple[int, int]) -> Beam2D:
    (ny, nx), (dy, dx) = spec.shape, spec.pixel
    pixel = (ny * dy / grid[0], nx * dx / grid[1])
    return replace(spec, shape=grid, pixel_size=pixel)  # type: ignore[type-var]


@with_shape.register
def _(spec: Beam2D, shape: tuple[int, int]) -> Beam2D:
    return replace(spec, shape=shape)  # type: ignore[type-var]


@on_grid.register
def _(spec: Arranged, grid: tuple[int, int]) -> Arranged:
    return replace(spec, geometry=on_grid(spec.geometry, spec.at(grid)))  # type: ignore[arg-type]


@with_shape.register
def _(spec: Arranged, shape: tuple[int, int]) -> Arranged:
    return replace(spec, geometry=with_shape(spec.geometry, spec.at(shape)))  # type: ignore[arg-type]


@on_grid.register
def _(spec: Transmission, grid: tuple[int, int]) -> Transmission:
    return replace(spec, geometry=on_grid(spec.geometry, grid))


@with_shape.register
def _(spec: Transmission, shape: tuple[int, int]) -> Transmission:
    return replace(spec, geometry=with_shape(spec.geometry, shape))


def _unknown(spec: object) -> ConfigError:
    return ConfigError(
        describe(
            expected="the spec of a tomographic operator, whose images can have any shape",
            found="none" if spec is None else type(spec).__name__,
            fix="use images of the operator's own shape and no other grid, or register the spec"
            " with on_grid and with_shape",
        )
    )
