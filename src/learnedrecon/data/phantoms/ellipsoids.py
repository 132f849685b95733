"""Ellipsoids: volumes with exactly known line integrals, for tests and examples in 3D."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from learnedrecon.errors import DataError, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from learnedrecon.kernels.geometry3d import RayGeometry3D
    from learnedrecon.operators.ray.beam3d import Beam3D

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid with a constant value inside and 0 outside.

    Attributes:
        value: Value inside, in the unit of the volume.
        axes: Half axes along x, y and z in mm, before the rotation.
        centre: Centre (x, y, z) in mm.
        angle: Rotation angle about z, in radians from x to y.

    Raises:
        DataError: An axis is not positive, or a number is not finite.
    """

    value: float
    axes: Triple
    centre: Triple = (0.0, 0.0, 0.0)
    angle: float = 0.0

    def __post_init__(self) -> None:
        numbers = (self.value, *self.axes, *self.centre, self.angle)
        if not all(map(math.isfinite, numbers)) or min(self.axes) <= 0:
            raise DataError(
                describe(
                    expected="finite numbers and three positive half axes in mm",
                    found=f"{self}",
                    fix="correct the ellipsoid",
                )
            )

    def normalised(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors (..., xyz) in the frame in which the ellipsoid is the unit ball."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        return vectors @ turn / np.array(self.axes)


def draw_ellipsoids(ellipsoids: Sequence[Ellipsoid], scan: Beam3D, *, samples: int = 2) -> Tensor:
    """The volume of a scan with ellipsoids in it; values add where they overlap.

    Args:
        ellipsoids: Ellipsoids to draw.
        scan: Scan that determines the volume.
        samples: Number of samples along each side of a voxel, over which the mean is taken.

    Returns:
        Volume (nz, ny, nx), float32.
    """
    places = [
        (np.arange(n * samples) + 0.5 - n * samples / 2) * (size / samples)
        for n, size in zip(scan.shape, scan.pixel, strict=True)
    ]
    y, x = np.meshgrid(places[1], places[2], indexing="ij")
    (nz, ny, nx), volume = scan.shape, np.zeros(scan.shape, np.float32)
    for k, z in enumerate(places[0]):
        points = np.stack([x, y, np.full_like(x, z)], axis=-1)
        layer = np.zeros_like(x)
        for each in ellipsoids:
            inside = (each.normalised(points - each.centre) ** 2).sum(-1) <= 1
            layer += each.value * inside
        mean = layer.reshape(ny, samples, nx, samples).mean((1, 3))
        volume[k // samples] += (mean / samples).astype(np.float32)
    return torch.from_numpy(volume).reshape(nz, ny, nx)


def ellipsoid_lines(ellipsoids: Sequence[Ellipsoid], rays: RayGeometry3D) -> Tensor:
    """The exact line integrals of ellipsoids: sums of chord lengths times values.

    A line p + t·d meets the unit ball where t²|d|² + 2t⟨p, d⟩ + |p|² = 1, over a length of
    2|d|√(⟨p, d⟩² - |d|²(|p|² - 1))/|d|² in the original d.

    Args:
        ellipsoids: Ellipsoids to project.
        rays: Rays of the scan, ``scan.rays()``.

    Returns:
        Line integrals (angles, rows, columns), float64, in mm times the unit of the volume.
    """
    views = []
    for view in range(rays.angles):
        chosen = slice(view, view + 1)
        points, directions = rays.pixel_centres(chosen)[0], rays.directions(chosen)[0]
        length = np.linalg.norm(directions, axis=-1)
        total = np.zeros_like(length)
        for each in ellipsoids:
            p, d = each.normalised(points - each.centre), each.normalised(directions)
            square, mixed = (d * d).sum(-1), (p * d).sum(-1)
            root = np.sqrt(np.maximum(mixed**2 - square * ((p * p).sum(-1) - 1), 0.0))
            total += 2 * each.value * length * root / square
        views.append(total)
    return torch.from_numpy(np.stack(views))


def head_ellipsoids(radius: float) -> tuple[Ellipsoid, ...]:
    """A head of ellipsoids similar to that of Shepp and Logan (1974), with other parameters.

    It has a skull of value 2, a brain of value 1 inside, two dark ventricles, and lesions of a few
    per cent.

    Args:
        radius: Radius of a ball that contains the head, in mm.
    """
    shapes = (
        (2.0, (0.69, 0.90, 0.80), (0.0, 0.0, 0.0), 0.0),
        (-1.0, (0.64, 0.85, 0.74), (0.0, -0.01, 0.0), 0.0),
        (-0.6, (0.10, 0.30, 0.24), (0.20, 0.05, -0.05), -0.30),
        (-0.6, (0.13, 0.36, 0.20), (-0.22, 0.05, -0.05), 0.32),
        (0.3, (0.20, 0.22, 0.26), (0.0, 0.40, 0.10), 0.0),
        (0.4, (0.05, 0.05, 0.06), (0.0, 0.12, 0.20), 0.0),
        (0.5, (0.05, 0.04, 0.04), (-0.09, -0.58, 0.0), 0.0),
        (0.5, (0.03, 0.04, 0.05), (0.08, -0.56, -0.02), 0.2),
        (-0.4, (0.16, 0.10, 0.10), (0.05, -0.35, 0.42), 0.6),
        (0.25, (0.22, 0.18, 0.12), (-0.05, -0.25, -0.45), 0.0),
    )
    return tuple(
        Ellipsoid(value, _scaled(axes, radius), _scaled(centre, radius), angle)
        for value, axes, centre, angle in shapes
    )


def _scaled(triple: Triple, factor: float) -> Triple:
    x, y, z = triple
    return (x * factor, y * factor, z * factor)
