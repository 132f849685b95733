from __future__ import annotations

import math

import numpy as np
import pytest

from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector
from learnedrecon.solvers.direct.views import coverage, fan_weights

TURN = 2 * math.pi


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
