"""The circle on which poses that were given one by one lie, and how far they are from it."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from learnedrecon.errors import GeometryError, describe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_logger = logging.getLogger("learnedrecon")

_FAR = 0.03
_FAR_TURN = math.radians(5.0)
_NEAR = 1e-5
_NEAR_TURN = 1e-4
_LEAST_VIEWS = 3


@dataclass(frozen=True)
class Circle:
    """A circle through the sources of a scan, and the frames of an ideal scan on it.

    Attributes:
        centre: Centre of the circle, (3,) in mm.
        axis: Unit vector of the rotation axis, along the rows of the detector.
        radius: Radius in mm.
        angles: Angles θ, (views,), at which the central ray runs along (-sin θ, cos θ, 0) of the
            frame.
        inward: Unit vectors from the sources to the axis, (views, 3), in the plane of the circle.
        along: Unit vectors of the ideal detector's columns, (views, 3).
        radial: Largest distance of a source from the cylinder of the circle in mm.
        axial: Largest distance of a source from its plane in mm.
    """

    centre: FloatArray
    axis: FloatArray
    radius: float
    angles: FloatArray
    inward: FloatArray
    along: FloatArray
    radial: float
    axial: float


def fit_circle(sources: FloatArray, up: FloatArray, *, planar: bool = False) -> Circle:
    """The circle that is nearest to sources, in the sense of least squares.

    Args:
        sources: Positions of the sources, (views, 3) in mm.
        up: Direction (3,) to which the axis is turned; the axis itself where ``planar``.
        planar: True where the sources lie in one plane across ``up``.

    Raises:
        GeometryError: Fewer than three views, or sources on a line.
    """
    middle = sources.mean(axis=0)
    centred = sources - middle
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    if len(sources) < _LEAST_VIEWS or sizes[1] < 1e-3 * sizes[0]:
        raise _refused("sources on an arc of at least three views", "fewer, or sources on a line")
    axis = up if planar else np.cross(directions[0], directions[1])
    axis = axis * math.copysign(1.0, float(axis @ up)) / np.linalg.norm(axis)
    first = np.array([1.0, 0.0, 0.0]) - axis[0] * axis
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    places = np.stack([centred @ first, centred @ second], axis=1)
    terms = np.concatenate([2 * places, np.ones((len(places), 1))], axis=1)
    (a, b, c), *_ = np.linalg.lstsq(terms, (places**2).sum(axis=1), rcond=None)
    relative = places - np.array([a, b])
    distance = np.linalg.norm(relative, axis=1)
    radius = math.sqrt(c + a * a + b * b)
    angles = np.arctan2(relative[:, 0], -relative[:, 1])
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    return Circle(
        centre=middle + a * first + b * second,
        axis=axis,
        radius=radius,
        angles=angles,
        inward=-sin * first + cos * second,
        along=cos * first + sin * second,
        radial=float(np.abs(distance - radius).max()),
        axial=float(np.abs(centred @ axis).max()),
    )


@dataclass(frozen=True)
class Departure:
    """Deviation of a calibrated scan from an ideal one.

    Attributes:
        radius: Radius of its circle in mm.
        radial: Largest distance of a source from the circle in mm.
        axial: Largest distance of a source from its plane in mm.
        turn: Largest rotation of the detector from the ideal one in radians.
        tilt: Angle between the axis and that of the volume in radians.
    """

    radius: float
    radial: float
    axial: float
    turn: float
    tilt: float

    def __str__(self) -> str:
        return (
            f"sources up to {self.radial:.3g} mm beside a circle of {self.radius:.6g} mm and"
            f" {self.axial:.3g} mm off its plane, a detector turned by up to"
            f" {math.degrees(self.turn):.3g}°, and an axis at {math.degrees(self.tilt):.3g}° to z"
        )


@lru_cache(maxsize=64)
def require_nearly_circular(departure: Departure) -> None:
    """Check of a scan against its circle, and a warning, once, where it is not on it.

    Args:
        departure: Deviation of the scan from the circle.

    Raises:
        GeometryError: Sources are more than 3 % of the radius off the circle, or a detector or an
            axis is turned by more than 5°.
    """
    distance = max(departure.radial, departure.axial) / departure.radius
    turn = max(departure.turn, departure.tilt)
    if distance > _FAR or turn > _FAR_TURN:
        raise _refused(
            "poses near a circle: sources within 3 % of its radius, detector and axis within 5°",
            str(departure),
        )
    if distance > _NEAR or turn > _NEAR_TURN:
        _logger.warning(
            "The poses are not those of an ideal circle: %s. Filtered backprojection uses every"
            " pose for itself, and filters along the rows of the detector.",
            departure,
        )


def _refused(expected: str, found: str) -> GeometryError:
    return GeometryError(
        describe(
            expected=expected,
            found=found,
            fix="use an iterative method (total variation, least squares); start learned methods"
            " from T*y",
        )
    )
