"""The scans that are measured, in pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from learnedrecon.kernels.geometry import RayGeometry2D
    from learnedrecon.operators.ray.geometry2d import Geometry

CALLS = ("forward", "adjoint")
SMALL = ParallelBeam((128, 128), AngleRange(30), FlatDetector(183))
LODOPAB = ParallelBeam((362, 362), AngleRange(1000), FlatDetector(513, 0.998))
LARGE = ParallelBeam((512, 512), AngleRange(720), FlatDetector(736))
MIDDLE = ParallelBeam((256, 256), AngleRange(360), FlatDetector(363))
LARGER = ParallelBeam((1024, 1024), AngleRange(720), FlatDetector(1450))
FAN = FanBeam((512, 512), AngleRange(720, arc=2 * math.pi), FlatDetector(736, 1.6), 1000.0, 500.0)
LARGER_FAN = FanBeam(
    (1024, 1024), AngleRange(720, arc=2 * math.pi), FlatDetector(1472, 1.6), 2000.0, 1000.0
)


def describe_scan(geometry: Geometry) -> str:
    """Such as '362², 1000 × 513'."""
    ny, nx = geometry.shape
    angles, detectors = geometry.data_shape
    image = f"{ny}²" if ny == nx else f"{ny} × {nx}"
    beam = " fan" if isinstance(geometry, FanBeam) else ""
    return f"{image}{beam}, {angles} × {detectors}"


def threads_text(number: int) -> str:
    """Such as '2 threads'."""
    return f"{number} thread{'' if number == 1 else 's'}"


def updates(rays: RayGeometry2D) -> int:
    """Samples of all rays: each takes one for every row, or column, that it walks along."""
    by_rows = int(rays.table().by_rows.sum())
    ny, nx = rays.shape
    return by_rows * ny + (rays.angles * rays.detectors - by_rows) * nx


def image_for(geometry: Geometry, batch: int = 1, seed: int = 0) -> Tensor:
    """A random float32 image (batch, 1, ny, nx)."""
    return torch.rand((batch, 1, *geometry.shape), generator=torch.Generator().manual_seed(seed))


def call_of(geometry: Geometry, call: str, batch: int = 1) -> Callable[[], Tensor]:
    """T of random images, or T* of random data where ``call`` is "adjoint"."""
    transform = RayTransform(geometry)
    if call == "forward":
        image = image_for(geometry, batch)
        return lambda: transform(image)
    data = data_for(geometry, batch)
    return lambda: transform.adjoint(data)


def distance(found: Tensor, expected: Tensor) -> float:
    """‖found - expected‖ / ‖expected‖, in double precision."""
    wide = torch.promote_types(expected.dtype, torch.float64)
    found, expected = found.to(wide), expected.to(wide)
    return float((found - expected).norm() / expected.norm())


def data_for(geometry: Geometry, batch: int = 1, seed: int = 1) -> Tensor:
    """Random float32 data (batch, 1, angles, detectors)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((batch, 1, *geometry.data_shape), generator=generator)
