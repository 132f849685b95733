"""How much each view of a scan counts: angular quadrature and redundancy weights.

Everything here is computed once per geometry, in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from learnedrecon.operators.geometry import FanBeam

    FloatArray = NDArray[np.float64]

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
