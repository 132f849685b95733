from __future__ import annotations

import logging
import math
import re

import numpy as np
import pytest

from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.solvers.direct.views import coverage, fan_weights, parallel_weights

TURN = 2 * math.pi
RNG = np.random.default_rng(0)
UNEVEN = {
    "even": np.arange(0, 180, 1.0),
    "five exposures at every stop": np.sort(
        np.repeat(np.arange(0, 180, 5.0), 5) + RNG.normal(0, 1e-3, 180)
    ),
    "four exposures at three stops": np.repeat([0.0, 60, 120], 4) + RNG.normal(0, 1e-3, 12),
    "two of every twelve lost": np.array([i for i in range(180) if i % 12 < 10], dtype=float),
    "two in a row lost": np.delete(np.arange(180.0), [40, 41]),
    "one half dense": np.r_[np.arange(0, 90, 0.6), np.arange(90, 180, 3.0)],
    "one tenth a hundred times as dense": np.r_[np.arange(0, 18, 0.02), np.arange(18, 180, 2.0)],
    "two turns, one of them jittered": np.r_[np.arange(0, 360, 2.0), np.arange(360, 720, 2) + 0.01],
    "golden angle": np.arange(55) * 111.246117975 % 360,
}


def test_equal_steps_have_equal_weights() -> None:
    np.testing.assert_allclose(
        coverage(AngleRange(12, 0.3).values(), math.pi).weights, math.pi / 12
    )


@pytest.mark.parametrize("arc", [0.3, 1.7, -2.5])
def test_an_arc_sums_to_its_length(arc: float) -> None:
    angles = AngleRange(40, 5.0, arc).values()
    result = coverage(angles, math.pi)
    np.testing.assert_allclose(result.weights, abs(arc) / 40)
    np.testing.assert_allclose(result.wedges[:, 1], [math.pi - abs(arc)])


def test_the_order_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    angles = rng.uniform(-9, 9, 30)
    order = rng.permutation(30)
    weights = coverage(tuple(angles), math.pi).weights
    np.testing.assert_allclose(coverage(tuple(angles[order]), math.pi).weights, weights[order])


def test_uneven_views_get_half_the_gaps_beside_them() -> None:
    weights = coverage((0.0, 1.0, 1.5), math.pi).weights
    np.testing.assert_allclose(weights, [(math.pi - 0.5) / 2, 0.75, (math.pi - 1.0) / 2])


@pytest.mark.parametrize("shift", [0.0, 1e-12, math.pi, -math.pi])
def test_views_that_coincide_share(shift: float) -> None:
    angles = AngleRange(6).values()
    again = tuple(angle + shift for angle in angles)
    np.testing.assert_allclose(coverage(angles + again, math.pi).weights, math.pi / 12)


def test_views_that_coincide_across_the_end_of_the_circle_share() -> None:
    angles = (0.0, 1.0, 2.0, math.pi - 1e-12, math.pi, 3 * math.pi)
    weights = coverage(angles, math.pi).weights
    shared = (1.0 + math.pi - 2.0) / 2 / 4
    np.testing.assert_allclose(weights[[0, 3, 4, 5]], shared)
    np.testing.assert_allclose(weights.sum(), math.pi)


@pytest.mark.parametrize(("lost", "wedges"), [(1, 0), (2, 1)])
def test_one_lost_view_is_made_up_for_and_two_are_a_wedge(lost: int, wedges: int) -> None:
    result = coverage(AngleRange(20).values()[lost:], math.pi)
    assert len(result.wedges) == wedges
    expected = math.pi if wedges == 0 else math.pi * (20 - lost) / 20
    np.testing.assert_allclose(result.weights.sum(), expected)


def test_a_single_view_stands_for_everything() -> None:
    np.testing.assert_allclose(coverage((0.3,), math.pi).weights, [math.pi])


@pytest.mark.parametrize("arc", [TURN, math.pi + 1.0, math.pi + 1.6, 5.9])
def test_the_two_rays_of_a_line_share_one_weight(arc: float) -> None:
    """For rays with a partner among the views: w(θ, γ) + w(θ + π - 2γ, -γ) = 1."""
    views, distance = 720, 450.0
    step = TURN / views
    number = round(arc / step)
    gammas = np.arange(-3, 4) * 12 * step / 2
    for gamma in gammas:
        detector = FlatDetector(2, 2 * distance * abs(math.tan(gamma)) or 1.0)
        scan = FanBeam((8, 8), AngleRange(number, 0.0, number * step), detector, 200.0, 250.0)
        if gamma == 0:
            continue
        side = 0 if gamma < 0 else 1
        weights = fan_weights(scan) / step
        partner = (np.arange(number) + views // 2 - round(2 * gamma / step)) % views
        paired = partner < number
        total = weights[paired, side] + weights[partner[paired], 1 - side]
        np.testing.assert_allclose(total, 1.0, atol=1e-9)
        np.testing.assert_allclose(weights[~paired, side], 1.0, atol=1e-6)


def test_a_full_turn_halves_every_ray() -> None:
    scan = FanBeam((8, 8), AngleRange(50, 0.0, TURN), FlatDetector(9), 200.0, 250.0)
    np.testing.assert_allclose(fan_weights(scan), math.pi / 50)


@pytest.mark.parametrize("name", UNEVEN)
@pytest.mark.parametrize("period", [math.pi, TURN])
def test_views_stand_for_the_directions_next_to_them(name: str, period: float) -> None:
    """By counting a million directions, each for its nearest stop."""
    degrees = UNEVEN[name] * period / math.pi
    result = coverage(tuple(np.deg2rad(degrees)), period)
    assert len(result.wedges) == 0
    assert result.weights.sum() == pytest.approx(period, rel=1e-12)
    cells = 1_000_000
    directions = (np.arange(cells) + 0.5) * period / cells
    stops = np.deg2rad(np.round(degrees, 2)) % period
    around = np.unique(np.round(stops, 9))
    edges = np.r_[around[-1] - period, around, around[0] + period]
    middles = (edges[1:] + edges[:-1]) / 2
    nearest = (np.searchsorted(middles, directions) - 1) % len(around)
    counted = np.bincount(nearest, minlength=len(around)) * period / cells
    own = np.searchsorted(around, np.round(stops, 9))
    found = np.bincount(own, result.weights, minlength=len(around))
    np.testing.assert_allclose(found, counted, atol=2e-3 * counted.max() + 2 * period / cells)


@pytest.mark.parametrize("jitter", [0.0, 1e-9, 1e-6, 1e-3])
def test_exposures_at_one_stop_share_evenly_whatever_their_jitter(jitter: float) -> None:
    degrees = np.repeat(np.arange(0, 180, 5.0), 5) + jitter * RNG.normal(0, 1, 180)
    weights = coverage(tuple(np.deg2rad(degrees)), math.pi).weights
    np.testing.assert_allclose(weights, math.pi / 180, rtol=2 * jitter + 1e-7)
    one = coverage(tuple(np.deg2rad(30 + jitter * RNG.normal(0, 1, 9))), math.pi)
    np.testing.assert_allclose(one.weights, math.pi / 9)


def test_several_missing_wedges_are_found() -> None:
    degrees = np.array([d for d in range(360) if not (20 <= d < 50 or 200 <= d < 290)], dtype=float)
    result = coverage(tuple(np.deg2rad(degrees)), TURN)
    np.testing.assert_allclose(np.rad2deg(result.wedges), [[19.5, 30], [199.5, 90]])
    np.testing.assert_allclose(result.weights, math.radians(1))


def test_missing_directions_are_a_warning_with_their_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def warned(angles: tuple[float, ...]) -> str:
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="learnedrecon"):
            parallel_weights(ParallelBeam((8, 8), angles, FlatDetector(13)))
        return caplog.text

    text = warned(AngleRange(60, 0.0, 2 * math.pi / 3).values())
    assert "33.3 % of all directions" in text
    assert "over 60 of 180 degrees, the longest stretch from 120 to 180 degrees" in text
    for name, degrees in UNEVEN.items():
        assert warned(tuple(np.deg2rad(degrees))) == "", name


@pytest.mark.parametrize("arc", [TURN, math.pi + 0.9, math.pi, 2.0])
def test_missing_lines_of_a_fan_are_a_warning_with_their_number(
    caplog: pytest.LogCaptureFixture, arc: float
) -> None:
    """A wedge L has neither ray of (θ, γ) for (L - π + 2γ)₊ + (L - π - 2γ)₊ of the turn."""
    scan = FanBeam((80, 60), AngleRange(720, 0.3, arc), FlatDetector(400), 120.0, 80.0)
    widest = math.asin(50 / 120)
    with caplog.at_level(logging.WARNING, logger="learnedrecon"):
        fan_weights(scan)
    gamma = np.linspace(-widest, widest, 20001)
    beyond = TURN - arc - math.pi
    share = np.maximum(beyond + 2 * gamma, 0) + np.maximum(beyond - 2 * gamma, 0)
    expected = np.average(share, weights=np.cos(gamma)) / TURN
    if expected < 1e-3:
        assert not caplog.records
        return
    found = re.search(r"([\d.]+) % of all lines through the image", caplog.text)
    assert found is not None
    assert float(found[1]) / 100 == pytest.approx(expected, abs=5e-3)
