"""Data ranges: what they are, how they are written, and that nothing else passes for one."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learnedrecon.errors import ConfigError, DataError
from learnedrecon.metrics import DataRange, FixedRange, MaxMinPerImage, parse_range


def test_fixed_range_is_the_same_for_all_images() -> None:
    truth = torch.randn(3, 2, 4, 5, dtype=torch.float64)
    assert FixedRange(2.5).per_image(truth).tolist() == [2.5] * 3


def test_max_min_is_over_all_channels_of_each_image() -> None:
    truth = torch.zeros(2, 2, 3, 3)
    truth[0, 0, 1, 1], truth[0, 1, 2, 2] = 3.0, -1.0
    truth[1, 1, 0, 0] = 0.5
    assert MaxMinPerImage().per_image(truth).tolist() == [4.0, 0.5]


def test_constant_images_are_named() -> None:
    truth = torch.randn(4, 1, 3, 3)
    truth[1], truth[3] = 0.0, 2.0
    with pytest.raises(DataError, match=r"batch index \[1, 3\]"):
        MaxMinPerImage().per_image(truth)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("range=1", FixedRange(1.0)),
        ("range=2.5e-3", FixedRange(0.0025)),
        ("max-min", MaxMinPerImage()),
    ],
)
def test_parses(text: str, value: DataRange) -> None:
    assert parse_range(text) == value


@given(st.floats(min_value=0, exclude_min=True, allow_infinity=False))
def test_text_and_value_are_inverse(value: float) -> None:
    assert parse_range(str(FixedRange(value))) == FixedRange(value)


def test_text_of_presets() -> None:
    assert str(FixedRange(1.0)) == "range=1"
    assert str(MaxMinPerImage()) == "max-min"


@pytest.mark.parametrize("text", ["", "1", "range", "range=", "range=one", "maxmin", "min-max"])
def test_other_texts_are_refused_and_the_presets_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"range=NUMBER.*max-min") as caught:
        parse_range(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_no_range_that_is_not_positive_and_finite(value: float) -> None:
    with pytest.raises(ConfigError, match="positive, finite"):
        FixedRange(value)
    with pytest.raises(ConfigError, match="positive, finite"):
        parse_range(f"range={value}")
