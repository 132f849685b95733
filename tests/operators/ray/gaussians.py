"""Gaussian blobs and their line integrals in closed form, in two and three dimensions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from learnedrecon.operators.ray.beam2d import Beam2D
    from learnedrecon.operators.ray.beam3d import Beam3D

    Array = NDArray[np.float64]


class Blob(NamedTuple):
    """height · exp(-|x - centre|²/(2 width²)), the centre as (x, y) or (x, y, z) in mm."""

    centre: tuple[float, ...]
    width: float
    height: float = 1.0


def integrals(blobs: Sequence[Blob], points: Array, directions: Array) -> Array:
    """Along the lines through points (..., axes) in directions of any length."""
    unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    total = np.zeros(np.broadcast_shapes(points.shape, unit.shape)[:-1])
    for centre, width, height in blobs:
        gap = points - np.array(centre)
        along = (gap * unit).sum(-1)
        square = (gap**2).sum(-1) - along**2
        total += height * width * math.sqrt(2 * math.pi) * np.exp(-square / (2 * width**2))
    return total


def values(blobs: Sequence[Blob], coordinates: Sequence[Array]) -> Array:
    """At points whose coordinates are arrays, x first."""
    total = np.zeros(np.broadcast_shapes(*(axis.shape for axis in coordinates)))
    for centre, width, height in blobs:
        square = sum((x - c) ** 2 for x, c in zip(coordinates, centre, strict=True))
        total += height * np.exp(-square / (2 * width**2))
    return total


def sinogram(blobs: Sequence[Blob], scan: Beam2D | Beam3D) -> Tensor:
    """Of a scan, float64, (*data_shape)."""
    rays = scan.rays()
    lines = integrals(blobs, rays.pixel_centres(), rays.directions())
    return torch.from_numpy(lines.reshape(scan.data_shape))


def image(blobs: Sequence[Blob], scan: Beam2D | Beam3D) -> Tensor:
    """At the centres of the pixels of a scan, float64, (*shape)."""
    axes = [
        (np.arange(number) - (number - 1) / 2) * size
        for number, size in zip(scan.shape, scan.pixel, strict=True)
    ]
    grid = np.meshgrid(*axes, indexing="ij")
    return torch.from_numpy(values(blobs, grid[::-1]))


def error(found: Tensor, right: Tensor) -> float:
    """‖found - right‖/‖right‖."""
    return float((found - right).norm() / right.norm())
