"""Two-dimensional scans with the same axis as a given scan, by kind of geometry."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

import numpy as np
import torch

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.ray.geometry2d import FlatBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam, ParallelBeam3D
from learnedrecon.solvers.axis.estimate import Lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from learnedrecon.recorded import Record


_MOST_SLICES = 4


@singledispatch
def planar(geometry: Record, data: Tensor) -> Lines:  # noqa: ARG001 - what other kinds look at
    """At most four slices of a scan that are two-dimensional scans with the same axis.

    Args:
        geometry: Record of an operator.
        data: Line integrals, (..., *codomain).

    Raises:
        GeometryError: The scan has no axis offset that is the same for all views.
    """
    raise GeometryError(
        describe(
            expected="a parallel, fan or cone beam with one rotation axis",
            found=f"{geometry!r:.200}",
            fix="align scans that turn around one axis",
        )
    )


@planar.register(FlatBeam)
def _(geometry: FlatBeam, data: Tensor) -> Lines:
    slices = data.detach().reshape(-1, *geometry.data_shape)
    return Lines(geometry, _of(slices, _evenly(len(slices))))  # type: ignore[arg-type]


@planar.register(ParallelBeam3D)
def _(geometry: ParallelBeam3D, data: Tensor) -> Lines:
    rows = data.detach().reshape(-1, *geometry.data_shape).movedim(-2, 1).flatten(0, 1)
    return Lines(geometry.mid_plane(), _of(rows, _evenly(len(rows))))


@planar.register(ConeBeam)
def _(geometry: ConeBeam, data: Tensor) -> Lines:
    """The row in the plane of the source, between the two nearest ones."""
    plane, heights = geometry.mid_plane(), geometry.detector.row_positions
    place = float(np.clip(np.interp(0.0, heights, np.arange(len(heights))), 0, len(heights) - 1))
    below, above = int(np.floor(place)), int(np.ceil(place))
    scans = data.detach().reshape(-1, *geometry.data_shape)
    scans = _of(scans, _evenly(len(scans)))
    share = place - below
    return Lines(plane, (1 - share) * scans[..., below, :] + share * scans[..., above, :])


def _of(slices: Tensor, chosen: Sequence[int]) -> Tensor:
    return slices[torch.tensor(chosen)].double().cpu()


def _evenly(number: int) -> list[int]:
    """At most four of the numbers below ``number``, in the middles of equal parts."""
    chosen = min(number, _MOST_SLICES)
    return [(2 * k + 1) * number // (2 * chosen) for k in range(chosen)]
