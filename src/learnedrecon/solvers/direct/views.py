"""How much each view of a scan counts: angular quadrature and redundancy weights.

Everything here is computed once per geometry, in float64.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from learnedrecon.operators.ray.geometry2d import FanBeam, Geometry

    FloatArray = NDArray[np.float64]

_logger = logging.getLogger("learnedrecon")

_SAME = 1e-6
_JUMP = 2.5


@dataclass(frozen=True)
class Coverage:
    """Which part of a circle a list of angles covers, and how densely.

    Attributes:
        period: length of the circle in radians.
        weights: radians that each angle stands for, in the order given.
        wedges: (number, 2), the start and the length of every stretch without views, each
            shortened at both ends by half a step. Empty if the views go round.
    """

    period: float
    weights: FloatArray
    wedges: FloatArray


def coverage(angles: tuple[float, ...], period: float) -> Coverage:
    """Quadrature weights of views on a circle: half the gap on either side of each.

    Views that coincide modulo ``period`` share a weight. A gap that is more than 2.5 times the next
    shorter one is a missing wedge, and so is every longer one, as long as these are at most a
    quarter of all gaps (or one); a missing wedge counts as a gap of the length of that next shorter
    one. Equal steps over an arc hence give weights that sum to the arc, and a single lost view is
    made up for by its neighbours.

    Args:
        angles: radians, in any order.
        period: π for parallel beams, 2π for fan beams.
    """
    turned = np.mod(np.asarray(angles, dtype=np.float64), period)
    order = np.argsort(turned, kind="stable")
    gaps = np.diff(turned[order], append=turned[order[0]] + period)
    same = gaps <= _SAME * period / len(gaps)
    if same.all():
        return Coverage(period, np.full(len(turned), period / len(turned)), np.empty((0, 2)))
    longest = _longest_regular(gaps[~same])
    missing = gaps > longest
    counted = np.where(missing, longest, gaps)
    weights = np.empty_like(turned)
    weights[order] = _shared((np.roll(counted, 1) + counted) / 2, same)
    start = turned[order][missing] + longest / 2
    return Coverage(period, weights, np.stack([start, gaps[missing] - longest], axis=1))


def _longest_regular(gaps: FloatArray) -> float:
    """The longest gap that is not a missing wedge."""
    ordered = np.sort(gaps)
    candidates = max(1, len(ordered) // 4)
    for index in range(max(1, len(ordered) - candidates), len(ordered)):
        if ordered[index] > _JUMP * ordered[index - 1]:
            return float(ordered[index - 1])
    return float(ordered[-1])


def _shared(weights: FloatArray, same_as_next: NDArray[np.bool_]) -> FloatArray:
    """Spreads the weight of each run of coinciding views evenly over the run (cyclically)."""
    first = int(np.flatnonzero(~same_as_next)[0]) + 1
    run = np.cumsum(np.roll(np.roll(~same_as_next, 1), -first)) - 1
    rolled = np.roll(weights, -first)
    sums, counts = np.bincount(run, rolled), np.bincount(run)
    return np.roll((sums / counts)[run], first)


def fan_weights(geometry: FanBeam) -> FloatArray:
    """Weights of every ray of a fan beam, (angle, detector): quadrature times redundancy.

    The line of the ray (θ, γ), γ its angle to the central ray, is measured again by the ray
    (θ + π - 2γ, -γ). With a taper c(θ) that is 1 inside the scanned arc, falls as sin² to 0 at its
    ends, and is 0 outside, the two share as w(θ, γ) = c(θ)/(c(θ) + c(θ + π - 2γ)), which sums to 1
    over the pair, and to 1 alone where only one of them was measured. A full turn has c = 1 and
    w = ½. A short scan gets smooth weights in the manner of Parker (Med. Phys. 9(2), 1982).
    """
    scan = coverage(geometry.angle_values, 2 * math.pi)
    distance = geometry.source_origin + geometry.origin_detector
    gamma = np.arctan2(geometry.detector.positions, distance)
    theta = np.asarray(geometry.angle_values, dtype=np.float64)[:, None]
    own = np.maximum(_taper(theta, scan), 1e-9)
    other = _taper(theta + math.pi - 2 * gamma, scan)
    return scan.weights[:, None] * own / (own + other)


def detector_weights(geometry: Geometry) -> FloatArray:
    """Weights that make up for a detector that is cut on one side only, (detector,).

    A displaced detector ends at the distance t from the axis on its short side, within the shadow
    of the image. Over a full turn the lines beyond are measured once, from the other side, and
    those within ±t twice: they share as 1 ± sin(πs/(2t)) (Wang, Med. Phys. 29(7), 2002). Everything
    else has weight 1: a scan of less than a turn, or a detector that ends before the axis, cannot
    be made up for, and is logged as a warning.
    """
    detector = geometry.detector
    positions = np.asarray(detector.positions, dtype=np.float64)
    short, shadow = _short_side(geometry)
    if short >= shadow:
        return np.ones_like(positions)
    if _is_made_up_for(geometry):
        longer = -math.copysign(1.0, detector.axis_offset) * positions
        return 1 + np.sin(math.pi / 2 * np.clip(longer / short, -1, 1))
    inner = min(n * d for n, d in zip(geometry.shape, geometry.pixel, strict=True)) / 2
    if short < inner * geometry.magnification:
        _logger.warning(
            "On one side of the axis the detector ends after %.4g of the %.4g mm of the image's"
            " shadow, and %s: filtered backprojection is wrong unless the object is as small. Scan"
            " a full turn with a detector beyond the axis, or use TV or a learned method.",
            max(short, 0.0),
            shadow,
            "not all lines are measured from the other side" if short > 0 else "misses the axis",
        )
    return np.ones_like(positions)


@lru_cache(maxsize=32)
def widened(geometry: Geometry) -> tuple[Geometry, tuple[int, int]]:
    """The scan whose displaced detector is as long as the shadow on its short side too.

    Filtered lines do not vanish there. Also how many pixels were added at either end; none where
    :func:`detector_weights` makes up for nothing.
    """
    if not _is_made_up_for(geometry):
        return geometry, (0, 0)
    detector = geometry.detector
    short, shadow = _short_side(geometry)
    added = math.ceil((shadow - short) / detector.pitch)
    offset = detector.axis_offset - math.copysign(added * detector.pitch / 2, detector.axis_offset)
    wide = replace(detector, pixels=detector.pixels + added, axis_offset=offset)
    sides = (0, added) if detector.axis_offset > 0 else (added, 0)
    return replace(geometry, detector=wide), sides


def _short_side(geometry: Geometry) -> tuple[float, float]:
    """From the axis to the nearer end of the detector, infinite if it is centred; the shadow."""
    detector = geometry.detector
    short = detector.pixels * detector.pitch / 2 - abs(detector.axis_offset)
    centred = abs(detector.axis_offset) <= detector.pitch / 2
    return math.inf if centred else short, geometry.radius * geometry.magnification


def _is_made_up_for(geometry: Geometry) -> bool:
    short, shadow = _short_side(geometry)
    if not 0 < short < shadow:
        return False
    return not len(coverage(geometry.angle_values, 2 * math.pi).wedges)


def _taper(theta: FloatArray, scan: Coverage) -> FloatArray:
    """c(θ): the product over missing wedges of a sin² of the distance from it."""
    taper = np.ones_like(theta)
    arc = scan.period - float(scan.wedges[:, 1].sum())
    width = max((arc - math.pi) / 2, 0.1 * arc)
    for start, length in scan.wedges:
        offset = np.mod(theta - start, scan.period)
        beyond = np.minimum(offset - length, scan.period - offset)
        taper = taper * np.sin(math.pi / 2 * np.clip(beyond / width, 0, 1)) ** 2
    return taper
