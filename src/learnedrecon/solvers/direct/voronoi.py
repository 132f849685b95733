"""Density compensation weights by Voronoi cells."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, KDTree, Voronoi

from learnedrecon.errors import DataError, GeometryError, describe

if TYPE_CHECKING:
    from torch import Tensor

FloatArray: TypeAlias = NDArray[np.float64]
Region: TypeAlias = Literal["ball", "torus"]


def voronoi_weights(trajectory: Tensor, shape: tuple[int, ...], region: Region = "ball") -> Tensor:
    """The exact area or volume of every sample's Voronoi cell, in units of a Cartesian cell.

    Samples at the same point share a cell (Rasche et al., IEEE Trans. Med. Imaging 18(5), 1999).
    Weights are as in :mod:`learnedrecon.solvers.direct.density`.

    Args:
        trajectory: Trajectory (interleave, sample, axis) in radians per pixel.
        shape: Shape of the image.
        region: Region that the cells divide: "ball", whose radius is that of the outermost sample
            plus half the median distance between neighbours (cut by planes that touch it), for
            radial and spiral trajectories; or "torus", all of [-π, π)^d with opposite faces joined,
            for trajectories that fill it.

    Returns:
        Weights (interleave, sample), float64.

    Raises:
        GeometryError: The region is unknown.
        DataError: There are too few different samples for cells, such as a single spoke.
    """
    if region not in {"ball", "torus"}:
        raise GeometryError(
            describe(expected="region 'ball' or 'torus'", found=f"{region!r}", fix="choose one")
        )
    samples = trajectory.detach().double().cpu().numpy()
    flat = samples.reshape(-1, samples.shape[-1])
    if region == "torus":
        flat = np.mod(flat + math.pi, 2 * math.pi) - math.pi
    _, first, which, sharing = np.unique(
        np.round(flat, 9), axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    places = flat[first]
    _require_spread(places)
    guards = _copies(places) if region == "torus" else _mirrored(places)
    sizes = _cell_sizes(places, guards) / sharing
    per_cell = math.prod(n / (2 * math.pi) for n in shape)
    return torch.from_numpy(sizes[which.reshape(-1)].reshape(samples.shape[:-1]) * per_cell)


def _require_spread(places: FloatArray) -> None:
    rank = int(np.linalg.matrix_rank(places - places.mean(axis=0), tol=1e-9))
    if rank < places.shape[1]:
        raise DataError(
            describe(
                expected=f"samples that span {places.shape[1]} dimensions",
                found=f"{len(places)} places that span {rank}",
                fix="use more spokes or interleaves, or ramp_weights",
            )
        )


def _copies(places: FloatArray) -> FloatArray:
    """The neighbours on the torus."""
    steps = itertools.product((-1, 0, 1), repeat=places.shape[1])
    return np.concatenate([places + 2 * math.pi * np.array(step) for step in steps if any(step)])


def _mirrored(places: FloatArray) -> FloatArray:
    """The images of the outer samples in the sphere's tangent planes."""
    distances, _ = KDTree(places).query(places, k=2)
    radii = np.linalg.norm(places, axis=1)
    limit = radii.max() + np.median(distances[:, 1]) / 2
    outer = radii > limit / 2
    return places[outer] * (2 * limit / radii[outer] - 1)[:, None]


def _cell_sizes(places: FloatArray, guards: FloatArray) -> FloatArray:
    """The areas or volumes of the cells of ``places`` among both."""
    diagram = Voronoi(np.concatenate([places, guards]))
    regions = (diagram.regions[diagram.point_region[index]] for index in range(len(places)))
    return np.array([_size(diagram.vertices, region) for region in regions])


def _size(vertices: FloatArray, region: list[int]) -> float:
    if -1 in region:
        raise DataError(
            describe(
                expected="samples around k = 0 whose cells are bounded",
                found="an unbounded Voronoi cell",
                fix="use pipe_menon, which has no cells",
            )
        )
    corners = vertices[region]
    if corners.shape[1] > 2:
        return float(ConvexHull(corners).volume)
    x, y = (corners - corners.mean(axis=0)).T  # in order around the cell, as Qhull gives them
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
