"""Means, standard errors and paired intervals against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from learnedrecon.errors import DataError, ShapeError
from learnedrecon.metrics import paired_difference, summarise


def test_summary_of_four_numbers() -> None:
    """Deviations -3, -1, 1, 3: variance 20/3, standard error √(5/3)."""
    summary = summarise([1.0, 3.0, 5.0, 7.0])
    assert summary.mean == 4.0
    assert summary.std == pytest.approx(math.sqrt(20 / 3), rel=1e-15)
    assert summary.stderr == pytest.approx(math.sqrt(5 / 3), rel=1e-15)


def test_one_value_has_a_mean_and_no_deviation() -> None:
    summary = summarise([2.5])
    assert summary.mean == 2.5
    assert math.isnan(summary.std)
    assert math.isnan(summary.stderr)


def test_interval_of_two_differences_is_that_of_cauchy() -> None:
    """One degree of freedom: t is Cauchy, its 0.975 quantile tan(0.475 π); std/√2 = 1 here."""
    result = paired_difference([1.0, 4.0], [0.0, 1.0])
    half = math.tan(0.475 * math.pi)
    assert result.mean == 2.0
    assert result.ci95 == pytest.approx((2.0 - half, 2.0 + half), rel=1e-12)


def test_interval_of_three_differences_is_the_closed_form() -> None:
    """Two degrees of freedom: the quantile of p is (2p - 1) √(2 / (4p(1-p)))."""
    result = paired_difference(np.array([3.0, 2.0, 4.0]), np.array([2.0, 0.0, 1.0]))
    half = 0.95 * math.sqrt(2 / (4 * 0.975 * 0.025)) * 1.0 / math.sqrt(3)
    assert result.mean == 2.0
    assert result.ci95 == pytest.approx((2.0 - half, 2.0 + half), rel=1e-12)


def test_difference_is_a_minus_b() -> None:
    forth = paired_difference([1.0, 2.0, 4.0], [0.0, 0.5, 0.0])
    back = paired_difference([0.0, 0.5, 0.0], [1.0, 2.0, 4.0])
    assert forth.mean == -back.mean > 0
    assert forth.ci95 == pytest.approx((-back.ci95[1], -back.ci95[0]))


def test_what_the_images_share_cancels() -> None:
    generator = np.random.default_rng(0)
    images = 100 * generator.standard_normal(50)
    result = paired_difference(images + 0.5, images)
    assert result.mean == pytest.approx(0.5, abs=1e-12)
    assert result.ci95 == pytest.approx((0.5, 0.5), abs=1e-12)


def test_interval_covers_95_percent() -> None:
    """Of 2000 experiments with 6 images; the count is binomial: five standard deviations."""
    generator = np.random.default_rng(1)
    trials, truth = 2000, 0.3
    a = truth + generator.standard_normal((trials, 6))
    intervals = [paired_difference(row, np.zeros(6)).ci95 for row in a]
    covered = sum(low <= truth <= high for low, high in intervals)
    assert abs(covered - 0.95 * trials) < 5 * math.sqrt(trials * 0.95 * 0.05)


def test_interval_is_that_of_the_paired_t_test() -> None:
    generator = np.random.default_rng(2)
    a, b = generator.standard_normal((2, 20))
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert paired_difference(a, b).ci95 == pytest.approx((expected.low, expected.high), rel=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_named(bad: float) -> None:
    with pytest.raises(DataError, match=r"index \[1\]"):
        summarise([1.0, bad, 2.0])
    with pytest.raises(DataError, match=r"finite b.*index \[0\]"):
        paired_difference([1.0, 2.0], [bad, 2.0])


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], 3.0])
def test_other_shapes_are_refused(values: object) -> None:
    with pytest.raises(ShapeError, match="n ≥ 1"):
        summarise(np.array(values))


def test_pairs_are_pairs() -> None:
    with pytest.raises(ShapeError, match="3 and 2"):
        paired_difference([1.0, 2.0, 3.0], [1.0, 2.0])
    with pytest.raises(ShapeError, match="n ≥ 2"):
        paired_difference([1.0], [2.0])
