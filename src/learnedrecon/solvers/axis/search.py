"""The rotation axis of a scan by two independent methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from learnedrecon.errors import DataError, GeometryError, describe
from learnedrecon.operators.ray.geometry2d import ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.solvers.arguments import require_finite
from learnedrecon.solvers.axis.consistency import by_consistency
from learnedrecon.solvers.axis.estimate import AxisEstimate
from learnedrecon.solvers.axis.fit import by_fit, by_trial
from learnedrecon.solvers.axis.plane import planar
from learnedrecon.solvers.direct.truncation import find_truncation

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.solvers.axis.estimate import Lines

_REACH = 0.25
_COARSE_VIEWS, _COARSE_PIXELS, _COARSE_SIZE = 60, 64, 32
_MOST_VIEWS = 240
_FINE_VIEWS, _FINE_PIXELS, _FINE_SIZE = 120, 200, 64


@dataclass(frozen=True)
class AxisResult:
    """The estimated rotation axis of a scan.

    Attributes:
        offset: Signed distance in mm from the detector's centre to the axis: ``axis_offset`` of the
            detector.
        deviation: Standard deviation in mm from the noise, without errors of the model.
        pixel: Position as a detector pixel, counted from 0 at the centre of the first.
        pitch: Size of a detector pixel in mm.
        estimates: Estimate of every method by its name; ``offset`` is that with the smallest
            deviation.
    """

    offset: float
    deviation: float
    pixel: float
    pitch: float
    estimates: dict[str, AxisEstimate]

    @property
    def disagreement(self) -> float | None:
        """The largest difference between two methods in mm; None if there is only one."""
        offsets = [each.offset for each in self.estimates.values()]
        return max(offsets) - min(offsets) if len(offsets) > 1 else None


@torch.no_grad()
def rotation_axis(operator: RayTransform | RayTransform3D, data: Tensor) -> AxisResult:
    """The rotation axis of a scan, projected onto the detector, from the data alone.

    The methods are the image that explains all views best (any beam, any arc), and for parallel
    beams with the whole object in the field of view also the range conditions of the ray transform;
    see :func:`learnedrecon.solvers.axis.fit.by_fit` and
    :func:`learnedrecon.solvers.axis.consistency.by_consistency`. The search starts at the axis
    offset of the geometry and extends over a quarter of the detector to either side. The angles,
    the direction of rotation and, for fan and cone beams, the distances must be correct. Of cone
    beams the row in the plane of the source is used, of stacks at most four slices.

    Args:
        operator: T of a parallel, fan or circular cone beam.
        data: Line integrals y, (..., *codomain.shape).

    Raises:
        GeometryError: The operator is of another kind, or the scan has no common axis.
        ShapeError: The data have other axes.
        DataError: A value is NaN or infinite, or all data are zero.
    """
    if not isinstance(operator, RayTransform | RayTransform3D):
        raise GeometryError(
            describe(
                expected="a ray transform, whose scan has a rotation axis",
                found=type(operator).__name__,
                fix="give the operator of the scan; take the logarithm of transmissions",
            )
        )
    data = operator.codomain.check(data, "line integrals")
    require_finite(data, "line integrals")
    if not bool(data.any()):
        raise DataError(
            describe(expected="line integrals of an object", found="zeros", fix="look at the data")
        )
    lines = planar(operator.geometry, data)
    estimates = _estimates(lines)
    best = min(estimates.values(), key=lambda each: each.deviation)
    detector = lines.geometry.detector
    pixel = (detector.pixels - 1) / 2 + best.offset / detector.pitch
    return AxisResult(best.offset, best.deviation, pixel, detector.pitch, estimates)


def _estimates(lines: Lines) -> dict[str, AxisEstimate]:
    reach = _REACH * lines.geometry.detector.pixels
    fine, moved = lines.every(_FINE_VIEWS, _FINE_PIXELS)
    found: dict[str, AxisEstimate] = {}
    if isinstance(lines.geometry, ParallelBeam) and not find_truncation(lines.values):
        thin, _ = lines.every(_MOST_VIEWS, lines.geometry.detector.pixels)
        consistent = by_consistency(thin, reach)
        if consistent is not None:
            found["range of the ray transform"] = consistent
    if found:
        start = found["range of the ray transform"].offset + moved
    else:
        coarse, cut = lines.every(_COARSE_VIEWS, _COARSE_PIXELS)
        start = by_trial(coarse, reach * lines.geometry.detector.pitch, size=_COARSE_SIZE)
        start += moved - cut
    size = min(_FINE_SIZE, 8 + 3 * fine.geometry.detector.pixels // 8)
    fitted = by_fit(fine.centred(start), size=size)
    found["fit of an image"] = fitted._replace(offset=fitted.offset - moved)
    return found
