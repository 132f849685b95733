"""Three-dimensional scans of every kind, for the tests of the kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import pytest

from learnedrecon.kernels import joseph
from learnedrecon.kernels.geometry3d import RayGeometry3D

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

ANGLE = {"laminography": np.radians(35.0), "along_z": np.radians(90.0), "steep": np.radians(50.0)}
PITCH = {"fine_rows": (0.25, 1.3), "coarse_rows": (3.1, 1.3), "very_coarse": (12.0, 9.0)}


class Scan3D(Protocol):
    """What the fixture `scan3d` returns."""

    def __call__(
        self,
        kind: str,
        *,
        cone: bool = True,
        angles: int = 6,
        detectors: tuple[int, int] = (11, 9),
        shape: tuple[int, int, int] = (7, 8, 9),
        pixel: tuple[float, float, float] = (1.2, 0.7, 0.9),
    ) -> RayGeometry3D: ...


def circle(angles: int, distance: float) -> tuple[NDArray[np.float64], ...]:
    """Sources, centres of the detector, and the directions of columns and rows."""
    theta = 0.1 + np.arange(angles) * (2 * np.pi / max(angles - 1, 1))
    zero = np.zeros(angles)
    across = np.stack([np.cos(theta), np.sin(theta), zero], axis=1)
    source = distance * np.stack([np.sin(theta), -np.cos(theta), zero], axis=1)
    up = np.stack([zero, zero, zero + 1], axis=1)
    return source, -0.6 * source, across, up


def tilted(
    vectors: NDArray[np.float64], axis: NDArray[np.float64], angle: float
) -> NDArray[np.float64]:
    """Vectors turned about axes of unit length (Rodrigues)."""
    along = (vectors * axis).sum(axis=1, keepdims=True) * axis
    return along + np.cos(angle) * (vectors - along) + np.sin(angle) * np.cross(axis, vectors)


def make(
    kind: str,
    *,
    cone: bool = True,
    angles: int = 6,
    detectors: tuple[int, int] = (11, 9),
    shape: tuple[int, int, int] = (7, 8, 9),
    pixel: tuple[float, float, float] = (1.2, 0.7, 0.9),
) -> RayGeometry3D:
    source, centre, across, up = circle(angles, 2.1 if kind == "inside" else 17.0)
    if kind in ANGLE:
        source, centre, up = (tilted(v, across, ANGLE[kind]) for v in (source, centre, up))
    rows, columns = PITCH.get(kind, (1.1, 1.3))
    column, row = columns * across, rows * up
    if kind == "turned":
        column, row = row, column
    if kind == "upside_down":
        row = -row
    if kind == "skew":
        generator = np.random.default_rng(3)
        column = column + generator.normal(size=column.shape, scale=0.3)
        row = row + generator.normal(size=row.shape, scale=0.3)
    if kind == "helical":
        climb = np.linspace(-4.0, 4.0, angles)[:, None] * up
        source, centre = source + climb, centre + climb
    first = centre - 0.5 * (detectors[0] - 1.3) * row - 0.5 * (detectors[1] - 0.6) * column
    start = source if cone else centre - source
    parts = [start, first, column, row]
    if kind in {"about_x", "about_y"}:
        parts = [np.roll(part, 1 if kind == "about_x" else 2, axis=1) for part in parts]
    return RayGeometry3D(np.concatenate(parts, axis=1), cone, detectors, shape, pixel)


@pytest.fixture
def scan3d() -> Scan3D:
    """A scan of one kind, a full turn with its source 17 mm from the centre."""
    return make


@pytest.fixture(params=joseph.available_isas() or [None])
def isa(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Each instruction set of this machine in turn."""
    joseph.set_isa(request.param)
    yield request.param
    joseph.set_isa(None)
