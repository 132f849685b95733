from __future__ import annotations

import math

import pytest

from learnedrecon.errors import ConfigError, DataError
from learnedrecon.experiments.search import tune


class Peak:
    """-(log(x / at))², which counts its calls."""

    def __init__(self, at: float) -> None:
        self.at = at
        self.calls: list[float] = []

    def __call__(self, value: float) -> float:
        self.calls.append(value)
        return -(math.log(value / self.at) ** 2)


@pytest.mark.parametrize("at", [1e-4, 0.3, 1.0, 7.0, 900.0])
def test_it_finds_the_peak_from_far_away(at: float) -> None:
    score = Peak(at)
    tuned = tune(score, 1.0, 3.0, refinements=3)
    assert abs(math.log(tuned.value / at)) <= math.log(tuned.resolution)
    assert tuned.resolution == pytest.approx(3.0**0.125)
    assert tuned.tried[0][0] < tuned.value < tuned.tried[-1][0]
    assert not tuned.at_end
    assert tuned.score == max(score for _, score in tuned.tried)
    assert len(set(score.calls)) == len(score.calls) == len(tuned.tried)


def test_the_best_has_worse_neighbours_within_the_resolution() -> None:
    tuned = tune(Peak(0.123), 1.0, 2.0, refinements=2)
    values = [value for value, _ in tuned.tried]
    place = values.index(tuned.value)
    for neighbour in (values[place - 1], values[place + 1]):
        ratio = max(neighbour / tuned.value, tuned.value / neighbour)
        assert ratio <= tuned.resolution * (1 + 1e-9)


def test_a_closed_end_may_be_the_best_and_is_said_to_be() -> None:
    score = Peak(5.0)
    tuned = tune(score, 0.3, 2.0, upper=1.0)
    assert tuned.value == 1.0
    assert tuned.at_end
    assert max(score.calls) == 1.0


def test_a_peak_just_inside_a_closed_end_is_found() -> None:
    tuned = tune(Peak(0.85), 0.3, 2.0, lower=0.01, upper=1.0, refinements=4)
    assert not tuned.at_end
    assert abs(math.log(tuned.value / 0.85)) <= math.log(tuned.resolution)


def test_a_flat_score_keeps_the_start() -> None:
    tuned = tune(lambda _: 1.0, 0.7)
    assert tuned.value == 0.7
    assert tuned.tried[0][0] < 0.7 < tuned.tried[-1][0]


def test_minus_infinity_is_a_score() -> None:
    tuned = tune(lambda x: -math.inf if x > 3 else x, 1.0, 2.0)
    assert 3.0 / tuned.resolution <= tuned.value <= 3.0


def test_a_score_without_a_peak_is_an_error() -> None:
    with pytest.raises(DataError, match="still rise"):
        tune(lambda x: x, 1.0, 10.0, max_evaluations=12)


def test_nan_is_an_error() -> None:
    with pytest.raises(DataError, match="nan at 2"):
        tune(lambda x: math.nan if x == 2.0 else x, 1.0)


@pytest.mark.parametrize(
    ("start", "factor", "upper"), [(0.0, 2.0, None), (2.0, 2.0, 1.0), (1.0, 1.0, None)]
)
def test_impossible_searches_are_refused(start: float, factor: float, upper: float | None) -> None:
    with pytest.raises(ConfigError):
        tune(Peak(1.0), start, factor, upper=upper)
