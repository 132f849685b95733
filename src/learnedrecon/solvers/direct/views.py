"""View weights of filtered backprojection: angular quadrature and redundancy.

Everything here is computed once per geometry, in float64.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from learnedrecon.compiling import constant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from learnedrecon.operators.ray.curved import CurvedFanBeam
    from learnedrecon.operators.ray.geometry2d import FanBeam
    from learnedrecon.operators.ray.planar import RotatingGeometry

    FloatArray = NDArray[np.float64]

_logger = logging.getLogger("learnedrecon")

_SAME = 1e-6
_STOP = math.radians(0.1)
_STOP_SHARE = 0.05
_JUMP = 2.5
_LEAST_WEDGE = 0.05
_LEAST_MISSING = 0.005


@dataclass(frozen=True)
class Coverage:
    """The part of a circle that a list of angles covers, with quadrature weights.

    Attributes:
        period: Length of the circle in radians.
        weights: Quadrature weight of each angle in radians, in the given order.
        wedges: Missing wedges (number, 2): start and length of every arc without views, each
            shortened at both ends by half a step. Empty if the views cover the circle.
    """

    period: float
    weights: FloatArray
    wedges: FloatArray


def coverage(angles: tuple[float, ...], period: float) -> Coverage:
    """Quadrature weights of views on a circle: half the gap on either side of each.

    These are the lengths of the Voronoi cells, which sum to the period for every distribution of
    views: repeated ones, dense ones on one part, or with every sixth one missing. Views that
    coincide modulo ``period`` share a weight, and so do exposures at one stop: runs of views that
    span at most 0.1° and a twentieth of the typical gap, the gap that a random direction lies in.

    Where the longest gaps are much longer than the others they are missing wedges, and each counts
    as a gap of the length of the next shorter one: the m longest, at most a quarter of all, where
    the shortest of them is more than 2.5 m times that next one, and longer than it by more than a
    twentieth of the period. Equal steps over an arc hence give weights that sum to the arc, and the
    neighbours of a few missing views get larger weights.

    Args:
        angles: Angles in radians, in any order.
        period: Length of the circle: π for parallel beams, 2π for fan beams.
    """
    turned = np.mod(np.asarray(angles, dtype=np.float64), period)
    order = np.argsort(turned, kind="stable")
    gaps = np.diff(turned[order], append=turned[order[0]] + period)
    same = _within_stops(gaps, period)
    longest = _longest_regular(gaps[~same], period)
    missing = gaps > longest
    counted = np.where(missing, longest, gaps)
    weights = np.empty_like(turned)
    weights[order] = _shared((np.roll(counted, 1) + counted) / 2, same)
    start = turned[order][missing] + longest / 2
    return Coverage(period, weights, np.stack([start, gaps[missing] - longest], axis=1))


def _within_stops(gaps: FloatArray, period: float) -> NDArray[np.bool_]:
    """The gaps between exposures at one stop."""
    same = gaps <= _SAME * period / len(gaps)
    ordered = np.sort(gaps)
    typical = ordered[np.searchsorted(np.cumsum(ordered), period / 2)]
    limit = min(_STOP, _STOP_SHARE * float(typical))
    near = same | (gaps <= limit)
    first = int(np.flatnonzero(~near)[0]) + 1
    rolled, within = np.roll(gaps, -first), np.roll(near, -first)
    run = np.cumsum(~within)
    spans = np.bincount(run, np.where(within, rolled, 0.0))
    return same | np.roll(within & (spans[run] <= limit), first)


def _longest_regular(gaps: FloatArray, period: float) -> float:
    """The longest gap that is not a missing wedge."""
    ordered = np.sort(gaps)[::-1]
    for number in range(max(1, len(ordered) // 4), 0, -1):
        if number == len(ordered):
            continue
        last, following = float(ordered[number - 1]), float(ordered[number])
        if last > _JUMP * number * following and last - following > _LEAST_WEDGE * period:
            return following
    return float(ordered[0])


def _shared(weights: FloatArray, same_as_next: NDArray[np.bool_]) -> FloatArray:
    """Spreads the weight of each run of coinciding views evenly over the run (cyclically)."""
    first = int(np.flatnonzero(~same_as_next)[0]) + 1
    run = np.cumsum(np.roll(np.roll(~same_as_next, 1), -first)) - 1
    rolled = np.roll(weights, -first)
    sums, counts = np.bincount(run, rolled), np.bincount(run)
    return np.roll((sums / counts)[run], first)


def parallel_weights(geometry: RotatingGeometry) -> FloatArray:
    """Quadrature weights of the views of a parallel beam in radians modulo π, (angle,).

    Missing wedges are logged as a warning.

    Args:
        geometry: Parallel beam.
    """
    scan = coverage(geometry.angle_values, math.pi)
    missing = float(scan.wedges[:, 1].sum()) / math.pi
    if missing > _LEAST_MISSING:
        _warn_of_missing("directions", missing, scan)
    return scan.weights


def _warn_of_missing(what: str, share: float, scan: Coverage) -> None:
    start, length = scan.wedges[np.argmax(scan.wedges[:, 1])]
    _logger.warning(
        "%.3g %% of all %s are not measured: there are no views over %.4g of %.4g degrees, the"
        " longest stretch from %.4g to %.4g degrees. Filtered backprojection takes what is missing"
        " for zero; use TV or a learned method, or check the list of angles.",
        100 * share,
        what,
        math.degrees(float(scan.wedges[:, 1].sum())),
        math.degrees(scan.period),
        math.degrees(start),
        math.degrees(start + length),
    )


def fan_weights(geometry: FanBeam | CurvedFanBeam) -> FloatArray:
    """Quadrature and redundancy weights of every ray of a fan beam, (angle, detector).

    The line of the ray (θ, γ), γ its angle to the central ray, is measured again by the ray
    (θ + π - 2γ, -γ). With a taper c(θ) that is 1 inside the scanned arc, falls as sin² to 0 at its
    ends, and is 0 outside, the two share as w(θ, γ) = c(θ)/(c(θ) + c(θ + π - 2γ)), which sums to 1
    over the pair, and to 1 alone where only one of them was measured. A full turn has c = 1 and
    w = ½. A short scan gets smooth weights in the manner of Parker (Med. Phys. 9(2), 1982). Lines
    through the image that no ray measures are logged as a warning.

    Args:
        geometry: Fan beam.
    """
    scan = coverage(geometry.angle_values, 2 * math.pi)
    missing = _unmeasured(geometry, scan)
    if missing > _LEAST_MISSING:
        _warn_of_missing("lines through the image", missing, scan)
    gamma = geometry.fan_angles
    theta = np.asarray(geometry.angle_values, dtype=np.float64)[:, None]
    own = np.maximum(_taper(theta, scan), 1e-9)
    other = _taper(theta + math.pi - 2 * gamma, scan)
    return scan.weights[:, None] * own / (own + other)


def _unmeasured(geometry: FanBeam | CurvedFanBeam, scan: Coverage) -> float:
    """The share of the lines (θ, γ) through the image that no ray measures."""
    if not len(scan.wedges):
        return 0.0
    widest = math.asin(min(1.0, geometry.radius / geometry.source_origin))
    gamma = np.linspace(-widest, widest, 33)
    theta = np.linspace(0, 2 * math.pi, 720, endpoint=False)[:, None]
    measured = np.maximum(_taper(theta, scan), _taper(theta + math.pi - 2 * gamma, scan)) > 0
    return float(np.average(1 - measured.mean(0), weights=np.cos(gamma)))


def detector_weights(geometry: RotatingGeometry) -> FloatArray:
    """Redundancy weights of a detector that is truncated on one side only, (detector,).

    A displaced detector ends at the distance t from the axis on its short side, within the
    projection of the image. Over a full turn the lines beyond t are measured once, from the other
    side, and those within ±t twice: the two get the weights 1 ± sin(πs/(2t)) (Wang, Med. Phys.
    29(7), 2002). Everything else has weight 1: a scan of less than a turn, or a detector that ends
    before the axis, cannot be compensated, and is logged as a warning.

    Args:
        geometry: Parallel or fan beam.
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
    if short < geometry.shadow(inner):
        _logger.warning(
            "On one side of the axis the detector ends after %.4g of the %.4g mm of the image's"
            " shadow, and %s: filtered backprojection is wrong unless the object is as small. Scan"
            " a full turn with a detector beyond the axis, or use TV or a learned method.",
            max(short, 0.0),
            shadow,
            "not all lines are measured from the other side" if short > 0 else "misses the axis",
        )
    return np.ones_like(positions)


@constant()
def added_pixels(geometry: RotatingGeometry) -> tuple[int, int]:
    """Numbers of pixels that extend a displaced detector to the projection of the image.

    Filtered data do not vanish there. They are added at either end; none where
    :func:`detector_weights` are 1.

    Args:
        geometry: Parallel or fan beam.
    """
    if not _is_made_up_for(geometry):
        return 0, 0
    short, shadow = _short_side(geometry)
    added = math.ceil((shadow - short) / geometry.detector.pitch)
    return (0, added) if geometry.detector.axis_offset > 0 else (added, 0)


def widened(geometry: RotatingGeometry, added: tuple[int, int]) -> RotatingGeometry:
    """The scan with ``added`` pixels before the first and after the last one of its detector.

    Args:
        geometry: Parallel or fan beam.
        added: Numbers of pixels before the first and after the last one.
    """
    detector = geometry.detector
    before, after = added
    wide = replace(
        detector,
        pixels=detector.pixels + before + after,
        axis_offset=detector.axis_offset + (before - after) * detector.pitch / 2,
    )
    return replace(geometry, detector=wide)  # type: ignore[arg-type]


def open_ends(geometry: RotatingGeometry) -> tuple[bool, bool]:
    """True for each of the first and the last end beyond which no other view measures the data.

    False for the short side of a displaced detector, see :func:`detector_weights`.

    Args:
        geometry: Parallel or fan beam.
    """
    if not _is_made_up_for(geometry):
        return True, True
    first = geometry.detector.axis_offset > 0
    return first, not first


def _short_side(geometry: RotatingGeometry) -> tuple[float, float]:
    """From the axis to the nearer end of the detector, infinite if it is centred; the shadow."""
    detector = geometry.detector
    short = detector.pixels * detector.pitch / 2 - abs(detector.axis_offset)
    centred = abs(detector.axis_offset) <= detector.pitch / 2 * (1 + 1e-9)
    return math.inf if centred else short, geometry.shadow(geometry.radius)


def _is_made_up_for(geometry: RotatingGeometry) -> bool:
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
